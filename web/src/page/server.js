// What the page says to its server: requests, each with every answer it can get, and the signalling
// WebSocket. Addresses are relative to the page's own, so that it works under any path of a proxy.

import { parseGatewayMessage } from '../core/signalling.js';
import { log } from '../util/log.js';

/** @import { Refusal } from '../core/refusal.js' */
/** @import { GatewayMessage } from '../core/signalling.js' */

/**
 * @typedef {{ type: 'ok' } | Refusal} LoginOutcome
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
 * @param {string} token
 * @returns {Promise<LoginOutcome>}
 */
export async function logIn(token) {
  try {
    const response = await fetch('login', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token }),
      signal: AbortSignal.timeout(LOGIN_PATIENCE),
    });
    return response.ok ? { type: 'ok' } : await refusalOf(response);
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
    const response = await fetch('api/session', { method: 'POST', signal });
    if (!response.ok) return await refusalOf(response);
    /** @type {unknown} */
    const session = await response.json();
    const told = typeof session === 'object' && session !== null ? session : {};
    const hostname = 'hostname' in told ? String(told.hostname) : '';
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
    const response = await fetch('api/sign-out', { method: 'POST', signal });
    return response.ok ? { type: 'ok' } : await refusalOf(response);
  } catch {
    return UNREACHABLE;
  }
}

/**
 * @param {Response} response
 * @returns {Promise<Refusal>}
 */
async function refusalOf(response) {
  const { status, headers } = response;
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
    this.#socket = new WebSocket(address);
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
