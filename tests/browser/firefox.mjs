// Drives Firefox as Debian packages it for the Rust tests (`serve.mjs`), by WebDriver BiDi, which it speaks
// itself (https://w3c.github.io/webdriver-bidi/). playwright knows its own builds of Firefox only.
//
// `node --experimental-websocket firefox.mjs MILLISECONDS` says how long to be patient; Node has that since
// 20.10.

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { instrument } from './instrument.mjs';
import { serve } from './serve.mjs';

const FIREFOX = process.env.LUMEN_TEST_FIREFOX ?? '/usr/bin/firefox-esr';
const PATIENCE_MS = Number(process.argv[2] ?? 30_000);

/** What a fresh Firefox does besides showing pages. */
const PREFERENCES = {
  'app.normandy.enabled': false,
  'app.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.homepage_override.mstone': 'ignore',
  'datareporting.policy.dataSubmissionEnabled': false,
  'extensions.getAddons.cache.enabled': false,
  // No plugin is fetched: what Firefox itself decodes is what it has.
  'media.gmp-manager.updateEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'remote.active-protocols': 1,
};

/** Keys as WebDriver names them (https://w3c.github.io/webdriver/#keyboard-actions). */
const KEYS = {
  ControlLeft: '\uE009', ShiftLeft: '\uE008', AltLeft: '\uE00A', Enter: '\uE007', Tab: '\uE004',
  Escape: '\uE00C', Space: ' ',
};

/** @param {string} code such as `KeyW` */
function keyOf(code) {
  const key = KEYS[code] ?? /^(?:Key|Digit)(.)$/.exec(code)?.[1].toLowerCase();
  if (key === undefined) throw new Error(`no key ${code}`);
  return key;
}

let home = '';
/** @type {import('node:child_process').ChildProcess | undefined} */
let firefox;
/** @type {WebSocket | undefined} */
let socket;
let asked = 0;
/** Who waits for which answer. @type {Map<number, { resolve: Function, reject: Function }>} */
const waiting = new Map();
/** @type {Array<{ context: string, userContext: string, console: string[] }>} */
const windows = [];

/** Where Firefox listens, as it says on standard error. */
function listening() {
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: firefox.stderr });
    lines.on('line', (line) => {
      const address = /WebDriver BiDi listening on (ws:\S+)/.exec(line)?.[1];
      if (address) resolve(address);
    });
    firefox.on('error', reject);
    firefox.on('exit', (code) => reject(new Error(`Firefox ended with ${code}`)));
    setTimeout(() => reject(new Error('Firefox does not listen')), PATIENCE_MS).unref();
  });
}

function heard({ data }) {
  const message = JSON.parse(data);
  if (message.method === 'log.entryAdded') {
    const { level, text, args = [], source } = message.params;
    const fields = args.slice(1).map(({ value }) => JSON.stringify(value));
    const line = [`${level}: ${text}`, ...fields].join(' ');
    windows.find(({ context }) => context === source.context)?.console.push(line);
    return;
  }
  const asker = waiting.get(message.id);
  waiting.delete(message.id);
  if (message.type === 'error') asker?.reject(new Error(`${message.error}: ${message.message}`));
  else asker?.resolve(message.result);
}

function ask(method, params) {
  asked += 1;
  const id = asked;
  socket.send(JSON.stringify({ id, method, params }));
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
  });
}

async function evaluate(context, expression) {
  // As text, because the protocol describes values piece by piece.
  const { result, exceptionDetails } = await ask('script.evaluate', {
    expression: `(async () => JSON.stringify(await (${expression})) ?? 'null')()`,
    target: { context }, awaitPromise: true, resultOwnership: 'none',
  });
  if (exceptionDetails) throw new Error(exceptionDetails.text);
  return JSON.parse(result.value);
}

const perform = (context, actions) => ask('input.performActions', { context, actions });
const keys = (...actions) => ({ type: 'key', id: 'keyboard', actions });
const pointer = (...actions) => ({ type: 'pointer', id: 'mouse', actions });
const held = (value, ...between) => [
  { type: 'keyDown', value }, ...between, { type: 'keyUp', value },
];

