// What the page says to its server: requests, each with every answer it can get, and the signalling
// WebSocket. Addresses are relative to the page's own, so that it works under any path of a proxy.

import { Keys } from '../core/keys.js';
import { parseGatewayMessage } from '../core/signalling.js';
import { log } from '../util/log.js';

/** @import { Refusal } from '../core/refusal.js' */
/** @import { GatewayMessage } from '../core/signalling.js' */

/**
 * @typedef {{ type: 'ok', elsewhere: boolean, said: unknown } | Refusal} LoginOutcome `elsewhere`: to another
 *   desktop than this window's so far; `said`: what the machine says at the end
 * @typedef {{ type: 'ok' } | Refusal} SignOutOutcome
 * @typedef {{ type: 'ok', hostname: string, signedIn: boolean } | Refusal} SessionOutcome
 * @typedef {{ opened: () => void, received: (message: GatewayMessage) => void,
 *   closed: (opened: boolean) => void }} SocketHandlers
 */

const PATIENCE = 5000;
/** As long as the server waits for whoever judges a login, and a little longer. */
const LOGIN_PATIENCE = 35_000;

/** @type {Refusal} */
const UNREACHABLE = Object.freeze({ type: 'later', reason: 'The server cannot be reached.' });

/**
 * The page's half of what it is recognised by. Storage belongs to the page's origin, port included; the
 * other half is a cookie, which browsers send to every port of the host.
 */
const keys = new Keys(
  new URL('.', document.baseURI).pathname,
  () => sessionStorage,
  () => localStorage,
);

/** @returns {Record<string, string>} */
function keyHeader() {
  const key = keys.current;
  return key === '' ? {} : { 'Lumen-Key': key };
}

/**
 * How this server lets browsers in, besides by a token; known once it has refused one without a login. `provider` is
 * the name of an identity provider as in a URL, empty for none.
 */
export const waysIn = { isKnown: false, password: false, proxy: false, provider: '' };

/**
 * @param {string} token
 * @returns {Promise<LoginOutcome>}
 */
export async function logIn(token) {
  const outcome = await requestLogin({ token });
  // A token is never answered by a question.
  return outcome.type === 'asked' ? UNREACHABLE : outcome;
}

/**
 * @param {{ token: string } | { account: string } | { proxy: true } | { provider: true }
 *   | { attempt: string, answers?: string[], returned?: string }} body
 * @returns {Promise<LoginOutcome | { type: 'asked', question: unknown }>}
 */
export async function requestLogin(body) {
  try {
    const response = await fetch('login', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(LOGIN_PATIENCE),
    });
    if (!response.ok) return await refusalOf(response);
    if (response.status === 202) return { type: 'asked', question: await response.json() };
    // Without content where nobody has to sign in.
    /** @type {unknown} */
    const answer = response.status === 200 ? await response.json() : null;
    const key = textOf(answer, 'key');
    const { desktop } = keys;
    if (key !== '' && !keys.keep(key)) {
      log('info', 'this browser stores nothing: the login ends with the page');
    }
    const said = typeof answer === 'object' && answer !== null && 'said' in answer ? answer.said : [];
    return { type: 'ok', elsewhere: keys.desktop !== desktop, said };
  } catch {
    return UNREACHABLE;
  }
}

/**
 * Asks who is logged in, and is judged like the socket, whose own refusal a page is not told.
 * @returns {Promise<SessionOutcome>}
 */
export async function fetchSession() {
  try {
    // Browsers name the page's origin only with what might change something.
    const signal = AbortSignal.timeout(PATIENCE);
    const response = await fetch('api/session', { method: 'POST', headers: keyHeader(), signal });
    if (!response.ok) return await refusalOf(response);
    /** @type {unknown} */
    const session = await response.json();
    const told = typeof session === 'object' && session !== null ? session : {};
    const hostname = textOf(session, 'hostname');
    const signedIn = 'signedIn' in told && told.signedIn === true;
    return { type: 'ok', hostname, signedIn };
  } catch {
    return UNREACHABLE;
  }
}

