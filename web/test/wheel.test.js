import assert from 'node:assert/strict';
import { test } from 'node:test';

import { WheelCounter } from '../src/core/wheel.js';

/** @import { WheelTurn } from '../src/core/wheel.js' */

/** @param {Partial<WheelTurn>} turn */
const turn = (turn) => ({ deltaX: 0, deltaY: 0, deltaMode: 0, ...turn });
/** @param {number} rightV120 @param {number} downV120 */
const wheel = (rightV120, downV120) => ({ type: 'wheel', rightV120, downV120 });
/** @param {number} rightSixteenths @param {number} downSixteenths */
const scroll = (rightSixteenths, downSixteenths) => ({
  type: 'scroll',
  rightSixteenths,
  downSixteenths,
});

/** @type {[string, Partial<WheelTurn>, ReturnType<typeof wheel>][]} */
const NOTCHES = [
  ['Chromium on Windows, down', { deltaY: 100, wheelDeltaY: -120 }, wheel(0, 120)],
  ['Chromium on Linux, up', { deltaY: -120, wheelDeltaY: 120 }, wheel(0, -120)],
  ['Chromium, two notches', { deltaY: 240, wheelDeltaY: -240 }, wheel(0, 240)],
  ['Chromium at a fractional ratio', { deltaY: 66.67, wheelDeltaY: -120 }, wheel(0, 120)],
  ['synthetic, without ticks', { deltaY: 100 }, wheel(0, 120)],
  ['synthetic, ticks like pixels', { deltaY: 100, wheelDeltaY: -100 }, wheel(0, 120)],
  ['Firefox, three lines down', { deltaY: 3, deltaMode: 1 }, wheel(0, 120)],
  ['Firefox, one page up', { deltaY: -1, deltaMode: 2 }, wheel(0, -120)],
  ['tilted right', { deltaX: 100, wheelDeltaX: -120 }, wheel(120, 0)],
  ['a quarter notch on Windows', { deltaY: 25, wheelDeltaY: -30 }, wheel(0, 30)],
];

for (const [name, event, expected] of NOTCHES) {
  test(`turn, ${name}, is a wheel`, () => {
    assert.deepEqual(new WheelCounter().turn(turn(event), 1), expected);
  });
}

test('turn, a trackpad, is smooth and in output pixels', () => {
  const counter = new WheelCounter();
  assert.deepEqual(counter.turn(turn({ deltaY: 4, wheelDeltaY: -12 }), 1), scroll(0, 64));
  assert.deepEqual(counter.turn(turn({ deltaX: -2.5, deltaY: 1 }), 2), scroll(-80, 32));
});

test('turn, a macOS trackpad whose ticks are a multiple of 120, is smooth', () => {
  const counter = new WheelCounter();
  assert.deepEqual(counter.turn(turn({ deltaY: 40, wheelDeltaY: -120 }), 1), scroll(0, 640));
});

test('turn, a few pixels posing as a whole notch, is smooth', () => {
  const message = new WheelCounter().turn(turn({ deltaY: 7, wheelDeltaY: -120 }), 1);
  assert.deepEqual(message, scroll(0, 112));
});

test('turn, single lines, add up to a notch without loss', () => {
  const counter = new WheelCounter();
  let sum = 0;
  for (let line = 0; line < 3; line += 1) {
    const message = counter.turn(turn({ deltaY: 1, deltaMode: 1 }), 1);
    if (message?.type === 'wheel') sum += message.downV120;
  }
  assert.equal(sum, 120);
});

test('turn, less than a sixteenth, waits for more', () => {
  const counter = new WheelCounter();
  assert.equal(counter.turn(turn({ deltaY: 0.04 }), 1), null);
  assert.deepEqual(counter.turn(turn({ deltaY: 0.04 }), 1), scroll(0, 1));
});

test('turn, an absurd distance, is cut and not continued', () => {
  const counter = new WheelCounter();
  assert.deepEqual(counter.turn(turn({ deltaY: 1e9 + 0.5 }), 1), scroll(0, 32767));
  assert.deepEqual(counter.turn(turn({ deltaY: 0.0625 }), 1), scroll(0, 1));
});

test('turn, no distance, is nothing', () => {
  assert.equal(new WheelCounter().turn(turn({}), 1), null);
});

test('lift, after scrolling, is told once', () => {
  const counter = new WheelCounter();
  counter.turn(turn({ deltaY: 4 }), 1);
  assert.equal(counter.scrolling, true);
  assert.deepEqual(counter.lift(), scroll(0, 0));
  assert.equal(counter.lift(), null);
});

test('lift, after a wheel, is nothing', () => {
  const counter = new WheelCounter();
  counter.turn(turn({ deltaY: 100, wheelDeltaY: -120 }), 1);
  assert.equal(counter.lift(), null);
});
