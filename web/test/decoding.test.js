import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Decoding, MAX_KEYFRAMES, PATIENCE, SIZE_PATIENCE } from '../src/core/decoding.js';
import { MAX_MACROBLOCKS } from '../src/core/frame-size.js';

/** @import { Action } from '../src/core/decoding.js' */

const TICKS = 90;
const HD = 8160;

/** A browser and its network in virtual time: received, decoded and shown pictures. */
class Rig {
  decoding = new Decoding();
  now = 0;
  time = 0;
  /** @type {number | null} */
  shown = null;
  received = 0;
  decoded = 0;
  lost = 0;
  /** @type {{ at: number, action: Action }[]} */
  done = [];

  /** @param {{ arrives?: boolean, decodes?: boolean }} [fate] of a picture that the desktop sends */
  send({ arrives = true, decodes = true } = {}) {
    this.time = (this.time + TICKS) >>> 0;
    this.received += Number(arrives);
    this.lost += Number(!arrives);
    if (arrives && decodes) {
      this.decoded += 1;
      this.shown = this.time;
    }
    this.#note(this.decoding.handle({ type: 'sent', time: this.time, shown: this.shown }, this.now));
  }

  /** @param {number} millis */
  run(millis) {
    const end = this.now + millis;
    for (let at = this.decoding.deadline; at !== null && at <= end; at = this.decoding.deadline) {
      this.now = at;
      const { shown, received, decoded, lost } = this;
      this.#note(this.decoding.handle({ type: 'looked', shown, received, decoded, lost }, at));
    }
    this.now = end;
  }

  /**
   * Lets pictures of one fate pass for a time.
   * @param {number} millis
   * @param {{ arrives?: boolean, decodes?: boolean }} [fate]
   */
  stream(millis, fate) {
    for (let passed = 0; passed < millis; passed += 250) {
      this.send(fate);
      this.run(250);
    }
  }

  /** @param {Action[]} actions */
  #note(actions) {
    actions.forEach((action) => this.done.push({ at: this.now, action }));
  }

  get actions() {
    return this.done.map(({ action }) => action);
  }
}

test('decoding, pictures that are shown, asks nothing and has nothing to look for', () => {
  const rig = new Rig();
  for (let count = 0; count < 100; count += 1) {
    rig.send();
    assert.equal(rig.decoding.deadline, null);
    rig.run(500);
  }
  assert.deepEqual(rig.actions, []);
});

test('decoding, a still desktop, is left alone for ever', () => {
  const rig = new Rig();
  rig.send();
  rig.run(3_600_000);
  assert.deepEqual(rig.actions, []);
});

test('decoding, a picture that is shown a little later, asks nothing', () => {
  const rig = new Rig();
  rig.send({ decodes: false });
  rig.run(PATIENCE - 1);
  rig.shown = rig.time;
  rig.decoding.handle({ type: 'shown', shown: rig.shown }, rig.now);
  assert.equal(rig.decoding.deadline, null);
  rig.run(60_000);
  assert.deepEqual(rig.actions, []);
  assert.equal(rig.decoding.deadline, null);
});

test('decoding, the very last picture missing before stillness, is asked for anew', () => {
  const rig = new Rig();
  rig.send();
  rig.send({ arrives: false });
  rig.run(PATIENCE);
  assert.deepEqual(rig.done, [{ at: PATIENCE, action: 'askKeyframe' }]);
  assert.equal(rig.decoding.trouble, 'missed');
  rig.send();
  rig.run(60_000);
  assert.deepEqual(rig.actions, ['askKeyframe']);
  assert.equal(rig.decoding.trouble, null);
});

test('decoding, a stream that stops being decoded, is noticed however many pictures follow', () => {
  const rig = new Rig();
  rig.send();
  for (let count = 0; count < 10; count += 1) {
    rig.send({ decodes: false });
    rig.run(PATIENCE / 10);
  }
  assert.deepEqual(rig.actions, ['askKeyframe']);
});

