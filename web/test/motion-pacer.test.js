import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MOTION_INTERVAL, MotionPacer, REST_AFTER } from '../src/core/motion-pacer.js';

const place = (/** @type {number} */ x) => ({ x, y: 0 });

test('move, the first, is sent at once', () => {
  const pacer = new MotionPacer();
  assert.deepEqual(pacer.move(place(5), 1000), { type: 'pointerTo', sequence: 1, x: 5, y: 0 });
});

test('move, faster than the interval, is thinned and ends at the last place', () => {
  const pacer = new MotionPacer();
  pacer.move(place(1), 1000);
  assert.equal(pacer.move(place(2), 1001), null);
  assert.equal(pacer.move(place(3), 1002), null);
  assert.equal(pacer.deadline, 1000 + MOTION_INTERVAL);
  assert.equal(pacer.poll(1000 + MOTION_INTERVAL)?.x, 3);
});

test('poll, the pointer rests, repeats the last place once with a new number', () => {
  const pacer = new MotionPacer();
  pacer.move(place(7), 1000);
  assert.equal(pacer.poll(1000 + REST_AFTER - 1), null);
  assert.deepEqual(pacer.poll(1000 + REST_AFTER), {
    type: 'pointerTo',
    sequence: 2,
    x: 7,
    y: 0,
  });
  assert.equal(pacer.deadline, null);
  assert.equal(pacer.poll(5000), null);
});

test('settle, a place waiting, sends it no more', () => {
  const pacer = new MotionPacer();
  pacer.move(place(1), 1000);
  pacer.move(place(2), 1001);
  pacer.settle();
  assert.equal(pacer.deadline, null);
  assert.equal(pacer.poll(9999), null);
});

test('move, 70000 times, wraps its number at 16 bits', () => {
  const pacer = new MotionPacer();
  let last = 0;
  for (let step = 0; step < 70_000; step += 1) {
    last = pacer.move(place(step % 9), step * MOTION_INTERVAL)?.sequence ?? -1;
  }
  assert.equal(last, 70_000 & 0xffff);
});
