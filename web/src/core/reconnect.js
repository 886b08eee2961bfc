// How long to wait before the next attempt: not at all, then ever longer.

const FIRST_DELAY = 100;
const MAX_DELAY = 5000;
const JITTER = 0.25;

/** A connection that lasted so many milliseconds was a good one: the next loss starts anew. */
export const GOOD_AFTER = 2000;

export class Backoff {
  #failures = 0;
  #random;

  /** @param {() => number} random 0 ≤ number < 1; spreads pages that lost the same server */
  constructor(random = Math.random) {
    this.#random = random;
  }

  /** Attempts that failed in a row. */
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
