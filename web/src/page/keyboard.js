// Keys, by place on the keyboard.

import { HeldKeys } from '../core/held-keys.js';
import { evdevKey } from '../core/keymap.js';

/** @import { InputMessage } from '../core/input-codec.js' */

export class Keyboard {
  #held = new HeldKeys(keyboardPlatform());
  #send;
  #isActive;

  /**
   * @param {{ send: (message: InputMessage) => void, isActive: () => boolean }} desktop
   * @param {AbortSignal} signal
   */
  constructor({ send, isActive }, signal) {
    this.#send = send;
    this.#isActive = isActive;
    // In the capture phase, so that no element of the page acts on a key of the desktop.
    const options = { signal, capture: true };
    window.addEventListener('keydown', (event) => this.#down(event), options);
    window.addEventListener('keyup', (event) => this.#up(event), options);
  }

  /** @param {string} code */
  isDown(code) {
    return this.#held.has(code);
  }

  /** @returns {boolean} whether any key was down */
  forget() {
    return this.#held.releaseAll();
  }

  /** @param {KeyboardEvent} event */
  #down(event) {
    if (!this.#isActive() || evdevKey(event.code) === null) return;
    event.preventDefault();
    event.stopPropagation();
    this.#held.press(event).forEach((change) => this.#send(change));
  }

  /** @param {KeyboardEvent} event */
  #up(event) {
    // Also while nothing is sent: a key that came up meanwhile must not count as held later.
    const changes = this.#held.release(event.code);
    if (!this.#isActive() || evdevKey(event.code) === null) return;
    event.preventDefault();
    event.stopPropagation();
    changes.forEach((change) => this.#send(change));
  }
}

/** @returns {'mac' | 'windows' | 'other'} whose habits the keyboard has */
function keyboardPlatform() {
  const name = navigator.platform.toLowerCase();
  if (/^(mac|iphone|ipad)/.test(name)) return 'mac';
  return name.startsWith('win') ? 'windows' : 'other';
}