async function tab(userContext) {
  const { context } = await ask('browsingContext.create', { type: 'tab', userContext });
  return context;
}

/** A text field of another page, in which `use` presses keys with Control. */
async function inTextField(text, key) {
  const context = await tab('default');
  const url = 'data:text/html,<textarea autofocus></textarea>';
  await ask('browsingContext.navigate', { context, url, wait: 'complete' });
  await evaluate(context, `document.querySelector('textarea').value = ${JSON.stringify(text)}`);
  await evaluate(context, `void document.querySelector('textarea').select()`);
  await perform(context, [keys(...held(KEYS.ControlLeft, ...held(key)))]);
  const value = await evaluate(context, `document.querySelector('textarea').value`);
  await ask('browsingContext.close', { context });
  return value;
}

const commands = {
  async launch({ preferences = {} }) {
    home = await mkdtemp(join(tmpdir(), 'lumen-firefox-'));
    const lines = Object.entries({ ...PREFERENCES, ...preferences }).map(
      ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
    );
    await writeFile(join(home, 'user.js'), lines.join(''));
    const flags = ['--headless', '--no-remote', '--profile', home, '--remote-debugging-port=0'];
    firefox = spawn(FIREFOX, flags, {
      env: { ...process.env, HOME: home, MOZ_CRASHREPORTER_DISABLE: '1' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const address = await listening();
    socket = new WebSocket(`${address}/session`);
    socket.onmessage = heard;
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error(`nobody answers at ${address}`));
    });
    await ask('session.new', { capabilities: { alwaysMatch: { acceptInsecureCerts: true } } });
    await ask('session.subscribe', { events: ['log.entryAdded'] });
  },

  async open({ url, width, height, relay = null, spoil = null, lacks = [] }) {
    const { userContext } = await ask('browser.createUserContext', {});
    const forced = JSON.stringify({ relay, spoil, lacks });
    await ask('script.addPreloadScript', {
      functionDeclaration: `() => (${instrument})(${forced})`, userContexts: [userContext],
    });
    const context = await tab(userContext);
    windows.push({ context, userContext, console: [] });
    await ask('browsingContext.setViewport', { context, viewport: { width, height } });
    await ask('browsingContext.navigate', { context, url, wait: 'interactive' });
    return windows.length - 1;
  },

  evaluate: ({ page, expression }) => evaluate(windows[page].context, expression),

  key({ page, code, down }) {
    const action = { type: down ? 'keyDown' : 'keyUp', value: keyOf(code) };
    return perform(windows[page].context, [keys(action)]);
  },

  mouse: ({ page, x, y }) =>
    perform(windows[page].context, [
      pointer({ type: 'pointerMove', x: Math.round(x), y: Math.round(y) }),
    ]),

  click: ({ page }) =>
    perform(windows[page].context, [
      pointer({ type: 'pointerDown', button: 0 }, { type: 'pointerUp', button: 0 }),
    ]),

  async resize({ page, width, height }) {
    const { context } = windows[page];
    await ask('browsingContext.setViewport', { context, viewport: { width, height } });
  },

  async copy({ text }) {
    await inTextField(text, 'c');
  },

  copied: () => inTextField('', 'v'),

  async screenshot({ page, path }) {
    const { data } = await ask('browsingContext.captureScreenshot', { context: windows[page].context });
    await writeFile(path, Buffer.from(data, 'base64'));
  },

  async close({ page }) {
    await ask('browser.removeUserContext', { userContext: windows[page].userContext });
  },

  console: ({ page }) => windows[page].console,

  async quit() {
    if (socket) await ask('browser.close', {});
    if (firefox && firefox.exitCode === null) {
      await new Promise((resolve) => {
        firefox.on('exit', resolve);
      });
    }
    await rm(home, { recursive: true, force: true });
  },
};

await serve(commands);
