// Turns the browser's snapshots of gamepads into messages about changes.
//
// A browser may report anything about a pad: values that are not numbers, axes out of range, pressed
// buttons without a value. Messages are always in range. Each contains the complete state of a pad
// and a sequence number, by which the desktop drops late ones.

/** @import { InputMessage } from './input-codec.js' */

/** Most pads of one browser in a session. */
export const MAX_PADS = 4;

/** A stick this close to its centre is at rest, because no stick is perfectly still. */
export const REST = 0.02;

/** The buttons of the standard mapping, and one that Chromium numbers after them. */
const BUTTONS = 18;
const LEFT_TRIGGER = 6;
const RIGHT_TRIGGER = 7;
const UP = 12;

/**
 * The relevant part of a `Gamepad`.
 * @typedef {{ readonly index: number, readonly connected: boolean, readonly mapping: string,
 *   readonly axes: readonly number[],
 *   readonly buttons: readonly { readonly pressed: boolean, readonly value: number }[] }} PadSnapshot
 * @typedef {{ buttons: number, sticks: [number, number, number, number],
 *   triggers: [number, number] }} PadState
 * @typedef {(message: InputMessage) => boolean} Send whether it could be sent
 */

/** @type {PadState} */
const AT_REST = { buttons: 0, sticks: [0, 0, 0, 0], triggers: [0, 0] };

/**
 * The layout in browsers without a mapping of their own, as Linux numbers buttons: the standard
 * button of each button. All have sticks and triggers on axes 0 to 5 and the directional pad on the
 * last two.
 */
const LINUX_BUTTONS = Object.freeze({
  11: [0, 1, 2, 3, 4, 5, 8, 9, 16, 10, 11],
  13: [0, 1, 3, 2, 4, 5, 6, 7, 8, 9, 16, 10, 11],
});

/**
 * Whether a pad has the layout that the desktop expects.
 * @param {PadSnapshot} pad
 */
export function isMapped(pad) {
  return pad.mapping === 'standard' || linuxButtons(pad) !== undefined;
}

/**
 * @param {PadSnapshot} pad
 * @returns {PadState}
 */
export function stateOf(pad) {
  const buttons = pad.mapping === 'standard' ? undefined : linuxButtons(pad);
  return buttons === undefined ? standardState(pad) : linuxState(pad, buttons);
}

/** All pads of this browser, as the desktop knows them. */
export class Pads {
  /** @type {Map<number, PadState>} */
  #told = new Map();
  /** @type {Map<number, number>} */
  #sequences = new Map();

  /** Whether the desktop knows any pad. */
  get any() {
    return this.#told.size > 0;
  }

