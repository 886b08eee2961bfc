// Keys, by place on the keyboard.

import { HeldKeys } from '../core/held-keys.js';
import { isPaste } from '../core/paste-keys.js';
import { evdevKey } from '../core/keymap.js';
import { locksOf } from '../core/locks.js';

/** @import { KeyChange } from '../core/held-keys.js' */
/** @import { InputMessage } from '../core/input-codec.js' */
/** @import { Platform } from '../core/locks.js' */

/**
 * Where keys go. `wantsPaste`: whether the browser is to paste when a key means that; then `pasting` is
 * called before that key is sent.
 * @typedef {{ send: (message: InputMessage) => void, isActive: () => boolean,
 *   wantsPaste: () => boolean, pasting: () => void }} Desktop
 */

export class Keyboard {
  #platform = keyboardPlatform();
  #held = new HeldKeys(this.#platform);
  #desktop;
  /** Keys that arrive after the focus has gone are another window's: their releases go there. */
  #focused = true;

  /**
   * @param {Desktop} desktop
   * @param {AbortSignal} signal
   */
  constructor(desktop, signal) {
    this.#desktop = desktop;
    // In the capture phase, so that no element of the page acts on a key of the desktop.
    const options = { signal, capture: true };
    window.addEventListener('keydown', (event) => this.#down(event), options);
    window.addEventListener('keyup', (event) => this.#up(event), options);
    window.addEventListener('blur', () => (this.#focused = false), { signal });
    // A press on the page gives it the focus, and comes before the event that says so.
    for (const type of ['focus', 'pointerdown']) {
      window.addEventListener(type, () => (this.#focused = true), options);
    }
  }

  /** Whether any key is down. */
  get isHolding() {
    return this.#held.size > 0;
  }

  /** Whether a key is down that is Control here, wherever on the keyboard it is. */
  get isControlDown() {
    return this.#held.holds('control');
  }

  /** @returns {boolean} whether any key was down */
  forget() {
    return this.#held.releaseAll();
  }

  /**
   * Makes the modifiers agree with what an event of the pointer reports.
   * @param {MouseEvent} event
   * @param {boolean} acts whether something is done by it that they matter for
   */
  heed(event, acts) {
    const active = this.#desktop.isActive();
    this.#tell(this.#held.heed(event, acts && active), active);
  }

  /** @param {KeyboardEvent} event */
  #down(event) {
    const mine = this.#desktop.isActive() && this.#focused && !document.hidden;
    if (!mine || evdevKey(event.code) === null) return;
    // With a key that pastes for it the browser makes an event that has the text.
    if (isPaste(event, this.#platform) && this.#desktop.wantsPaste()) {
      if (!event.repeat) this.#desktop.pasting();
    } else event.preventDefault();
    event.stopPropagation();
    const age = performance.now() - event.timeStamp;
    this.#tell(this.#held.press({ event, age, locks: locksOf(event, this.#platform) }), true);
  }

  /** @param {KeyboardEvent} event */
  #up(event) {
    // Also while nothing is sent: a key that came up meanwhile must not count as held later. And also
    // of a key that the desktop does not know: the modifiers that it reports are as true as any.
    const active = this.#desktop.isActive();
    this.#tell(this.#held.releaseBy(event), active);
    if (!active || evdevKey(event.code) === null) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * @param {KeyChange[]} changes
   * @param {boolean} active
   */
  #tell(changes, active) {
    if (active) changes.forEach((change) => this.#desktop.send(change));
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
