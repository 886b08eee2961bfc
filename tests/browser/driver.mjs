// Drives Chromium for the Rust tests (`serve.mjs`). `node driver.mjs MILLISECONDS` says how long to be
// patient.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

import { instrument } from './instrument.mjs';
import { serve } from './serve.mjs';

const CHROMIUM = process.env.LUMEN_TEST_CHROMIUM ?? '/usr/bin/chromium';
const PATIENCE_MS = Number(process.argv[2] ?? 30_000);

const FLAGS = [
  '--headless=new',
  // The relay's certificate is made by the test; what is tested is the way, not the trust.
  '--ignore-certificate-errors',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
  // Chromium's own sandbox refuses root, and CI is root. The pages are ours.
  ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
];

/** @type {import('playwright-core').Browser | undefined} */
let browser;
/** Where Chromium keeps its state. */
let home = '';
/** @type {Array<{ page: import('playwright-core').Page, console: string[] }>} */
const windows = [];

const commands = {
  async launch({ flags = [] }) {
    home = await mkdtemp(join(tmpdir(), 'lumen-chromium-'));
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [...FLAGS, ...flags],
      ignoreDefaultArgs: ['--headless', '--mute-audio'],
      env: { ...process.env, HOME: home },
    });
  },

  async open({ url, width, height, relay = null, spoil = null, ratio = 1, plain = false, lacks = [] }) {
    const emulated = { viewport: { width, height }, deviceScaleFactor: ratio };
    const context = await browser.newContext(plain ? { viewport: null } : emulated);
    context.setDefaultTimeout(PATIENCE_MS);
    await context.addInitScript(instrument, { relay, spoil, lacks });
    const page = await context.newPage();
    const lines = [];
    page.on('console', (message) => lines.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => lines.push(`uncaught: ${error.message}`));
    windows.push({ page, console: lines });
    await page.goto(url, { waitUntil: 'domcontentloaded' });
    return windows.length - 1;
  },

  evaluate: ({ page, expression }) => windows[page].page.evaluate(expression),

  // Playwright's own evaluation counts as a gesture, after which a page may play sound.
  async observe({ page, expression }) {
    const { page: tab } = windows[page];
    const session = await tab.context().newCDPSession(tab);
    const how = { expression, awaitPromise: true, returnByValue: true, userGesture: false };
    const { result, exceptionDetails } = await session.send('Runtime.evaluate', how);
    await session.detach();
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  },

  key({ page, code, down }) {
    const { keyboard } = windows[page].page;
    return down ? keyboard.down(code) : keyboard.up(code);
  },

  mouse: ({ page, x, y }) => windows[page].page.mouse.move(x, y),

  button({ page, button, down }) {
    const { mouse } = windows[page].page;
    return down ? mouse.down({ button }) : mouse.up({ button });
  },

  // Both leave at once: a button that is held for half a second means something else to a menu.
  click({ page }) {
    const { mouse } = windows[page].page;
    return Promise.all([mouse.down(), mouse.up()]);
  },

  wheel: ({ page, right, down }) => windows[page].page.mouse.wheel(right, down),
  resize: ({ page, width, height }) => windows[page].page.setViewportSize({ width, height }),
  async rescale({ page, width, height, ratio }) {
    const { page: tab } = windows[page];
    const session = await tab.context().newCDPSession(tab);
    const metrics = { width, height, deviceScaleFactor: ratio, mobile: false };
    await session.send('Emulation.setDeviceMetricsOverride', metrics);
  },

  async brightness({ page, x, y, width, height }) {
    const { page: tab } = windows[page];
    const picture = (await tab.screenshot({ scale: 'device' })).toString('base64');
    return tab.evaluate(readBrightness, { picture, x, y, width, height });
  },

  async copy({ url, text }) {
    const page = await clipboardPage(url);
    await page.evaluate((copied) => navigator.clipboard.writeText(copied), text);
  },

  async copied({ url }) {
    const page = await clipboardPage(url);
    return page.evaluate(() => navigator.clipboard.readText());
  },

  reload: ({ page }) => windows[page].page.reload({ waitUntil: 'domcontentloaded' }),
  goTo: ({ page, url }) => windows[page].page.goto(url, { waitUntil: 'domcontentloaded' }),
  close: ({ page }) => windows[page].page.context().close(),
  screenshot: ({ page, path }) => windows[page].page.screenshot({ path }),
  console: ({ page }) => windows[page].console,

  /** Closes all windows, for another test. */
  async leave() {
    await Promise.all(browser.contexts().map((context) => context.close()));
    windows.length = 0;
    clipboard = undefined;
  },

  async quit() {
    await browser?.close();
    await rm(home, { recursive: true, force: true });
  },
};

/** @type {import('playwright-core').Page | undefined} */
let clipboard;

/** A page that may read and write the clipboard of this computer, which no other page may. */
async function clipboardPage(url) {
  if (clipboard === undefined) {
    const permissions = ['clipboard-read', 'clipboard-write'];
    const context = await browser.newContext({ permissions });
    clipboard = await context.newPage();
    await clipboard.goto(url, { waitUntil: 'domcontentloaded' });
  }
  return clipboard;
}

/** Runs in the page, which knows how to read a PNG. */
async function readBrightness({ picture, x, y, width, height }) {
  const bytes = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(x, y, width, height);
  // Of grey, each channel says how bright it is.
  return Array.from({ length: width * height }, (_, pixel) => data[pixel * 4 + 1]);
}

await serve(commands);
