import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';

import { PROOF_INTERVAL, Presence, parseLease } from '../src/core/lease.js';

/** @import { Lease, Proof } from '../src/core/lease.js' */

/** `EXAMPLE` of lumen-ipc, as the gateway sends it. */
const EXAMPLE = { id: '0102030405060708', key: '11'.repeat(32), challenge: '22'.repeat(16) };
const TAG = '33c42ec3e67a1b0376707fb272f11c831ea2d9f40e398d0bf84949876f32f020';
const NEXT = '6d2ba52378515b1fd3128f2628be2fa6';
/** How long a proof counts. */
const LIFE = 5000;

/** @param {string} digits */
const bytes = (digits) => Uint8Array.from(Buffer.from(digits, 'hex'));
/** @param {Uint8Array | undefined} some */
const hex = (some) => Buffer.from(some ?? []).toString('hex');

/** @returns {Lease} */
function lease() {
  const parsed = parseLease(EXAMPLE);
  assert(parsed);
  return parsed;
}

/** The compositor's side of a lease, as its own tests describe it. */
class Desktop {
  #key = bytes(EXAMPLE.key);
  openUntil = -Infinity;
  hears = false;

  /** @param {string} challenge */
  constructor(challenge) {
    this.challenge = bytes(challenge);
  }

  /** @param {...Uint8Array | string} parts */
  #hmac(...parts) {
    const hmac = createHmac('sha256', this.#key);
    for (const part of parts) hmac.update(part);
    return Uint8Array.from(hmac.digest());
  }

