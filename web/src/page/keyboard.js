// Keyboard events, by the keys' physical positions.

import { HeldKeys } from '../core/held-keys.js';
import { isPaste } from '../core/paste-keys.js';
import { evdevKey } from '../core/keymap.js';
import { locksOf } from '../core/locks.js';

/** @import { KeyChange } from '../core/held-keys.js' */
/** @import { InputMessage } from '../core/input-codec.js' */
/** @import { Platform } from '../core/locks.js' */

/**
 * The receiver of keys. `wantsPaste`: whether the browser should paste for a key that means it; then
 * `pasting` is called before that key is sent.
 * @typedef {{ send: (message: InputMessage) => void, isActive: () => boolean,
 *   wantsPaste: () => boolean, pasting: () => void }} Desktop
 */

export class Keyboard {
  #platform = keyboardPlatform();
  #held = new HeldKeys(this.#platform);
  #desktop;
  /** Keys that arrive after the focus was lost belong to another window, which gets their releases. */
  #focused = true;

  /**
   * @param {Desktop} desktop
   * @param {AbortSignal} signal
   */
  constructor(desktop, signal) {
    this.#desktop = desktop;
    // In the capture phase, so that no element of the page reacts to a key for the desktop.
    const options = { signal, capture: true };
    window.addEventListener('keydown', (event) => this.#down(event), options);
    window.addEventListener('keyup', (event) => this.#up(event), options);
    window.addEventListener('blur', () => (this.#focused = false), { signal });
    // A press on the page gives it the focus, and arrives before the focus event.
    for (const type of ['focus', 'pointerdown']) {
      window.addEventListener(type, () => (this.#focused = true), options);
    }
  }

  /** Whether any key is down. */
  get isHolding() {
    return this.#held.size > 0;
  }

  /** Whether a key is down that acts as Control here, at any position. */
  get isControlDown() {
    return this.#held.holds('control');
  }

  /** @returns {boolean} whether any key was down */
  forget() {
    return this.#held.releaseAll();
  }

  /**
   * Makes the modifiers agree with the report of a pointer event.
   * @param {MouseEvent} event
   * @param {boolean} acts whether the event causes an action that they affect
   */
  heed(event, acts) {
    const active = this.#desktop.isActive();
    this.#tell(this.#held.heed(event, acts && active), active);
  }

  /** @param {KeyboardEvent} event */
  #down(event) {
    const mine = this.#desktop.isActive() && this.#focused && !document.hidden;
    if (!mine || isForThePage(event) || evdevKey(event.code) === null) return;
    // For a key that pastes, the browser then fires an event with the text.
    if (isPaste(event, this.#platform) && this.#desktop.wantsPaste()) {
      if (!event.repeat) this.#desktop.pasting();
    } else event.preventDefault();
    event.stopPropagation();
    const age = performance.now() - event.timeStamp;
    this.#tell(this.#held.press({ event, age, locks: locksOf(event, this.#platform) }), true);
  }

  /** @param {KeyboardEvent} event */
  #up(event) {
    // Also while nothing is sent, because a released key must not count as held later; and also for
    // keys unknown to the desktop, because the modifiers they report are valid, too.
    const active = this.#desktop.isActive();
    this.#tell(this.#held.releaseBy(event), active);
    if (!active || isForThePage(event) || evdevKey(event.code) === null) return;
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

/**
 * Whether a key is for a control of the page that has the focus.
 * @param {KeyboardEvent} event
 */
function isForThePage({ target }) {
  const element = /** @type {Partial<HTMLElement> | null} */ (target);
  return Boolean(element?.closest?.('[data-own-keys]'));
}

/** @returns {Platform} */
function keyboardPlatform() {
  const name = navigator.platform.toLowerCase();
  // Chrome OS pretends to be Linux there.
  if (/\bCrOS\b/.test(navigator.userAgent)) return 'chromeos';
  if (/^(mac|iphone|ipad)/.test(name)) return 'mac';
  return name.startsWith('win') ? 'windows' : 'other';
}
