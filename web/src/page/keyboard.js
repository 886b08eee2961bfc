// Keys, by place on the keyboard.

import { HeldKeys } from '../core/held-keys.js';
import { evdevKey } from '../core/keymap.js';
import { locksOf } from '../core/locks.js';

/** @import { InputMessage } from '../core/input-codec.js' */
/** @import { Platform } from '../core/locks.js' */

export class Keyboard {
  #platform = keyboardPlatform();
  #held = new HeldKeys(this.#platform);
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

  /** Whether any key is down. */
  get isHolding() {
    return this.#held.size > 0;
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
    const { code, repeat, timeStamp } = event;
    const stroke = { code, repeat, timeStamp, locks: locksOf(event, this.#platform) };
    this.#held.press(stroke).forEach((change) => this.#send(change));
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

/** @returns {Platform} */
function keyboardPlatform() {
  const name = navigator.platform.toLowerCase();
  // Chrome OS gives itself out as Linux there.
  if (/\bCrOS\b/.test(navigator.userAgent)) return 'chromeos';
  if (/^(mac|iphone|ipad)/.test(name)) return 'mac';
  return name.startsWith('win') ? 'windows' : 'other';
}