  /**
   * @param {Proof} proof
   * @param {number} now
   * @returns {Uint8Array<ArrayBuffer> | null} the next challenge
   */
  take(proof, now) {
    const proves = (/** @type {string} */ label) =>
      hex(proof.tag) === hex(this.#hmac(label, proof.lease, this.challenge));
    this.hears = proves('lumen: speaking ');
    if (!this.hears && !proves('lumen: presence ')) return null;
    this.openUntil = now + LIFE;
    this.challenge = this.#hmac('lumen: challenge', this.challenge).slice(0, 16);
    return this.challenge;
  }
}

test('proof and the challenge after it are those of the example', () => {
  const presence = new Presence();
  presence.leased(lease());
  const proof = presence.connected(0);
  assert.equal(hex(proof?.lease), EXAMPLE.id);
  assert.equal(hex(proof?.tag), TAG);
  assert.equal(presence.challenged(bytes(NEXT), 10), null);
});

test('page proves before its first input, then every two seconds while it acts, and never idly', () => {
  const [presence, desktop] = [new Presence(), new Desktop(EXAMPLE.challenge)];
  presence.leased(lease());
  let proofs = 0;
  /** @param {Proof | null} proof @param {number} now */
  const send = (proof, now) => {
    if (proof === null) return;
    proofs += 1;
    const next = desktop.take(proof, now);
    assert(next, 'every proof is right');
    assert.equal(presence.challenged(next, now + 20), null);
  };
  send(presence.connected(0), 0);
  for (let now = 100; now < 20_000; now += 30) {
    send(presence.acts(now), now);
    assert(now < desktop.openUntil, `input at ${now} counts`);
  }
  assert.equal(proofs, 10);
  // An hour later the first input needs a proof, and has it.
  send(presence.acts(3_600_000), 3_600_000);
  assert.equal(proofs, 11);
  assert.equal(PROOF_INTERVAL, 2000);
});

test('a desktop that begins anew is answered at once by a page that acts, and by the next input', () => {
  for (const actedAt of [-Infinity, 900]) {
    const presence = new Presence();
    presence.leased(lease());
    const first = new Desktop(EXAMPLE.challenge);
    const proof = presence.connected(0);
    assert(proof);
    presence.challenged(first.take(proof, 0) ?? bytes(''), 5);
    if (actedAt > 0) presence.acts(actedAt);
    const successor = new Desktop('99'.repeat(16));
    const answer = presence.challenged(successor.challenge, 1000) ?? presence.acts(1200);
    assert.equal(answer !== null, true);
    assert(answer && successor.take(answer, 1000));
  }
});

test('a desktop that has forgotten the connection is answered at once with what it knows', () => {
  const [presence, desktop] = [new Presence(), new Desktop(EXAMPLE.challenge)];
  presence.leased(lease());
  const proof = presence.acts(0);
  assert(proof);
  presence.challenged(desktop.take(proof, 0) ?? bytes(''), 5);
  // The same challenge again: it has another link, and knows of no peer there.
  const again = presence.challenged(desktop.challenge, 100);
  assert(again && desktop.take(again, 100));
});

test('input counts over a connection once the desktop has answered a proof that may have counted before', () => {
  const [presence, desktop] = [new Presence(), new Desktop(EXAMPLE.challenge)];
  presence.leased(lease());
  const proof = presence.connected(0);
  assert(proof && desktop.take(proof, 0));
  assert.equal(presence.awaitsChallenge, false);
  // That connection ends before the desktop's answer.
  const repeated = presence.connected(100);
  assert(repeated);
  assert.equal(desktop.take(repeated, 100), null);
  assert.equal(presence.awaitsChallenge, true);
  const answer = presence.challenged(desktop.challenge, 150) ?? presence.acts(200);
  assert.equal(presence.awaitsChallenge, false);
  assert(answer && desktop.take(answer, 200));
});

test('a proof that was lost is made again when the desktop asks again', () => {
  const [presence, desktop] = [new Presence(), new Desktop(EXAMPLE.challenge)];
  presence.leased(lease());
  assert(presence.acts(0));
  assert.equal(presence.acts(2500), null, 'one answer to each challenge');
  const again = presence.challenged(desktop.challenge, 2600);
  assert(again && desktop.take(again, 2600));
});

test('another connection is told the lease although nothing new can be proved', () => {
  const [presence, desktop] = [new Presence(), new Desktop(EXAMPLE.challenge)];
  presence.leased(lease());
  const lost = presence.acts(0);
  assert(lost && desktop.take(lost, 0), 'the answer to this is lost with the connection');
  const named = presence.connected(500);
  assert.equal(hex(named?.lease), EXAMPLE.id);
  assert(named && desktop.take(named, 500) === null);
  const proof = presence.challenged(desktop.challenge, 520);
  assert(proof && desktop.take(proof, 520));
});

test('page asks for a lease when it has none or its own does not count, and not too often', () => {
  const presence = new Presence();
  assert.equal(presence.connected(0), null);
  assert.equal(presence.acts(0), null);
  assert.equal(presence.needsLease(0), true);
  assert.equal(presence.needsLease(100), false);
  assert.equal(presence.needsLease(3000), true);
  presence.leased(lease());
  assert.equal(presence.needsLease(10_000), false);
  assert(presence.acts(10_000));
  assert.equal(presence.needsLease(12_000), false);
  assert.equal(presence.needsLease(13_000), true);
  presence.forgetAsking();
  assert.equal(presence.needsLease(13_001), true, 'whoever was asked is gone');
});

test('a lease that is none is not taken for one', () => {
  const wrong = [
    null,
    'lease',
    {},
    { ...EXAMPLE, id: 7 },
    { ...EXAMPLE, id: '01' },
    { ...EXAMPLE, key: `${EXAMPLE.key}11` },
    { ...EXAMPLE, challenge: 'zz'.repeat(16) },
  ];
  for (const value of wrong) assert.equal(parseLease(value), null);
});

test('proofs say that the microphone is on for as long as it is', () => {
  const presence = new Presence();
  const desktop = new Desktop(EXAMPLE.challenge);
  presence.leased(lease());
  let now = 0;
  /** @param {Proof | null} proof */
  const exchange = (proof) => {
    for (let next = proof; next !== null; ) {
      const challenge = desktop.take(next, now);
      assert(challenge);
      next = presence.challenged(challenge, now);
    }
  };
  exchange(presence.acts(now));
  assert.equal(desktop.hears, false);
  exchange(presence.speaks(true, now));
  assert.equal(desktop.hears, true);
  for (const until = now + 20_000; now < until; now += 1000) {
    exchange(presence.speaks(true, now));
    assert(desktop.hears && desktop.openUntil > now + LIFE / 2);
  }
  exchange(presence.speaks(false, now));
  assert.equal(desktop.hears, false);
  assert.equal(presence.speaks(false, now), null);
});

test('microphone that is switched on while a proof is on its way is proved with the next challenge', () => {
  const presence = new Presence();
  const desktop = new Desktop(EXAMPLE.challenge);
  presence.leased(lease());
  const first = presence.acts(0);
  assert.equal(presence.speaks(true, 1), null);
  assert(first);
  const challenge = desktop.take(first, 2);
  assert(challenge);
  const second = presence.challenged(challenge, 3);
  assert(second && desktop.take(second, 4));
  assert.equal(desktop.hears, true);
});
