// The signalling WebSocket.

import { parseGatewayMessage } from '../core/signalling.js';
import { log } from '../util/log.js';

/** @import { GatewayMessage } from '../core/signalling.js' */

/**
 * @typedef {{ opened: () => void, received: (message: GatewayMessage) => void,
 *   closed: (opened: boolean) => void }} SocketHandlers
 */

export class SignallingSocket {
  #socket;
  #listeners = new AbortController();

  /** @param {SocketHandlers} handlers */
  constructor(handlers) {
    const address = new URL('/signal', location.href);
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
    this.#socket.close();
  }
}
