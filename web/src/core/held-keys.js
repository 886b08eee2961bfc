// Which keys the viewer holds, so that every key that went down comes up.
//
// Browsers lose key releases in known ways; each has its rule here:
// - macOS reports no release of a key while Meta (⌘) is held: those keys are released with Meta.
// - macOS reports CapsLock as down when it locks and up when it unlocks: each is one full stroke.
// - Windows reports AltGr as ControlLeft and AltRight at the same instant, and apps would see
//   Ctrl+AltGr: the ControlLeft that is none is taken back.
// - A window that loses focus gets no releases at all: `releaseAll` forgets everything, and one
//   message makes the desktop do the same.

import { evdevKey } from './keymap.js';

/** @import { Locks, Platform } from './locks.js' */

/**
 * @typedef {{ code: string, repeat: boolean, timeStamp: number, locks: Locks | null }} KeyStroke
 * @typedef {{ type: 'key', key: number, pressed: boolean, locks: Locks | null }} KeyChange
 */

/** The two parts of an AltGr stroke on Windows are reported at most this many milliseconds apart. */
const ALT_GRAPH_WINDOW = 2;

const META = Object.freeze(['MetaLeft', 'MetaRight', 'OSLeft', 'OSRight']);

const MODIFIERS = Object.freeze([
  'AltLeft',
  'AltRight',
  'ControlLeft',
  'ControlRight',
  'ShiftLeft',
  'ShiftRight',
  ...META,
]);

export class HeldKeys {
  /** Code to the time it went down. @type {Map<string, number>} */
  #held = new Map();
  #platform;

  /** @param {Platform} platform */
  constructor(platform) {
    this.#platform = platform;
  }

  /** How many keys are down. */
  get size() {
    return this.#held.size;
  }

  /** @param {string} code */
  has(code) {
    return this.#held.has(code);
  }

  /**
   * @param {KeyStroke} stroke
   * @returns {KeyChange[]}
   */
  press(stroke) {
    if (this.#platform === 'mac' && stroke.code === 'CapsLock') return fullStroke(stroke.code);
    if (stroke.repeat || this.#held.has(stroke.code)) return [];
    const change = keyChange(stroke.code, true, stroke.locks);
    if (change.length === 0) return [];
    const undone = this.#takeBackFalseControl(stroke);
    this.#held.set(stroke.code, stroke.timeStamp);
    return [...undone, ...change];
  }

  /**
   * @param {string} code
   * @returns {KeyChange[]}
   */
  release(code) {
    if (this.#platform === 'mac' && code === 'CapsLock') return fullStroke(code);
    if (!this.#held.delete(code)) return [];
    const swallowed =
      this.#platform === 'mac' && META.includes(code) ? this.#releaseNonModifiers() : [];
    return [...swallowed, ...keyChange(code, false)];
  }

  /** Forgets all keys. @returns {boolean} whether any was down */
  releaseAll() {
    const any = this.#held.size > 0;
    this.#held.clear();
    return any;
  }

  /**
   * @param {KeyStroke} stroke
   * @returns {KeyChange[]}
   */
  #takeBackFalseControl(stroke) {
    const controlSince = this.#held.get('ControlLeft');
    const isAltGraph =
      this.#platform === 'windows' &&
      stroke.code === 'AltRight' &&
      controlSince !== undefined &&
      stroke.timeStamp - controlSince <= ALT_GRAPH_WINDOW;
    return isAltGraph ? this.release('ControlLeft') : [];
  }

  /** @returns {KeyChange[]} */
  #releaseNonModifiers() {
    const codes = [...this.#held.keys()].filter((code) => !MODIFIERS.includes(code));
    return codes.flatMap((code) => this.release(code));
  }
}

/**
 * @param {string} code
 * @returns {KeyChange[]}
 */
function fullStroke(code) {
  return [...keyChange(code, true), ...keyChange(code, false)];
}

/**
 * @param {string} code
 * @param {boolean} pressed
 * @param {Locks | null} [locks] while it goes down
 * @returns {KeyChange[]} none for a key the desktop does not know
 */
function keyChange(code, pressed, locks = null) {
  const key = evdevKey(code);
  return key === null ? [] : [{ type: 'key', key, pressed, locks }];
}
