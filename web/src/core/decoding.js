// Whether this browser decodes the desktop's pictures: a state machine that takes what was sent and
// what is shown, and returns what to do about it.
//
// The desktop reports the RTP time of the picture it sent last; silence means nothing, because a
// still desktop sends none. A picture that is not shown some time after that is missing. First a
// whole picture is requested, again and again. If the browser then receives pictures over a network
// that loses nothing, but decodes none, they may be too large for its decoder: smaller ones are
// requested, and the limit is remembered. Where packets are lost the network is at fault: what arrives
// refers to pictures that did not. If nothing helps, another path is sought, and all is tried once more.
// Only then is the connection given up, and only if it answers: whether one that is silent can be
// mended, `path` decides.

import { MAX_MACROBLOCKS } from './frame-size.js';

/** A picture is missing this many milliseconds after it was sent. */
export const PATIENCE = 1000;
/** The same after another size was requested, because every app must redraw. */
export const SIZE_PATIENCE = 2000;

/** How often pictures that do not arrive are requested. */
export const MAX_KEYFRAMES = 5;
/** How often pictures have to arrive without a loss, and without being decoded, until the decoder is
 * blamed: those that arrive first may refer to one that was lost before. */
const BLAMED_AFTER = 2;
/** The same where the network loses packets, and another path was of no use. */
const BLAMED_DESPITE_LOSS_AFTER = 4;
/** How often smaller pictures are requested. */
const MAX_SIZES = 2;

/** Macroblocks that decoders commonly support: level 5, 1080p, 720p, and the capacity of a phone. */
const STEPS = [22080, 8192, 3600, 1620];

/**
 * The problem to show:
 * - `missed`: a picture does not appear, and another is requested.
 * - `lost`: pictures do not arrive, and are requested again.
 * - `astray`: neither helped, and another path is sought.
 * - `tooLarge`: the browser does not decode what it receives, and smaller pictures are requested.
 * - `undecodable`, `unreceived`: no picture was decoded, or none arrived; the connection is given up.
 * @typedef {'missed' | 'lost' | 'astray' | 'tooLarge' | 'undecodable' | 'unreceived'} Trouble
 * What to do; `saySmaller`: smaller pictures were requested and are shown.
 * @typedef {'askKeyframe' | 'askPath' | 'askSize' | 'saySmaller' | 'giveUp'} Action
 * @typedef {{ received: number, decoded: number, lost: number }} Counts of whole pictures, and of packets
 * `blamed`: how often pictures arrived, since packets were lost last, and were not decoded; `answered`: whether the desktop was
 * heard since another path was sought.
 * @typedef {Counts & { name: 'missing', time: number, until: number, keyframes: number, sizes: number,
 *   blamed: number, strayed: boolean, answered: boolean }} Missing
 * @typedef {{ name: 'well' } | { name: 'awaiting', time: number, until: number } | Missing} State
 * @typedef {{ type: 'sent', time: number, shown: number | null }
 *   | { type: 'shown', shown: number | null }
 *   | { type: 'resized', macroblocks: number }
 *   | Counts & { type: 'looked', shown: number | null }
 *   | { type: 'replaced' }} Event RTP times of pictures, and how many the browser has received whole
 *   and decoded, and how many packets it has missed, since the connection began
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
        else if (this.#state.name === 'missing') this.#state.answered = true;
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
   * @param {Counts & { shown: number | null }} look
   * @param {number} now
   * @returns {Action[]}
   */
  #looked({ shown, received, decoded, lost }, now) {
    // A browser that decodes but does not report the shown picture cannot be judged.
    const seen = this.#see(shown ?? (decoded > 0 ? this.#newest : null), now);
    const state = this.#state;
    if (state.name === 'well' || now < state.until) return seen;
    if (state.name === 'awaiting') {
      const { time } = state;
      const tried = { keyframes: 0, sizes: 0, blamed: 0, strayed: false, answered: false };
      const counts = { received, decoded, lost };
      return this.#ask({ name: 'missing', time, until: 0, ...counts, ...tried }, now);
    }
    if (decoded > state.decoded) {
      // It is only slow.
      this.#trouble = null;
      this.#await(now);
      return [];
    }
    const loses = lost !== state.lost;
    // After another size was requested, the app need not have drawn anything that could arrive.
    const arrives = received > state.received || state.sizes > 0;
    const blamed = loses && !state.strayed ? 0 : state.blamed + Number(arrives);
    const tried = { ...state, received, decoded, lost, blamed };
    return blamed >= neededBlame(state, loses) ? this.#shrink(tried, now) : this.#ask(tried, now);
  }

  /**
   * Requests a whole picture.
   * @param {Missing} state
   * @param {number} now
   * @returns {Action[]}
   */
  #ask(state, now) {
    if (state.keyframes >= MAX_KEYFRAMES) {
      if (!state.strayed) return this.#stray(state, now);
      // A desktop that cannot be heard cannot be connected to anew, either.
      if (state.answered) return this.#giveUp('unreceived');
    }
    this.#trouble = state.keyframes === 0 && !state.strayed ? 'missed' : 'lost';
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
    if (smaller === undefined || state.sizes === MAX_SIZES) {
      return state.strayed ? this.#giveUp('undecodable') : this.#stray(state, now);
    }
    this.#trouble = 'tooLarge';
    this.#most = smaller;
    this.#state = { ...state, sizes: state.sizes + 1, blamed: 0, until: now + SIZE_PATIENCE };
    return ['askSize'];
  }

  /**
   * Seeks another path, and begins the requests once more.
   * @param {Missing} state
   * @param {number} now
   * @returns {Action[]}
   */
  #stray(state, now) {
    this.#trouble = 'astray';
    const tried = { keyframes: 0, blamed: 0, strayed: true, answered: false };
    this.#state = { ...state, ...tried, until: now + PATIENCE };
    return ['askPath'];
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
 * @param {Missing} state
 * @param {boolean} loses packets
 * @returns {number} how often the decoder must be blamed until smaller pictures are requested
 */
function neededBlame({ sizes, strayed }, loses) {
  if (loses) return BLAMED_DESPITE_LOSS_AFTER;
  return sizes > 0 && !strayed ? 1 : BLAMED_AFTER;
}

/**
 * @param {number} time
 * @param {number | null} shown the time of the picture shown last
 * @returns {boolean} whether the picture of that time, or a later one, is shown; times wrap
 */
function isShown(time, shown) {
  return shown !== null && ((shown - time) | 0) >= 0;
}
