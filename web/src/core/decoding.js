// Whether this browser decodes the desktop's pictures: a state machine that takes what was sent and
// what is shown, and returns what to do about it.
//
// The desktop reports the RTP time of the picture it sent last; silence means nothing, because a
// still desktop sends none. A picture that is not shown some time after that is missing. First a
// whole picture is requested. If the browser then receives pictures but decodes none, they may be too
// large for its decoder: smaller ones are requested, and the limit is remembered. If none arrives,
// the network is at fault, and only repeating the request can help. In the end the connection is
// given up.

import { MAX_MACROBLOCKS } from './frame-size.js';

/** A picture is missing this many milliseconds after it was sent. */
export const PATIENCE = 1000;
/** The same after another size was requested, because every app must redraw. */
export const SIZE_PATIENCE = 2000;

/** How often pictures that do not arrive are requested. */
const MAX_KEYFRAMES = 5;
/** How often smaller pictures are requested. */
const MAX_SIZES = 2;

/** Macroblocks that decoders commonly support: level 5, 1080p, 720p, and the capacity of a phone. */
const STEPS = [22080, 8192, 3600, 1620];

/**
 * The problem to show:
 * - `missed`: a picture does not appear, and another is requested.
 * - `lost`: pictures do not arrive, and are requested again.
 * - `tooLarge`: the browser does not decode what it receives, and smaller pictures are requested.
 * - `undecodable`, `unreceived`: no picture was decoded, or none arrived; the connection is given up.
 * @typedef {'missed' | 'lost' | 'tooLarge' | 'undecodable' | 'unreceived'} Trouble
 * What to do; `saySmaller`: smaller pictures were requested and are shown.
 * @typedef {'askKeyframe' | 'askSize' | 'saySmaller' | 'giveUp'} Action
 * @typedef {{ name: 'missing', time: number, until: number, received: number, decoded: number,
 *   keyframes: number, sizes: number }} Missing
 * @typedef {{ name: 'well' } | { name: 'awaiting', time: number, until: number } | Missing} State
 * @typedef {{ type: 'sent', time: number, shown: number | null }
 *   | { type: 'shown', shown: number | null }
 *   | { type: 'resized', macroblocks: number }
 *   | { type: 'looked', shown: number | null, received: number, decoded: number }
 *   | { type: 'replaced' }} Event RTP times of pictures, and how many the browser has received whole
 *   and decoded since the connection began
 */

export class Decoding {
  /** @type {State} */
  #state = { name: 'well' };
  #newest = 0;
  #desktop = MAX_MACROBLOCKS;
  #most = MAX_MACROBLOCKS;
  /** @type {Trouble | null} */
  #trouble = null;

  /** When to check, null when nothing is expected. */
  get deadline() {
    return this.#state.name === 'well' ? null : this.#state.until;
  }

  /** How many macroblocks the desktop may have. */
  get mostMacroblocks() {
    return this.#most;
  }

  get trouble() {
    return this.#trouble;
  }

  /**
   * @param {Event} event
   * @param {number} now milliseconds
   * @returns {Action[]}
   */
  handle(event, now) {
    switch (event.type) {
      case 'sent':
        this.#newest = event.time;
        if (this.#state.name === 'well') this.#await(now);
        return this.#see(event.shown, now);
      case 'shown':
        return this.#see(event.shown, now);
      case 'resized':
        this.#desktop = event.macroblocks;
        return [];
      case 'looked':
        return this.#looked(event, now);
      case 'replaced':
        // The problem for which the connection was given up persists.
        if (this.#state.name !== 'well') this.#trouble = null;
        this.#state = { name: 'well' };
        return [];
    }
  }

  /** @param {number} now */
  #await(now) {
    this.#state = { name: 'awaiting', time: this.#newest, until: now + PATIENCE };
  }

  /**
   * Takes the shown picture as an answer if it is the expected one.
   * @param {number | null} shown
   * @param {number} now
   * @returns {Action[]}
   */
  #see(shown, now) {
    const state = this.#state;
    if (state.name === 'well' || !isShown(state.time, shown)) return [];
    this.#trouble = null;
    if (isShown(this.#newest, shown)) this.#state = { name: 'well' };
    else this.#await(now);
    return state.name === 'missing' && state.sizes > 0 ? ['saySmaller'] : [];
  }

  /**
   * @param {{ shown: number | null, received: number, decoded: number }} look
   * @param {number} now
   * @returns {Action[]}
   */
  #looked({ shown, received, decoded }, now) {
    // A browser that decodes but does not report the shown picture cannot be judged.
    const seen = this.#see(shown ?? (decoded > 0 ? this.#newest : null), now);
    const state = this.#state;
    if (state.name === 'well' || now < state.until) return seen;
    if (state.name === 'awaiting') {
      const { time } = state;
      const counts = { received, decoded, keyframes: 0, sizes: 0 };
      return this.#ask({ name: 'missing', time, until: 0, ...counts }, now);
    }
    if (decoded > state.decoded) {
      // It is only slow.
      this.#trouble = null;
      this.#await(now);
      return [];
    }
    const arrives = received > state.received || state.sizes > 0;
    return arrives ? this.#shrink(state, now) : this.#ask(state, now);
  }

  /**
   * Requests a whole picture.
   * @param {Missing} state
   * @param {number} now
   * @returns {Action[]}
   */
  #ask(state, now) {
    if (state.keyframes === MAX_KEYFRAMES) return this.#giveUp('unreceived');
    this.#trouble = state.keyframes === 0 ? 'missed' : 'lost';
    this.#state = { ...state, keyframes: state.keyframes + 1, until: now + PATIENCE };
    return ['askKeyframe'];
  }

  /**
   * Requests smaller pictures.
   * @param {Missing} state
   * @param {number} now
   * @returns {Action[]}
   */
  #shrink(state, now) {
    const smaller = STEPS.find((step) => step < Math.min(this.#desktop, this.#most));
    if (smaller === undefined || state.sizes === MAX_SIZES) return this.#giveUp('undecodable');
    this.#trouble = 'tooLarge';
    this.#most = smaller;
    this.#state = { ...state, sizes: state.sizes + 1, until: now + SIZE_PATIENCE };
    return ['askSize'];
  }

  /**
   * @param {Trouble} trouble
   * @returns {Action[]}
   */
  #giveUp(trouble) {
    this.#trouble = trouble;
    this.#state = { name: 'well' };
    // Smaller pictures did not help. If pictures do not even arrive, nothing is known about decoding,
    // so the next connection keeps to what this browser is known to show.
    if (trouble === 'undecodable') this.#most = MAX_MACROBLOCKS;
    return ['giveUp'];
  }
}

/**
 * @param {number} time
 * @param {number | null} shown the time of the picture shown last
 * @returns {boolean} whether the picture of that time, or a later one, is shown; times wrap
 */
function isShown(time, shown) {
  return shown !== null && ((shown - time) | 0) >= 0;
}
