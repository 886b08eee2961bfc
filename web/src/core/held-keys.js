// The keys that the viewer holds, so that every key that went down comes up, and the desktop types
// what the viewer typed.
//
// Browsers lose key releases in known ways; each has its rule here:
// - Every event reports which modifiers are on, and the held keys are made to agree (modifiers.js).
// - A key that goes down again without having come up has lost its release.
// - macOS reports no release of a key while Meta (⌘) is held: such a key, and each of its repeats, is
//   a full stroke. Keys that went down before Meta are released together with it.
// - macOS reports CapsLock as down when it locks and up when it unlocks: each is a full stroke.
// - Windows reports AltGr as ControlLeft and AltRight at the same instant, and apps would see
//   Ctrl+AltGr: the false ControlLeft is released again.
// - A window that loses the focus gets no releases: `releaseAll` forgets everything, and one message
//   makes the desktop do the same.
// - A key that the viewer's input method consumes is not pressed: it results in text, which no key
//   types. A dead key is pressed like any other: the desktop's layout composes.
//
// The desktop releases keys that it has not heard of for a while. So held keys are repeated whenever
// it matters, with each repeat and before each other key and button: that either changes nothing
// there, or presses again what was released.

import { evdevKey } from './keymap.js';
import { corrections, modifiersOf, modifiersOfCode, modifiersOfKey } from './modifiers.js';

/** @import { Locks, Platform } from './locks.js' */
/** @import { Modifier, Modifiers, ReportingEvent } from './modifiers.js' */

/**
 * A key event. `age` is how many milliseconds ago it happened.
 * @typedef {ReportingEvent & { code: string, key: string, repeat: boolean, timeStamp: number,
 *   isComposing: boolean, keyCode: number }} KeyEvent
 * @typedef {{ event: KeyEvent, age: number, locks: Locks | null }} KeyStroke
 * @typedef {{ type: 'key', key: number, pressed: boolean, locks: Locks | null }} KeyChange
 * @typedef {{ since: number, kinds: Modifiers, standsIn: boolean }} Hold
 */

/** Windows reports the two parts of an AltGr stroke at most this many milliseconds apart. */
const ALT_GRAPH_WINDOW = 2;

/** An older repeat was delayed because the browser was busy; the key may be up by now. */
const STALE_AFTER = 250;

/** `KeyboardEvent.keyCode` of a key that an input method has taken (UI Events, section 7.3.2). */
const TAKEN_BY_INPUT_METHOD = 229;

export class HeldKeys {
  /** Keyed by code. @type {Map<string, Hold>} */
  #held = new Map();
  /** When the youngest key event happened. */
  #youngest = -Infinity;
  #platform;

  /** @param {Platform} platform */
  constructor(platform) {
    this.#platform = platform;
  }

  /** How many keys are down. */
  get size() {
    return this.#held.size;
  }

