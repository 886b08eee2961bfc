import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HeldKeys } from '../src/core/held-keys.js';

const A = 30;
const CAPS_LOCK = 58;
const CONTROL_LEFT = 29;
const ALT_RIGHT = 100;
const META_LEFT = 125;
const SHIFT_LEFT = 42;

/** @param {string} code */
const stroke = (code, timeStamp = 0, repeat = false) => ({ code, timeStamp, repeat, locks: null });
/** @param {number} key */
const down = (key) => ({ type: 'key', key, pressed: true, locks: null });
/** @param {number} key */
const up = (key) => ({ type: 'key', key, pressed: false, locks: null });

test('press and release, one key, are told once each', () => {
  const keys = new HeldKeys('other');
  assert.deepEqual(keys.press(stroke('KeyA')), [down(A)]);
  assert.deepEqual(keys.press(stroke('KeyA', 30, true)), []);
  assert.deepEqual(keys.press(stroke('KeyA', 60)), []);
  assert.deepEqual(keys.release('KeyA'), [up(A)]);
  assert.deepEqual(keys.release('KeyA'), []);
});

test('press, a repeat whose start was elsewhere, is nothing', () => {
  assert.deepEqual(new HeldKeys('other').press(stroke('KeyA', 0, true)), []);
});

test('press, an unknown key, is neither told nor held', () => {
  const keys = new HeldKeys('other');
  assert.deepEqual(keys.press(stroke('Unidentified')), []);
  assert.equal(keys.size, 0);
});

test('releaseAll, keys down, forgets them and says so', () => {
  const keys = new HeldKeys('other');
  keys.press(stroke('KeyA'));
  assert.equal(keys.releaseAll(), true);
  assert.equal(keys.releaseAll(), false);
  assert.deepEqual(keys.release('KeyA'), []);
});

test('release, Meta on macOS, releases the keys whose release it swallowed', () => {
  const keys = new HeldKeys('mac');
  keys.press(stroke('MetaLeft'));
  keys.press(stroke('ShiftLeft'));
  keys.press(stroke('KeyA'));
  assert.deepEqual(keys.release('MetaLeft'), [up(A), up(META_LEFT)]);
  assert.deepEqual(keys.release('ShiftLeft'), [up(SHIFT_LEFT)]);
  assert.equal(keys.size, 0);
});

test('release, Meta elsewhere, releases Meta alone', () => {
  const keys = new HeldKeys('other');
  keys.press(stroke('MetaLeft'));
  keys.press(stroke('KeyA'));
  assert.deepEqual(keys.release('MetaLeft'), [up(META_LEFT)]);
  assert.equal(keys.has('KeyA'), true);
});

test('press and release, CapsLock on macOS, are a full stroke each', () => {
  const keys = new HeldKeys('mac');
  assert.deepEqual(keys.press(stroke('CapsLock')), [down(CAPS_LOCK), up(CAPS_LOCK)]);
  assert.deepEqual(keys.release('CapsLock'), [down(CAPS_LOCK), up(CAPS_LOCK)]);
  assert.equal(keys.size, 0);
});

test('press, AltGr on Windows, takes the false Control back', () => {
  const keys = new HeldKeys('windows');
  assert.deepEqual(keys.press(stroke('ControlLeft', 100)), [down(CONTROL_LEFT)]);
  assert.deepEqual(keys.press(stroke('AltRight', 100)), [up(CONTROL_LEFT), down(ALT_RIGHT)]);
  assert.deepEqual(keys.release('ControlLeft'), []);
  assert.deepEqual(keys.release('AltRight'), [up(ALT_RIGHT)]);
});

test('press, Control and then AltGr by hand, keeps both', () => {
  const keys = new HeldKeys('windows');
  keys.press(stroke('ControlLeft', 100));
  assert.deepEqual(keys.press(stroke('AltRight', 250)), [down(ALT_RIGHT)]);
  assert.equal(keys.has('ControlLeft'), true);
});

test('any strokes, on any platform, leave no key down that is not held', () => {
  const codes = ['KeyA', 'KeyB', 'ControlLeft', 'AltRight', 'MetaLeft', 'CapsLock', 'ShiftLeft'];
  for (const platform of /** @type {const} */ (['mac', 'windows', 'other'])) {
    const keys = new HeldKeys(platform);
    const pressed = new Set();
    // A fixed walk through the codes: 7919 is prime, so it visits them in a scattered order.
    for (let step = 0; step < 5000; step += 1) {
      const code = codes[((step * 7919) >> 3) % codes.length] ?? '';
      const changes = step % 3 === 0 ? keys.release(code) : keys.press(stroke(code, step));
      for (const change of changes) {
        assert.notEqual(pressed.has(change.key), change.pressed, `${platform} ${code} ${step}`);
        if (change.pressed) pressed.add(change.key);
        else pressed.delete(change.key);
      }
      assert.equal(pressed.size, keys.size);
    }
  }
});