test('decoding, pictures too large for the decoder, asks for a whole one, then for smaller', () => {
  const rig = new Rig();
  rig.decoding.handle({ type: 'resized', macroblocks: HD }, 0);
  rig.stream(3 * PATIENCE, { decodes: false });
  assert.deepEqual(rig.actions, ['askKeyframe', 'askKeyframe', 'askSize']);
  assert.equal(rig.decoding.trouble, 'tooLarge');
  assert.equal(rig.decoding.mostMacroblocks, 3600);
  rig.send();
  assert.deepEqual(rig.actions, ['askKeyframe', 'askKeyframe', 'askSize', 'saySmaller']);
  assert.equal(rig.decoding.trouble, null);
  rig.run(60_000);
  assert.equal(rig.decoding.mostMacroblocks, 3600, 'it is remembered');
});

test('decoding, a still desktop that sends whole pictures seldom, finds that they are too large', () => {
  const rig = new Rig();
  rig.decoding.handle({ type: 'resized', macroblocks: HD }, 0);
  for (let count = 0; count < 3; count += 1) {
    rig.send({ decodes: false });
    rig.run(2 * PATIENCE);
  }
  assert.equal(rig.decoding.mostMacroblocks, 3600);
});

test('decoding, a decoder for which two sizes are too large, gets the third', () => {
  const rig = new Rig();
  rig.decoding.handle({ type: 'resized', macroblocks: MAX_MACROBLOCKS }, 0);
  rig.stream(3 * PATIENCE + SIZE_PATIENCE, { decodes: false });
  assert.equal(rig.decoding.mostMacroblocks, 8192);
  rig.send();
  assert.deepEqual(rig.actions.slice(2), ['askSize', 'askSize', 'saySmaller']);
  assert.equal(rig.decoding.mostMacroblocks, 8192);
});

test('decoding, nothing of any size decoded, tries another path, gives up and forgets the sizes', () => {
  const rig = new Rig();
  rig.decoding.handle({ type: 'resized', macroblocks: HD }, 0);
  for (let count = 0; count < 60 && !rig.actions.includes('giveUp'); count += 1) {
    rig.stream(250, { decodes: false });
  }
  const sizes = ['askSize', 'askSize'];
  const expected = ['askKeyframe', 'askKeyframe', ...sizes, 'askPath', 'askKeyframe', 'giveUp'];
  assert.deepEqual(rig.actions, expected);
  assert.equal(rig.decoding.trouble, 'undecodable', 'it is said while the page begins anew');
  assert.equal(rig.decoding.mostMacroblocks, MAX_MACROBLOCKS);
  assert.equal(rig.decoding.deadline, null);
  rig.decoding.handle({ type: 'replaced' }, rig.now);
  [rig.shown, rig.received, rig.decoded] = [null, 0, 0];
  rig.send({ decodes: false });
  assert.equal(rig.decoding.trouble, 'undecodable', 'and no picture has come since');
  rig.send();
  assert.equal(rig.decoding.trouble, null);
});

test('decoding, pictures that no longer arrive, keeps the size that this browser is known to show', () => {
  const rig = new Rig();
  rig.decoding.handle({ type: 'resized', macroblocks: HD }, 0);
  rig.stream(3 * PATIENCE, { decodes: false });
  rig.send();
  assert.equal(rig.decoding.mostMacroblocks, 3600);
  rig.stream(20_000, { arrives: false });
  assert.equal(rig.actions.filter((action) => action === 'askSize').length, 1);
  assert.ok(rig.actions.includes('giveUp'));
  rig.decoding.handle({ type: 'replaced' }, rig.now);
  assert.equal(rig.decoding.mostMacroblocks, 3600, 'another connection has the same decoder');
});

test('decoding, the smallest picture not decoded, has no smaller one to ask for', () => {
  const rig = new Rig();
  rig.decoding.handle({ type: 'resized', macroblocks: 1200 }, 0);
  rig.stream(5 * PATIENCE, { decodes: false });
  const expected = ['askKeyframe', 'askKeyframe', 'askPath', 'askKeyframe', 'giveUp'];
  assert.deepEqual(rig.actions, expected);
});