  /** @param {Modifier} modifier */
  holds(modifier) {
    return [...this.#held.values()].some(({ kinds }) => kinds.has(modifier));
  }

  /**
   * @param {KeyStroke} stroke
   * @returns {KeyChange[]}
   */
  press({ event, age, locks }) {
    const { code, key, repeat, timeStamp } = event;
    if (evdevKey(code) === null || isTakenByInputMethod(event)) return [];
    if (this.#platform === 'mac' && code === 'CapsLock') return fullStroke(code, null);
    if (repeat) return age > STALE_AFTER ? [] : this.#repeat(event, locks);
    this.#youngest = Math.max(this.#youngest, timeStamp);
    const kinds = modifiersOfKey(code, key);
    const before = kinds.size > 0 ? this.#letGo(event, kinds) : this.#agree(event);
    const stale = this.#held.get(code);
    if (stale && !stale.standsIn) before.push(...this.release(code));
    if (kinds.size === 0 && this.#swallowsReleases) return [...before, ...fullStroke(code, locks)];
    before.push(...this.#takeBackFalseControl(code, timeStamp));
    this.#held.set(code, { since: timeStamp, kinds, standsIn: false });
    return [...before, ...keyChange(code, true, locks)];
  }

  /**
   * @param {string} code
   * @returns {KeyChange[]}
   */
  release(code) {
    if (this.#platform === 'mac' && code === 'CapsLock') return fullStroke(code, null);
    const hold = this.#held.get(code);
    if (!hold) return [];
    const swallowed = this.#swallowsReleases && hold.kinds.has('meta') ? this.#plainKeys() : [];
    return [...swallowed, code].flatMap((one) => this.#lift(one));
  }

  /**
   * A key came up: it, its stand-in for a modifier, and keys whose release is not reported.
   * @param {ReportingEvent & { code: string, key: string, timeStamp: number }} event
   * @returns {KeyChange[]}
   */
  releaseBy(event) {
    this.#youngest = Math.max(this.#youngest, event.timeStamp);
    const kinds = modifiersOfKey(event.code, event.key);
    const standIns = [...this.#held]
      .filter(([, hold]) => hold.standsIn && [...hold.kinds].some((kind) => kinds.has(kind)))
      .map(([code]) => code);
    const released = [event.code, ...standIns].flatMap((code) => this.release(code));
    return [...released, ...this.#letGo(event, kinds)];
  }

  /**
   * Releases the modifiers that a pointer event does not report; if the event acts on the desktop
   * (`acts`), those that it does report are down afterwards.
   * @param {ReportingEvent & { timeStamp: number }} event
   * @param {boolean} acts
   * @returns {KeyChange[]}
   */
  heed(event, acts) {
    if (!acts && this.#held.size === 0) return [];
    // Motion waits for the page's next frame; keys do not.
    if (event.timeStamp < this.#youngest) return [];
    return acts ? this.#agree(event) : this.#letGo(event);
  }

  /** Forgets all keys. @returns {boolean} whether any was down */
  releaseAll() {
    const any = this.#held.size > 0;
    this.#held.clear();
    return any;
  }

  /** Whether the releases of other keys are not reported: macOS does so while Meta is held. */
  get #swallowsReleases() {
    return this.#platform === 'mac' && this.holds('meta');
  }

  /**
   * @param {KeyEvent} event
   * @param {Locks | null} locks
   * @returns {KeyChange[]}
   */
  #repeat(event, locks) {
    const hold = this.#held.get(event.code);
    if (!hold) return this.#swallowsReleases ? fullStroke(event.code, locks) : [];
    const before = hold.kinds.size > 0 ? [] : this.#agree(event);
    return [...before, ...keyChange(event.code, true, locks)];
  }

  /**
   * @param {ReportingEvent} event
   * @param {Modifiers} [silent]
   * @returns {KeyChange[]}
   */
  #letGo(event, silent) {
    return this.#corrections(event, silent).release.flatMap((code) => this.release(code));
  }

  /**
   * @param {ReportingEvent} event
   * @returns {KeyChange[]}
   */
  #agree(event) {
    const { release, press } = this.#corrections(event);
    const released = release.flatMap((code) => this.release(code));
    for (const code of press) {
      const kinds = modifiersOfCode(code);
      this.#held.set(code, { since: -Infinity, kinds, standsIn: true });
    }
    const modifiers = [...this.#held].filter(([, { kinds }]) => kinds.size > 0);
    return [...released, ...modifiers.flatMap(([code]) => keyChange(code, true, null))];
  }

  /**
   * @param {ReportingEvent} event
   * @param {Modifiers} [silent]
   */
  #corrections(event, silent) {
    const held = new Map([...this.#held].map(([code, { kinds }]) => [code, kinds]));
    return corrections(modifiersOf(event, this.#platform), held, this.#platform, silent);
  }

  /**
   * @param {string} code
   * @param {number} timeStamp
   * @returns {KeyChange[]}
   */
  #takeBackFalseControl(code, timeStamp) {
    const control = this.#held.get('ControlLeft');
    const isAltGraph =
      this.#platform === 'windows' &&
      code === 'AltRight' &&
      control !== undefined &&
      timeStamp - control.since <= ALT_GRAPH_WINDOW;
    return isAltGraph ? this.release('ControlLeft') : [];
  }

  /** Codes of the held keys that are not modifiers. */
  #plainKeys() {
    return [...this.#held].filter(([, { kinds }]) => kinds.size === 0).map(([code]) => code);
  }

  /**
   * @param {string} code
   * @returns {KeyChange[]}
   */
  #lift(code) {
    return this.#held.delete(code) ? keyChange(code, false, null) : [];
  }
}

/** @param {KeyEvent} event */
function isTakenByInputMethod({ isComposing, key, keyCode }) {
  return isComposing || key === 'Process' || keyCode === TAKEN_BY_INPUT_METHOD;
}

/**
 * @param {string} code
 * @param {Locks | null} locks
 * @returns {KeyChange[]}
 */
function fullStroke(code, locks) {
  return [...keyChange(code, true, locks), ...keyChange(code, false, null)];
}

/**
 * @param {string} code
 * @param {boolean} pressed
 * @param {Locks | null} locks while it goes down
 * @returns {KeyChange[]} none for a key that the desktop does not know
 */
function keyChange(code, pressed, locks) {
  const key = evdevKey(code);
  return key === null ? [] : [{ type: 'key', key, pressed, locks }];
}
