// Decides when to send the pointer's position: at once, but not more often than the desktop can use.
//
// Motion is sent unreliably, so the last position of a movement is sent again when the pointer rests:
// a lost packet must not leave the desktop's pointer elsewhere.

/** Shortest time between two motions in milliseconds: 250 a second. */
export const MOTION_INTERVAL = 4;

/** A pointer that has not moved for this many milliseconds rests. */
export const REST_AFTER = 60;

/** @typedef {{ x: number, y: number }} Place fractions of the output × 65535 */

export class MotionPacer {
  #sequence = 0;
  /** @type {Place | null} */
  #waiting = null;
  /** @type {Place | null} */
  #unconfirmed = null;
  #sentAt = -Infinity;

  /**
   * @param {Place} place
   * @param {number} now
   */
  move(place, now) {
    this.#waiting = place;
    return this.poll(now);
  }

  /**
   * @param {number} now
   * @returns {{ type: 'pointerTo', sequence: number, x: number, y: number } | null} what to send
   */
  poll(now) {
    if (this.#waiting !== null && now >= this.#sentAt + MOTION_INTERVAL) {
      const place = this.#waiting;
      this.#waiting = null;
      this.#unconfirmed = place;
      return this.#stamp(place, now);
    }
    if (this.#unconfirmed !== null && now >= this.#sentAt + REST_AFTER) {
      const place = this.#unconfirmed;
      this.#unconfirmed = null;
      return this.#stamp(place, now);
    }
    return null;
  }

  /** When to poll next, null when there is nothing to send. */
  get deadline() {
    if (this.#waiting !== null) return this.#sentAt + MOTION_INTERVAL;
    return this.#unconfirmed === null ? null : this.#sentAt + REST_AFTER;
  }

  /** The desktop learned the position otherwise: a button message contained it. */
  settle() {
    this.#waiting = null;
    this.#unconfirmed = null;
  }

  /**
   * @param {Place} place
   * @param {number} now
   */
  #stamp(place, now) {
    this.#sentAt = now;
    this.#sequence = (this.#sequence + 1) & 0xffff;
    return { type: /** @type {const} */ ('pointerTo'), sequence: this.#sequence, ...place };
  }
}