/**
 * Ends this browser's login, in every window.
 * @returns {Promise<SignOutOutcome>}
 */
export async function signOut() {
  try {
    const signal = AbortSignal.timeout(PATIENCE);
    const headers = keyHeader();
    const response = await fetch('api/sign-out', { method: 'POST', headers, signal });
    if (!response.ok) return await refusalOf(response);
    keys.forget();
    return { type: 'ok' };
  } catch {
    return UNREACHABLE;
  }
}

/**
 * Asks for what only a page that is signed in gets.
 * @param {string} path
 * @param {object | null} body
 * @returns {Promise<{ type: 'ok', answer: unknown } | Refusal>} `answer` is null if there is nothing to tell
 */
export async function askSignedIn(path, body = null) {
  try {
    const signal = AbortSignal.timeout(PATIENCE);
    const type = body === null ? {} : { 'Content-Type': 'application/json' };
    const headers = { ...keyHeader(), ...type };
    const text = body === null ? null : JSON.stringify(body);
    const response = await fetch(path, { method: 'POST', headers, body: text, signal });
    if (!response.ok) return await refusalOf(response);
    return { type: 'ok', answer: response.status === 204 ? null : await response.json() };
  } catch {
    return UNREACHABLE;
  }
}

/**
 * @param {unknown} value
 * @param {string} name
 * @returns {string} the text of that name in it, empty if there is none
 */
function textOf(value, name) {
  if (typeof value !== 'object' || value === null) return '';
  /** @type {unknown} */
  const text = Reflect.get(value, name);
  return typeof text === 'string' ? text : '';
}

/**
 * @param {Response} response
 * @returns {Promise<Refusal>}
 */
async function refusalOf(response) {
  const { status, headers } = response;
  const way = headers.get('Lumen-Sign-In');
  if (way !== null) {
    waysIn.isKnown = true;
    waysIn.password = way === 'password';
    waysIn.proxy = way === 'proxy';
    waysIn.provider = headers.get('Lumen-Provider') ?? '';
  }
  try {
    const { REFUSAL_HEADER, explain } = await import('../core/refusal.js');
    const text = (await response.text()).trim();
    return explain({ status, word: headers.get(REFUSAL_HEADER), text });
  } catch {
    // Whoever answers does not have the rest of the page.
    const reason = `The server cannot be reached; a proxy answers with status ${status}.`;
    return { type: 'later', reason };
  }
}

/** The signalling WebSocket. */
export class SignallingSocket {
  #socket;
  #listeners = new AbortController();

  /** @param {SocketHandlers} handlers */
  constructor(handlers) {
    const address = new URL('ws/signal', document.baseURI);
    address.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
    // A page can add no header to this; so its half of the key is one of the protocols it offers.
    const key = keys.current;
    this.#socket = new WebSocket(address, key === '' ? ['lumen'] : ['lumen', `lumen-key.${key}`]);
    const { signal } = this.#listeners;
    let opened = false;
    this.#socket.addEventListener(
      'open',
      () => {
        opened = true;
        handlers.opened();
      },
      { signal },
    );
    this.#socket.addEventListener(
      'message',
      ({ data }) => {
        const message = parseGatewayMessage(data);
        if (message === null) log('warn', 'unknown signalling message');
        else handlers.received(message);
      },
      { signal },
    );
    this.#socket.addEventListener(
      'close',
      ({ code, reason }) => {
        log('info', 'signalling closed', { code, reason });
        handlers.closed(opened);
      },
      { signal },
    );
  }

  get isOpen() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** @param {string} text */
  send(text) {
    this.#socket.send(text);
  }

  /** Closes without telling the handlers. */
  close() {
    this.#listeners.abort();
    // Only this code says that the page is done: the server keeps the connection of a lost socket.
    this.#socket.close(1000);
  }
}