test('decoding, pictures lost on their way, are asked for again and never for smaller', () => {
  const rig = new Rig();
  rig.send();
  rig.send({ arrives: false });
  rig.run(2 * PATIENCE);
  assert.equal(rig.decoding.trouble, 'lost');
  rig.stream(60_000, { arrives: false });
  const asks = Array(MAX_KEYFRAMES).fill('askKeyframe');
  assert.deepEqual(rig.actions.slice(0, 12), [...asks, 'askPath', ...asks, 'giveUp']);
  assert.equal(rig.decoding.mostMacroblocks, MAX_MACROBLOCKS);
});

test('decoding, a desktop that is not heard, is not given up for its pictures', () => {
  const rig = new Rig();
  rig.send({ arrives: false });
  rig.run(600_000);
  assert.ok(!rig.actions.includes('giveUp'));
  assert.equal(rig.actions.filter((action) => action === 'askPath').length, 1);
  assert.equal(rig.decoding.trouble, 'lost');
  rig.send();
  assert.equal(rig.decoding.trouble, null);
});

test('decoding, pictures that stop for as long as a bad line may, cost no connection and no size', () => {
  for (let outage = 0; outage <= 10_000; outage += 500) {
    const rig = new Rig();
    rig.stream(2000);
    rig.stream(outage, { arrives: false });
    rig.stream(2000);
    const tried = new Set(rig.actions);
    assert.ok(!tried.has('giveUp') && !tried.has('askSize'), `${outage} ms: ${rig.actions}`);
    assert.equal(rig.decoding.trouble, null);
  }
});

test('decoding, pictures that refer to lost ones, are no reason to ask for smaller ones', () => {
  const rig = new Rig();
  rig.decoding.handle({ type: 'resized', macroblocks: HD }, 0);
  rig.stream(1000);
  for (let count = 0; count < 20; count += 1) {
    // Some arrive, none of which can be decoded without those that did not.
    rig.send({ arrives: false });
    rig.stream(250, { decodes: false });
  }
  assert.ok(!rig.actions.includes('askSize'), String(rig.actions));
  rig.stream(1000);
  assert.equal(rig.decoding.trouble, null);
});

test('decoding, a decoder that takes nothing over a network that loses some, gets smaller pictures', () => {
  const rig = new Rig();
  rig.decoding.handle({ type: 'resized', macroblocks: HD }, 0);
  for (let count = 0; count < 60 && !rig.actions.includes('askSize'); count += 1) {
    rig.send({ arrives: false });
    rig.stream(250, { decodes: false });
  }
  assert.equal(rig.decoding.mostMacroblocks, 3600);
  assert.ok(rig.actions.indexOf('askPath') < rig.actions.indexOf('askSize'));
});

test('decoding, a decoder that is only slow, is not asked to do with smaller pictures', () => {
  const rig = new Rig();
  rig.send();
  for (let count = 0; count < 40; count += 1) {
    // The shown picture is always slightly older.
    rig.send({ decodes: false });
    rig.decoded += 1;
    rig.run(250);
  }
  assert.ok(rig.actions.every((action) => action === 'askKeyframe'), String(rig.actions));
});

test('decoding, a browser that does not say what it shows, is believed if it decodes', () => {
  const rig = new Rig();
  rig.decoded = 7;
  rig.send({ decodes: false });
  rig.run(60_000);
  assert.deepEqual(rig.actions, []);
});

test('decoding, the first picture never decoded, is noticed as well', () => {
  const rig = new Rig();
  rig.send({ decodes: false });
  rig.run(PATIENCE);
  assert.deepEqual(rig.actions, ['askKeyframe']);
});

test('decoding, times that wrap, are still in order', () => {
  const rig = new Rig();
  rig.time = 0xffffffff - TICKS;
  for (let count = 0; count < 5; count += 1) rig.send();
  assert.equal(rig.decoding.deadline, null);
  rig.send({ arrives: false });
  rig.run(PATIENCE);
  assert.deepEqual(rig.actions, ['askKeyframe']);
});

test('decoding, another connection, begins without what was missing', () => {
  const rig = new Rig();
  rig.send({ arrives: false });
  rig.run(PATIENCE);
  rig.decoding.handle({ type: 'replaced' }, rig.now);
  assert.equal(rig.decoding.trouble, null);
  rig.run(60_000);
  assert.deepEqual(rig.actions, ['askKeyframe']);
});
