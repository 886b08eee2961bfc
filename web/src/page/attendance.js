// Has this page's viewer be there, as the desktop sees it: asks the gateway for a lease, and sends proofs
// over whatever connection there is. Says when nobody can see the page.

import { LEASE_RETRY, Presence } from '../core/lease.js';
import { leaseMessage } from '../core/signalling.js';

/** @import { Lease, Proof } from '../core/lease.js' */
/** @import { Peer } from './peer.js' */
/** @import { SignallingSocket } from './server.js' */

export class Attendance {
  #presence = new Presence();
  #connection;
  #connected;

  /**
   * @param {() => { peer: Peer | null, socket: SignallingSocket | null, isStreaming: boolean }} connection
   * @param {() => void} connected input counts from now on over this connection
   */
  constructor(connection, connected) {
    this.#connection = connection;
    this.#connected = connected;
  }

  /** There is another socket, over which nothing has been asked for yet. */
  socketOpened() {
    this.#presence.forgetAsking();
    this.#ask();
  }

  /** @param {Lease | null} lease that the gateway sent; null if it has none at the moment */
  leased(lease) {
    if (lease === null) {
      setTimeout(() => {
        this.#presence.forgetAsking();
        this.#ask();
      }, LEASE_RETRY);
      return;
    }
    this.#presence.leased(lease);
    this.ready();
  }

  /** The peer connection may be able to carry messages. The first one names the lease. */
  ready() {
    if (document.hidden) this.tellShown();
    if (!this.mayAct) return;
    this.#send(this.#presence.connected(performance.now()));
    if (!this.#presence.awaitsChallenge) this.#connected();
  }

  /** Tells the desktop whether anybody can see this page, which needs no pictures otherwise. Before the
   * first picture it is not called hidden, because a connection without one counts as failed. */
  tellShown() {
    const { peer, isStreaming } = this.#connection();
    if (isStreaming) peer?.send({ type: 'pageShown', shown: !document.hidden });
  }

  /** Whether the desktop takes input of this page. */
  get mayAct() {
    return this.#presence.isLeased && this.#connection().peer?.isReady === true;
  }

  /** The viewer acts, or holds something. */
  acts() {
    this.#send(this.#presence.acts(performance.now()));
    this.#ask();
  }

  /** @param {boolean} on whether the viewer's microphone is, from now on */
  speaks(on) {
    this.#send(this.#presence.speaks(on, performance.now()));
    this.#ask();
  }

  /** @param {Uint8Array<ArrayBuffer>} challenge of the desktop */
  challenged(challenge) {
    const awaited = this.#presence.awaitsChallenge;
    this.#send(this.#presence.challenged(challenge, performance.now()));
    if (awaited && !this.#presence.awaitsChallenge) this.#connected();
  }

  /** @param {Proof | null} proof */
  #send(proof) {
    if (proof !== null) this.#connection().peer?.send(proof);
  }

  #ask() {
    const { socket } = this.#connection();
    if (socket?.isOpen && this.#presence.needsLease(performance.now())) socket.send(leaseMessage());
  }
}
