// Proves to the desktop that its viewer is there: without that, nobody's input counts.
//
// The host gives a page a lease with a key. Whatever is between this page and the apps passes proofs on and
// cannot make them. Each proof answers a challenge, and the desktop answers each proof with the next
// challenge. A page that acts proves that it is there before its first input and then every two seconds;
// one that only watches proves nothing. While its viewer's microphone is on, its proofs prove that, too.

import { hmac } from './hmac.js';

/**
 * @typedef {{ id: Uint8Array<ArrayBuffer>, key: Uint8Array<ArrayBuffer>,
 *   challenge: Uint8Array<ArrayBuffer> }} Lease
 * @typedef {{ type: 'proof', lease: Uint8Array<ArrayBuffer>, tag: Uint8Array<ArrayBuffer> }} Proof
 */

/** Milliseconds after which a page that acts proves again that it is there (`PROOF_INTERVAL`). */
export const PROOF_INTERVAL = 2000;

/** A proof without an answer for this long was lost, or the lease does not count any more. */
const ANSWER_LIMIT = 3000;

/** A page that gets no lease asks again after this long: the host that was asked may have started just now,
 * and the desktop not have found it yet. */
export const LEASE_RETRY = 1000;

/** Input within this many milliseconds means that somebody still acts (`LEASE_LIFE`). */
const ACTIVE = 5000;

const ID_BYTES = 8;
const KEY_BYTES = 32;
const CHALLENGE_BYTES = 16;
const PROOF_LABEL = new TextEncoder().encode('lumen: presence ');
const SPEAKING_LABEL = new TextEncoder().encode('lumen: speaking ');
const NEXT_LABEL = new TextEncoder().encode('lumen: challenge');

export class Presence {
  /** @type {Lease | null} */
  #lease = null;
  /** Answered by the next proof. @type {Uint8Array<ArrayBuffer> | null} */
  #challenge = null;
  /** Whether that has been answered already, and whether over another connection. */
  #answered = false;
  #repeated = false;
  /** Whether the viewer's microphone is on, and whether the last proof said so. */
  #speaks = false;
  #provedSpeaking = false;
  #provedAt = -Infinity;
  #actedAt = -Infinity;
  #askedAt = -Infinity;

  /** Whether there is a lease. */
  get isLeased() {
    return this.#lease !== null;
  }

  /** Whether input over this connection counts only after the desktop's next challenge: the proof that names
   * the lease there may have counted already, over a connection that ended before the desktop's answer. */
  get awaitsChallenge() {
    return this.#answered && this.#repeated;
  }

  /**
   * There is another lease from now on.
   * @param {Lease} lease
   */
  leased(lease) {
    this.#lease = lease;
    this.#challenge = lease.challenge;
    this.#answered = false;
    this.#provedSpeaking = false;
    this.#provedAt = -Infinity;
  }

  /**
   * A connection is ready.
   * @param {number} now milliseconds
   * @returns {Proof | null} to send before anything else: it names the lease, even if it proves nothing,
   *   because its challenge was answered over an earlier connection
   */
  connected(now) {
    const repeated = this.#answered;
    const proof = this.#prove(now);
    this.#repeated = repeated;
    return proof;
  }

  /**
   * The viewer acts, or holds something.
   * @param {number} now
   * @returns {Proof | null} to send before the input
   */
  acts(now) {
    this.#actedAt = now;
    return this.#answered || now - this.#provedAt < PROOF_INTERVAL ? null : this.#prove(now);
  }

  /**
   * Called when the viewer's microphone is switched on or off, and again and again while it is on.
   * @param {boolean} on
   * @param {number} now
   * @returns {Proof | null} to send before what is said
   */
  speaks(on, now) {
    this.#speaks = on;
    if (on) this.#actedAt = now;
    const isDue = this.#provedSpeaking !== on || (on && now - this.#provedAt >= PROOF_INTERVAL);
    return isDue && !this.#answered ? this.#prove(now) : null;
  }

  /**
   * The desktop says what the next proof answers: because the last one was right, or because it does not
   * know the last one.
   * @param {Uint8Array<ArrayBuffer>} challenge
   * @param {number} now
   * @returns {Proof | null} to send at once, if the viewer acts and the desktop does not know that it is there
   */
  challenged(challenge, now) {
    if (this.#lease === null || this.#challenge === null) return null;
    if (challenge.length !== CHALLENGE_BYTES) return null;
    const counts = this.#answered && !this.#repeated;
    const isRight = counts && isEqual(challenge, next(this.#lease, this.#challenge));
    this.#challenge = challenge;
    this.#answered = false;
    // A proof that was made before the microphone was switched does not say so.
    if (isRight) return this.#provedSpeaking === this.#speaks ? null : this.#prove(now);
    this.#provedAt = -Infinity;
    return now - this.#actedAt < ACTIVE ? this.#prove(now) : null;
  }

  /**
   * Whether to ask for a lease: there is none, or it does not count any more.
   * @param {number} now
   */
  needsLease(now) {
    const unanswered = this.#answered && now - this.#provedAt >= ANSWER_LIMIT;
    if (this.isLeased && !unanswered) return false;
    if (now - this.#askedAt < ANSWER_LIMIT) return false;
    this.#askedAt = now;
    return true;
  }

  /** Whoever was asked for a lease is gone, or may have one by now. */
  forgetAsking() {
    this.#askedAt = -Infinity;
  }

  /**
   * @param {number} now
   * @returns {Proof | null}
   */
  #prove(now) {
    if (this.#lease === null || this.#challenge === null) return null;
    const { id, key } = this.#lease;
    this.#answered = true;
    this.#repeated = false;
    this.#provedAt = now;
    this.#provedSpeaking = this.#speaks;
    const label = this.#speaks ? SPEAKING_LABEL : PROOF_LABEL;
    return { type: 'proof', lease: id, tag: hmac(key, joined(label, id, this.#challenge)) };
  }
}

/**
 * @param {Lease} lease
 * @param {Uint8Array<ArrayBuffer>} challenge
 * @returns {Uint8Array<ArrayBuffer>} the challenge after this one
 */
function next({ key }, challenge) {
  return hmac(key, joined(NEXT_LABEL, challenge)).slice(0, CHALLENGE_BYTES);
}

/**
 * @param {unknown} value as the gateway sends it
 * @returns {Lease | null} null if it is none
 */
export function parseLease(value) {
  if (typeof value !== 'object' || value === null) return null;
  /** @param {string} name @param {number} length */
  const part = (name, length) => bytesOf(Reflect.get(value, name), length);
  const [id, key] = [part('id', ID_BYTES), part('key', KEY_BYTES)];
  const challenge = part('challenge', CHALLENGE_BYTES);
  return id && key && challenge && { id, key, challenge };
}

/**
 * @param {unknown} text hexadecimal digits
 * @param {number} length in bytes
 */
function bytesOf(text, length) {
  if (typeof text !== 'string' || text.length !== 2 * length) return null;
  if (!/^[0-9a-f]*$/.test(text)) return null;
  return Uint8Array.from({ length }, (_, place) => Number.parseInt(text.slice(2 * place, 2 * place + 2), 16));
}

/**
 * @param {Uint8Array<ArrayBuffer>} one
 * @param {Uint8Array<ArrayBuffer>} other
 */
function isEqual(one, other) {
  return one.length === other.length && one.every((byte, place) => byte === other[place]);
}

/** @param {Uint8Array<ArrayBuffer>[]} parts */
function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let end = 0;
  for (const part of parts) {
    whole.set(part, end);
    end += part.length;
  }
  return whole;
}
