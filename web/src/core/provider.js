// Signing in by an identity provider: where the server sends this browser, and what it comes back with. While it is
// away the page keeps what its attempt is called, which nobody else knows: so an address with somebody else's answer
// signs nobody in here.

/** @import { Refusal } from './refusal.js' */

/** @typedef {{ attempt: string, url: string }} Visit */

/**
 * @param {unknown} value what the server answers
 * @returns {Visit | null} null if it sends nobody anywhere
 */
export function parseVisit(value) {
  if (typeof value !== 'object' || value === null) return null;
  if (!('attempt' in value) || typeof value.attempt !== 'string') return null;
  if (!('visit' in value) || typeof value.visit !== 'string') return null;
  // Any other would be run by this page, or opened by another program.
  return /^https?:\/\//i.test(value.visit) ? { attempt: value.attempt, url: value.visit } : null;
}

/**
 * @param {string | null} header what the server calls the provider, as in a URL
 * @returns {string} empty if there is none
 */
export function parseName(header) {
  try {
    return decodeURIComponent(header ?? '');
  } catch {
    return '';
  }
}

/**
 * What somebody reads who was not signed in.
 * @param {string} query with which the browser came back
 * @param {Refusal} refusal the server's
 * @param {string} name of the provider
 */
export function reasonFor(query, { type, reason }, name) {
  const cancelled = new URLSearchParams(query).get('error') === 'access_denied';
  if (cancelled) return `You cancelled signing in, or ${name} does not let you in here.`;
  // There was neither a password nor an answer that could be wrong.
  return type === 'wrong' ? `${name} has signed you in, but your account may not sign in here.` : reason;
}

/** The attempt whose browser is away, kept for its window. */
export class Errand {
  #place;
  #store;

  /**
   * @param {string} path of the page
   * @param {() => Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>} store throws where the browser forbids storage
   */
  constructor(path, store) {
    this.#place = `lumen-errand ${path}`;
    this.#store = store;
  }

  /**
   * @param {string} attempt
   * @returns {boolean} whether it is kept
   */
  keep(attempt) {
    try {
      this.#store().setItem(this.#place, attempt);
      return true;
    } catch {
      return false;
    }
  }

  /** The attempt, which is over with that; null if this window has none. */
  take() {
    try {
      const attempt = this.#store().getItem(this.#place);
      this.#store().removeItem(this.#place);
      return attempt;
    } catch {
      return null;
    }
  }
}
