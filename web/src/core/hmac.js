// HMAC-SHA-256 (RFC 2104, FIPS 180-4).
//
// Browsers have it, too, but asynchronously, so that a key would overtake the proof that must come before
// it, and not at all where the page is served without TLS.

const BLOCK_BYTES = 64;
const ROUNDS = 64;

/** The first 32 bits of the fractional parts of roots of the first primes (FIPS 180-4, 4.2.2 and 5.3.3). */
const [INITIAL, CONSTANTS] = fractions();

/**
 * @param {Uint8Array} key
 * @param {Uint8Array} text
 * @returns {Uint8Array<ArrayBuffer>} 32 bytes
 */
export function hmac(key, text) {
  const block = new Uint8Array(BLOCK_BYTES);
  block.set(key.length > BLOCK_BYTES ? sha256(key) : key);
  const inner = sha256(block.map((byte) => byte ^ 0x36), text);
  return sha256(block.map((byte) => byte ^ 0x5c), inner);
}

/**
 * @param {Uint8Array[]} parts of the text
 * @returns {Uint8Array<ArrayBuffer>} 32 bytes
 */
export function sha256(...parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  // A one bit, zeroes, and the length in bits fill the last block.
  const padded = new Uint8Array(Math.ceil((length + 9) / BLOCK_BYTES) * BLOCK_BYTES);
  let end = 0;
  for (const part of parts) {
    padded.set(part, end);
    end += part.length;
  }
  padded[length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(length / 2 ** 29));
  view.setUint32(padded.length - 4, (length * 8) >>> 0);
  const state = Uint32Array.from(INITIAL);
  for (let start = 0; start < padded.length; start += BLOCK_BYTES) compress(state, view, start);
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((word, place) => digest.setUint32(4 * place, word));
  return new Uint8Array(digest.buffer);
}

/**
 * @param {Uint32Array} state
 * @param {DataView} view
 * @param {number} start of the block
 */
function compress(state, view, start) {
  const words = new Uint32Array(ROUNDS);
  for (let round = 0; round < ROUNDS; round += 1) {
    words[round] = round < 16 ? view.getUint32(start + 4 * round) : scheduled(words, round);
  }
  let [a, b, c, d, e, f, g, h] = /** @type {Eight} */ (Array.from(state));
  for (let round = 0; round < ROUNDS; round += 1) {
    const sum1 = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25);
    const chosen = (e & f) ^ (~e & g);
    const one = (h + sum1 + chosen + at(CONSTANTS, round) + at(words, round)) | 0;
    const sum0 = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + sum0 + majority) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, place) => {
    state[place] = at(state, place) + word;
  });
}

/** @typedef {[number, number, number, number, number, number, number, number]} Eight */

/**
 * @param {Uint32Array} words
 * @param {number} round from 16 on
 */
function scheduled(words, round) {
  const [early, late] = [at(words, round - 15), at(words, round - 2)];
  const sigma0 = turned(early, 7) ^ turned(early, 18) ^ (early >>> 3);
  const sigma1 = turned(late, 17) ^ turned(late, 19) ^ (late >>> 10);
  return at(words, round - 16) + sigma0 + at(words, round - 7) + sigma1;
}

/**
 * @param {Uint32Array} words
 * @param {number} place
 */
function at(words, place) {
  return words[place] ?? 0;
}

/**
 * @param {number} word
 * @param {number} bits to the right
 */
function turned(word, bits) {
  return (word >>> bits) | (word << (32 - bits));
}

/** @returns {[Uint32Array, Uint32Array]} of the first 8 primes' square roots, of the first 64's cube roots */
function fractions() {
  /** @type {number[]} */
  const primes = [];
  for (let number = 2; primes.length < ROUNDS; number += 1) {
    if (primes.every((prime) => number % prime !== 0)) primes.push(number);
  }
  /** @param {number} root */
  const fraction = (root) => (root - Math.floor(root)) * 2 ** 32;
  return [
    Uint32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime))),
    Uint32Array.from(primes, (prime) => fraction(Math.cbrt(prime))),
  ];
}
