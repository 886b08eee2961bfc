// The viewer's input on its way to the desktop: held back, in order, while the desktop is told what
// the next key pastes.

/** @import { InputMessage } from './input-codec.js' */

export class Gate {
  #pass;
  #closed = false;
  /** @type {InputMessage[]} */
  #held = [];

  /** @param {(message: InputMessage) => void} pass */
  constructor(pass) {
    this.#pass = pass;
  }

  /** @param {InputMessage} message */
  take(message) {
    if (this.#closed) this.#held.push(message);
    else this.#pass(message);
  }

  close() {
    this.#closed = true;
  }

  open() {
    this.#closed = false;
    this.#held.splice(0).forEach((message) => this.#pass(message));
  }

  /** The connection was lost: what was held back would arrive too late. */
  drop() {
    this.#closed = false;
    this.#held = [];
  }
}
