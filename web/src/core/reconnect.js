// How long to wait before the next attempt: none at first, then ever longer.

const FIRST_DELAY = 100;
const MAX_DELAY = 5000;
const JITTER = 0.25;

/** A connection that lasted this many milliseconds was good: the next loss starts over. */
export const GOOD_AFTER = 2000;

export class Backoff {
  #failures = 0;
  #random;

  /** @param {() => number} random 0 ≤ number < 1; spreads the attempts of pages that lost the same server */
  constructor(random = Math.random) {
    this.#random = random;
  }

  /** Number of consecutive failed attempts. */
  get failures() {
    return this.#failures;
  }

  /** An attempt failed. @returns {number} milliseconds until the next */
  fail() {
    this.#failures += 1;
    if (this.#failures === 1) return 0;
    const full = Math.min(FIRST_DELAY * 2 ** (this.#failures - 2), MAX_DELAY);
    return Math.round(full * (1 - JITTER * this.#random()));
  }

  /** @param {number} lasted milliseconds the connection was of use */
  ended(lasted) {
    if (lasted >= GOOD_AFTER) this.#failures = 0;
  }
}
