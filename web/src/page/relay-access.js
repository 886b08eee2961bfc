// The credentials of the relay: those for the next connection, and those that tests of a transport ask for.

import { placeRelay, serversFor, wishedPath } from '../core/relay.js';
import { probeMessage } from '../core/signalling.js';

/** @import { RelayServer } from '../core/relay.js' */
/** @import { Paths } from './peer.js' */
/** @import { SignallingSocket } from './server.js' */

export class RelayAccess {
  #wish = wishedPath(location.search);
  /** Unused credentials; undefined before the gateway has sent any. @type {RelayServer | null | undefined} */
  #relay;
  /** Callers that wait for credentials to test a transport. @type {((relay: RelayServer | null) => void)[]} */
  #probes = [];

  /** Whether the gateway has said if there is a relay. */
  get isKnown() {
    return this.#relay !== undefined;
  }

  get relayOnly() {
    return this.#wish.relayOnly;
  }

  /** @returns {Paths} that a connection may take */
  get paths() {
    const servers = serversFor(this.#relay ?? null, this.#wish);
    return { servers, relayOnly: this.#wish.relayOnly };
  }

  /** @param {RelayServer | null} relay with new credentials, or that there is none */
  given(relay) {
    this.#relay = placed(relay);
  }

  /**
   * @param {SignallingSocket | null} socket
   * @returns {Promise<RelayServer | null>} with credentials to test a transport to it
   */
  ask(socket) {
    if (!socket?.isOpen) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#probes.push(resolve);
      socket.send(probeMessage());
    });
  }

  /** @param {RelayServer | null} relay for whoever asked first */
  answered(relay) {
    this.#probes.shift()?.(placed(relay));
  }

  /** No answers come any more to what was asked. */
  socketClosed() {
    this.#probes.splice(0).forEach((answer) => answer(null));
  }
}

/** @param {RelayServer | null} relay */
function placed(relay) {
  return relay && placeRelay(relay, location.hostname);
}