  /** Whether a button of any pad is pressed, or a stick or trigger is moved. */
  get isHeld() {
    return [...this.#told.values()].some((state) => !isSame(state, AT_REST));
  }

  /**
   * Sends what has changed.
   * @param {readonly (PadSnapshot | null)[]} snapshots
   * @param {Send} send
   */
  look(snapshots, send) {
    const present = snapshots.filter((pad) => pad !== null && pad.connected && isUsable(pad));
    for (const index of [...this.#told.keys()]) {
      if (present.some((pad) => pad?.index === index)) continue;
      if (send({ type: 'padUnplugged', pad: index, sequence: this.#next(index) })) {
        this.#told.delete(index);
      }
    }
    for (const pad of present) if (pad !== null) this.#tell(pad.index, stateOf(pad), send);
  }

  /**
   * Releases everything; the pads stay plugged in.
   * @param {Send} send
   */
  release(send) {
    for (const index of this.#told.keys()) this.#tell(index, AT_REST, send);
  }

  /** A new desktop does not know the pads. */
  forget() {
    this.#told.clear();
    this.#sequences.clear();
  }

  /**
   * @param {number} index
   * @param {PadState} state
   * @param {Send} send
   */
  #tell(index, state, send) {
    const told = this.#told.get(index);
    if (told !== undefined && isSame(told, state)) return;
    const message = { type: /** @type {const} */ ('pad'), pad: index, ...state };
    if (send({ ...message, sequence: this.#next(index) })) this.#told.set(index, state);
  }

  /** @param {number} index */
  #next(index) {
    const sequence = ((this.#sequences.get(index) ?? 0) + 1) % 0x1_0000;
    this.#sequences.set(index, sequence);
    return sequence;
  }
}

/** @param {PadSnapshot} pad */
function isUsable({ index }) {
  return Number.isInteger(index) && index >= 0 && index < MAX_PADS;
}

/**
 * @param {PadSnapshot} pad
 * @returns {PadState}
 */
function standardState(pad) {
  return {
    buttons: mask(pad, (place) => place),
    sticks: [stick(pad.axes[0]), stick(pad.axes[1]), stick(pad.axes[2]), stick(pad.axes[3])],
    triggers: [trigger(pad.buttons[LEFT_TRIGGER]), trigger(pad.buttons[RIGHT_TRIGGER])],
  };
}

/**
 * @param {PadSnapshot} pad
 * @param {readonly number[]} places
 * @returns {PadState}
 */
function linuxState(pad, places) {
  const [x, y, left, rx, ry, right, hatX, hatY] = pad.axes;
  const hat = [(hatY ?? 0) < -0.5, (hatY ?? 0) > 0.5, (hatX ?? 0) < -0.5, (hatX ?? 0) > 0.5];
  const directions = hat.reduce((bits, on, place) => bits | (Number(on) << (UP + place)), 0);
  // From −1 at rest to 1, but 0 until it is moved for the first time.
  const pulled = (/** @type {number | undefined} */ axis) =>
    axis === 0 ? 0 : Math.round((clamp(axis ?? -1, -1, 1) + 1) * 127.5);
  const triggers = /** @type {[number, number]} */ ([pulled(left), pulled(right)]);
  const pressed =
    (Number(triggers[0] > 0) << LEFT_TRIGGER) | (Number(triggers[1] > 0) << RIGHT_TRIGGER);
  return {
    buttons: mask(pad, (place) => places[place]) | directions | pressed,
    sticks: [stick(x), stick(y), stick(rx), stick(ry)],
    triggers,
  };
}

/**
 * @param {PadSnapshot} pad
 * @returns {readonly number[] | undefined}
 */
function linuxButtons({ axes, buttons }) {
  if (axes.length !== 8) return undefined;
  if (buttons.length === 11) return LINUX_BUTTONS[11];
  return buttons.length === 13 ? LINUX_BUTTONS[13] : undefined;
}

/**
 * @param {PadSnapshot} pad
 * @param {(place: number) => number | undefined} standard
 */
function mask({ buttons }, standard) {
  let bits = 0;
  buttons.forEach((button, place) => {
    const bit = standard(place);
    if (button.pressed && bit !== undefined && bit < BUTTONS) bits |= 1 << bit;
  });
  return bits;
}

/** @param {number | undefined} axis */
function stick(axis) {
  const value = clamp(axis ?? 0, -1, 1);
  return Math.abs(value) < REST ? 0 : Math.round(value * 0x7fff);
}

/** @param {{ pressed: boolean, value: number } | undefined} button */
function trigger(button) {
  if (button === undefined) return 0;
  const value = Math.round(clamp(button.value, 0, 1) * 255);
  return value === 0 && button.pressed ? 255 : value;
}

/**
 * @param {number} value
 * @param {number} least
 * @param {number} most
 */
function clamp(value, least, most) {
  // NaN counts as rest; infinities are the ends of the range.
  return Number.isNaN(value) ? 0 : Math.min(Math.max(value, least), most);
}

/**
 * @param {PadState} one
 * @param {PadState} other
 */
function isSame(one, other) {
  return (
    one.buttons === other.buttons &&
    one.sticks.every((axis, place) => axis === other.sticks[place]) &&
    one.triggers.every((axis, place) => axis === other.triggers[place])
  );
}
