// Converts wheel events to notches and smooth scrolling.
//
// The desktop wants wheels in v120 (120 = one notch) and fingers in sixteenths of an output pixel.
// Browsers report both as one event. A wheel is recognised by
// - a unit of lines or pages (Firefox: three lines a notch), or
// - `wheelDelta` in whole multiples of 120 (Chromium, Safari), unless it is exactly three times the
//   pixels, which is how macOS trackpads count, or
// - pixels in whole multiples of 100 or 120, which is what Chromium gives for a notch, or
// - `wheelDelta` exactly 1.2 times the pixels: a wheel of higher resolution on Windows.
// Everything else is a smooth device. A remainder below one unit is kept for the next event.

/**
 * The relevant part of a `WheelEvent`. `wheelDeltaX` and `wheelDeltaY` point up and left, and Firefox
 * may lack them.
 * @typedef {{ deltaX: number, deltaY: number, deltaMode: number, wheelDeltaX?: number,
 *   wheelDeltaY?: number }} WheelTurn
 * @typedef {{ type: 'wheel', rightV120: number, downV120: number }
 *   | { type: 'scroll', rightSixteenths: number, downSixteenths: number }} WheelMessage
 */

const NOTCH = 120;
const LINES_PER_NOTCH = 3;
const MAC_TRACKPAD_RATIO = 3;
const FINE_WHEEL_RATIO = 1.2;
/** A notch moves a page by at least this many pixels, even at a zoom of 500 %. */
const LEAST_NOTCH_PIXELS = 16;
const I16_MAX = 32767;

const DELTA_LINES = 1;
const DELTA_PAGES = 2;

export class WheelCounter {
  /** The remainder, in the unit of the last event. */
  #rest = { right: 0, down: 0 };
  #smooth = false;

  /**
   * @param {WheelTurn} turn
   * @param {number} scale output pixels per CSS pixel
   * @returns {WheelMessage | null} null while less than one unit has accumulated
   */
  turn(turn, scale) {
    const notched = turn.deltaMode !== 0 || isWheel(turn);
    this.#switchTo(!notched);
    if (notched) {
      const { right, down } = this.#collect(v120(turn, 'X'), v120(turn, 'Y'));
      return right === 0 && down === 0 ? null : { type: 'wheel', rightV120: right, downV120: down };
    }
    const { right, down } = this.#collect(turn.deltaX * scale * 16, turn.deltaY * scale * 16);
    if (right === 0 && down === 0) return null;
    return { type: 'scroll', rightSixteenths: right, downSixteenths: down };
  }

  /**
   * No event arrived for a while.
   * @returns {WheelMessage | null} that fingers were lifted, if any were down
   */
  lift() {
    if (!this.#smooth) return null;
    this.#switchTo(false);
    return { type: 'scroll', rightSixteenths: 0, downSixteenths: 0 };
  }

  /** Whether fingers are on the device. */
  get scrolling() {
    return this.#smooth;
  }

  /** @param {boolean} smooth */
  #switchTo(smooth) {
    if (this.#smooth === smooth) return;
    this.#smooth = smooth;
    this.#rest = { right: 0, down: 0 };
  }

  /**
   * @param {number} right
   * @param {number} down
   */
  #collect(right, down) {
    const sum = { right: this.#rest.right + right, down: this.#rest.down + down };
    const whole = { right: wholeUnits(sum.right), down: wholeUnits(sum.down) };
    this.#rest = { right: rest(sum.right, whole.right), down: rest(sum.down, whole.down) };
    return whole;
  }
}

/** @param {WheelTurn} turn */
function isWheel(turn) {
  return axisIsWheel(turn.deltaX, turn.wheelDeltaX) && axisIsWheel(turn.deltaY, turn.wheelDeltaY);
}

/**
 * @param {number} pixels
 * @param {number} [wheelDelta]
 * @returns {boolean} also true for an axis that did not move
 */
function axisIsWheel(pixels, wheelDelta) {
  const distance = Math.abs(pixels);
  const ticks = Math.abs(wheelDelta ?? 0);
  if (distance === 0) return true;
  if (distance % 100 === 0 || distance % NOTCH === 0) return true;
  if (ticks === 0 || nearly(ticks, distance * MAC_TRACKPAD_RATIO)) return false;
  if (ticks % NOTCH === 0) return distance >= LEAST_NOTCH_PIXELS;
  return nearly(ticks, distance * FINE_WHEEL_RATIO);
}

/**
 * @param {WheelTurn} turn
 * @param {'X' | 'Y'} axis
 */
function v120(turn, axis) {
  const delta = turn[`delta${axis}`];
  if (turn.deltaMode === DELTA_PAGES) return delta * NOTCH;
  if (turn.deltaMode === DELTA_LINES) return (delta / LINES_PER_NOTCH) * NOTCH;
  const ticks = turn[`wheelDelta${axis}`] ?? 0;
  // Zero ticks with movement mean that the browser does not count them: 100 or 120 pixels are a
  // notch.
  if (ticks !== 0 && ticks % NOTCH === 0) return -ticks;
  if (delta % 100 === 0) return (delta / 100) * NOTCH;
  if (delta % NOTCH === 0) return delta;
  return -ticks;
}

/**
 * @param {number} one
 * @param {number} other
 */
function nearly(one, other) {
  return Math.abs(one - other) < 0.01;
}

/** @param {number} sum */
function wholeUnits(sum) {
  // Adding zero turns −0 into 0.
  return Math.min(Math.max(Math.trunc(sum), -I16_MAX), I16_MAX) + 0;
}

/**
 * @param {number} sum
 * @param {number} whole
 */
function rest(sum, whole) {
  // A jump beyond the range of one message is not scrolled later.
  return Math.abs(sum - whole) < 1 ? sum - whole : 0;
}
