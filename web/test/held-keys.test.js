import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HeldKeys } from '../src/core/held-keys.js';

/** @import { Platform } from '../src/core/locks.js' */

const A = 30;
const BACKSPACE = 14;
const CAPS_LOCK = 58;
const CONTROL_LEFT = 29;
const ALT_RIGHT = 100;
const META_LEFT = 125;
const SHIFT_LEFT = 42;

/**
 * A key event of a browser.
 * @param {string} code
 * @param {string} on modifiers it reports
 * @param {object} [more]
 */
const event = (code, on = '', more = {}) => ({
  code,
  key: keyOf(code),
  repeat: false,
  timeStamp: 0,
  isComposing: false,
  keyCode: 0,
  altKey: on.includes('Alt '),
  ctrlKey: on.includes('Control'),
  metaKey: on.includes('Meta'),
  shiftKey: on.includes('Shift'),
  getModifierState: (/** @type {string} */ name) => on.includes(name),
  ...more,
});

/** @param {string} code */
const keyOf = (code) => code.replace(/^Key/, '').replace(/(Left|Right)$/, '');

/**
 * @param {string} code
 * @param {string} [on]
 * @param {object} [more]
 */
const stroke = (code, on, more) => ({ event: event(code, on, more), age: 0, locks: null });
const repeat = { repeat: true };
/** @param {number} key */
const down = (key) => ({ type: 'key', key, pressed: true, locks: null });
/** @param {number} key */
const up = (key) => ({ type: 'key', key, pressed: false, locks: null });

test('press and release, one key, are told once each', () => {
  const keys = new HeldKeys('other');
  assert.deepEqual(keys.press(stroke('KeyA')), [down(A)]);
  assert.deepEqual(keys.release('KeyA'), [up(A)]);
  assert.deepEqual(keys.release('KeyA'), []);
});

test('press, a repeat, says again that the key is down', () => {
  const keys = new HeldKeys('other');
  keys.press(stroke('ShiftLeft', 'Shift'));
  keys.press(stroke('KeyA', 'Shift'));
  assert.deepEqual(keys.press(stroke('KeyA', 'Shift', repeat)), [down(SHIFT_LEFT), down(A)]);
  assert.equal(keys.size, 2);
});

test('press, a repeat that waited while the browser stood still, is nothing', () => {
  const keys = new HeldKeys('other');
  keys.press(stroke('Backspace'));
  assert.deepEqual(keys.press({ ...stroke('Backspace', '', repeat), age: 251 }), []);
  assert.deepEqual(keys.press({ ...stroke('Backspace', '', repeat), age: 40 }), [down(BACKSPACE)]);
});

test('press, a repeat whose start was elsewhere, is nothing', () => {
  assert.deepEqual(new HeldKeys('other').press(stroke('KeyA', '', repeat)), []);
});

test('press, a key that never came up, releases it first', () => {
  const keys = new HeldKeys('other');
  keys.press(stroke('KeyA'));
  assert.deepEqual(keys.press(stroke('KeyA')), [up(A), down(A)]);
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

test('press, a key after Shift whose release was never seen, releases Shift', () => {
  for (const platform of /** @type {const} */ (['mac', 'windows', 'other'])) {
    const keys = new HeldKeys(platform);
    keys.press(stroke('ShiftLeft', 'Shift'));
    assert.deepEqual(keys.press(stroke('KeyA')), [up(SHIFT_LEFT), down(A)]);
  }
});

test('press, a key with Shift from before the page had the focus, presses Shift', () => {
  const keys = new HeldKeys('other');
  assert.deepEqual(keys.press(stroke('KeyA', 'Shift')), [down(SHIFT_LEFT), down(A)]);
  // Its keyup names the other Shift: its stand-in goes up.
  assert.deepEqual(keys.releaseBy(event('ShiftRight')), [up(SHIFT_LEFT)]);
});

test('press, the key that something stands in for, is pressed once and released', () => {
  const keys = new HeldKeys('other');
  keys.heed(event('', 'Shift'), true);
  assert.deepEqual(keys.press(stroke('ShiftLeft', 'Shift')), [down(SHIFT_LEFT)]);
  assert.deepEqual(keys.releaseBy(event('ShiftLeft')), [up(SHIFT_LEFT)]);
});

test('releaseBy, a sticky Shift that is used up, lets it go', () => {
  const keys = new HeldKeys('other');
  keys.press(stroke('KeyA', 'Shift'));
  assert.deepEqual(keys.releaseBy(event('KeyA')), [up(A), up(SHIFT_LEFT)]);
});

test('heed, a click, makes the modifiers agree with it', () => {
  const keys = new HeldKeys('other');
  keys.press(stroke('ShiftLeft', 'Shift'));
  assert.deepEqual(keys.heed(event('', 'Control'), true), [up(SHIFT_LEFT), down(CONTROL_LEFT)]);
  // A held modifier is repeated, because the desktop may have released it.
  assert.deepEqual(keys.heed(event('', 'Control'), true), [down(CONTROL_LEFT)]);
});

test('heed, a movement, lets go and presses nothing', () => {
  const keys = new HeldKeys('other');
  assert.deepEqual(keys.heed(event('', 'Control'), false), []);
  keys.press(stroke('ShiftLeft', 'Shift'));
  assert.deepEqual(keys.heed(event('', 'Shift Control'), false), []);
  assert.deepEqual(keys.heed(event('', 'Control'), false), [up(SHIFT_LEFT)]);
});

test('heed, a movement from before the last key, is not believed', () => {
  const keys = new HeldKeys('other');
  keys.press(stroke('ShiftLeft', 'Shift', { timeStamp: 100 }));
  assert.deepEqual(keys.heed(event('', '', { timeStamp: 99 }), false), []);
  assert.deepEqual(keys.heed(event('', '', { timeStamp: 101 }), false), [up(SHIFT_LEFT)]);
});

test('release, Meta on macOS, releases the keys whose release it swallowed', () => {
  const keys = new HeldKeys('mac');
  keys.press(stroke('KeyA'));
  keys.press(stroke('MetaLeft', 'Meta'));
  keys.press(stroke('ShiftLeft', 'Meta Shift'));
  assert.deepEqual(keys.releaseBy(event('MetaLeft', 'Shift')), [up(A), up(META_LEFT)]);
  assert.deepEqual(keys.releaseBy(event('ShiftLeft')), [up(SHIFT_LEFT)]);
  assert.equal(keys.size, 0);
});

test('press, a key while Meta is held on macOS, is a full stroke, and each repeat', () => {
  const keys = new HeldKeys('mac');
  keys.press(stroke('MetaLeft', 'Meta'));
  const whole = [down(A), up(A)];
  assert.deepEqual(keys.press(stroke('KeyA', 'Meta')), [down(META_LEFT), ...whole]);
  assert.deepEqual(keys.press(stroke('KeyA', 'Meta', repeat)), whole);
  assert.equal(keys.size, 1);
});

test('press, Meta on macOS whose release was never seen, takes its keys with it', () => {
  const keys = new HeldKeys('mac');
  keys.press(stroke('KeyB'));
  keys.press(stroke('MetaLeft', 'Meta'));
  assert.deepEqual(keys.press(stroke('KeyA')), [up(48), up(META_LEFT), down(A)]);
});

test('release, Meta elsewhere, releases Meta alone', () => {
  const keys = new HeldKeys('other');
  keys.press(stroke('MetaLeft', 'Meta'));
  keys.press(stroke('KeyA', 'Meta'));
  assert.deepEqual(keys.releaseBy(event('MetaLeft')), [up(META_LEFT)]);
  assert.equal(keys.size, 1);
});

test('press and release, CapsLock on macOS, are a full stroke each', () => {
  const keys = new HeldKeys('mac');
  assert.deepEqual(keys.press(stroke('CapsLock')), [down(CAPS_LOCK), up(CAPS_LOCK)]);
  assert.deepEqual(keys.releaseBy(event('CapsLock')), [down(CAPS_LOCK), up(CAPS_LOCK)]);
  assert.equal(keys.size, 0);
});

/** How browsers on Windows report modifiers while AltGr is down. */
const ALT_GRAPH_REPORTS = ['Control Alt ', 'AltGraph', 'Control Alt AltGraph'];

for (const reported of ALT_GRAPH_REPORTS) {
  test(`press, AltGr on Windows reported as ${reported}, is AltGr alone`, () => {
    const keys = new HeldKeys('windows');
    const altGraph = { key: 'AltGraph', timeStamp: 100 };
    const control = stroke('ControlLeft', 'Control', { timeStamp: 100 });
    assert.deepEqual(keys.press(control), [down(CONTROL_LEFT)]);
    const changes = keys.press(stroke('AltRight', reported, altGraph));
    assert.deepEqual(changes, [up(CONTROL_LEFT), down(ALT_RIGHT)]);
    const q = keys.press(stroke('KeyQ', reported, { key: '@', timeStamp: 140 }));
    assert.deepEqual(q, [down(ALT_RIGHT), down(16)]);
    assert.deepEqual(keys.releaseBy(event('KeyQ', reported, { timeStamp: 180 })), [up(16)]);
    assert.deepEqual(keys.releaseBy(event('ControlLeft', reported, { timeStamp: 200 })), []);
    const released = keys.releaseBy(event('AltRight', '', { ...altGraph, timeStamp: 200 }));
    assert.deepEqual(released, [up(ALT_RIGHT)]);
    assert.equal(keys.size, 0);
  });
}

test('press, Control and then AltGr by hand, keeps both', () => {
  const keys = new HeldKeys('windows');
  keys.press(stroke('ControlLeft', 'Control', { timeStamp: 100 }));
  const altGraph = stroke('AltRight', 'Control Alt ', { key: 'AltGraph', timeStamp: 250 });
  assert.deepEqual(keys.press(altGraph), [down(ALT_RIGHT)]);
  assert.equal(keys.holds('control'), true);
});

test('holds, Control on another key than its own, is Control all the same', () => {
  const keys = new HeldKeys('other');
  keys.press(stroke('CapsLock', 'Control', { key: 'Control' }));
  assert.equal(keys.holds('control'), true);
  keys.press(stroke('KeyA', 'Control'));
  assert.deepEqual(keys.releaseBy(event('CapsLock', '', { key: 'Control' })), [up(CAPS_LOCK)]);
  assert.equal(keys.holds('control'), false);
});

test('press, AltGr on Linux, is held while it is reported and no longer', () => {
  const keys = new HeldKeys('other');
  keys.press(stroke('AltRight', '', { key: 'AltGraph' }));
  keys.press(stroke('KeyQ', 'AltGraph', { key: '@' }));
  keys.releaseBy(event('KeyQ', 'AltGraph', { key: '@' }));
  assert.deepEqual(keys.press(stroke('KeyA')), [up(ALT_RIGHT), down(A)]);
});

test('press, a key that an input method took, is nothing, and its release neither', () => {
  for (const taken of [{ isComposing: true }, { keyCode: 229 }, { key: 'Process' }]) {
    const keys = new HeldKeys('other');
    assert.deepEqual(keys.press(stroke('KeyA', '', taken)), []);
    assert.deepEqual(keys.releaseBy(event('KeyA', '', taken)), []);
  }
});

test('releaseBy, a key from before the composition, is released during it', () => {
  const keys = new HeldKeys('other');
  keys.press(stroke('KeyA'));
  assert.deepEqual(keys.releaseBy(event('KeyA', '', { isComposing: true })), [up(A)]);
});

test('press, a dead key or one without a name, is pressed by its place', () => {
  const keys = new HeldKeys('other');
  assert.deepEqual(keys.press(stroke('Equal', '', { key: 'Dead' })), [down(13)]);
  assert.deepEqual(keys.press(stroke('F13', '', { key: 'Unidentified' })), [down(183)]);
});

test('any strokes, on any platform, leave no key down that is not held', () => {
  const codes = ['KeyA', 'KeyB', 'ControlLeft', 'AltRight', 'MetaLeft', 'CapsLock', 'ShiftLeft'];
  const reports = ['', 'Shift', 'Control', 'Control Alt AltGraph', 'Meta', 'Meta Shift'];
  for (const platform of /** @type {Platform[]} */ (['mac', 'windows', 'other', 'chromeos'])) {
    const keys = new HeldKeys(platform);
    const pressed = new Set();
    // A fixed walk through codes and reports: 7919 and 104729 are primes, so it visits them in a
    // scattered order.
    for (let step = 0; step < 5000; step += 1) {
      const code = codes[((step * 7919) >> 3) % codes.length] ?? '';
      const on = reports[((step * 104729) >> 4) % reports.length] ?? '';
      const happened = event(code, on, { timeStamp: step, repeat: step % 7 === 0 });
      const changes = [
        () => keys.releaseBy(happened),
        () => keys.press({ event: happened, age: 0, locks: null }),
        () => keys.heed(happened, step % 5 === 0),
      ][step % 3]?.() ?? [];
      for (const change of changes) {
        // Repeating that a key is down is allowed; releasing one that is not down is a fault.
        if (change.pressed) pressed.add(change.key);
        else assert.equal(pressed.delete(change.key), true, `${platform} ${code} ${step}`);
      }
      assert.equal(pressed.size, keys.size, `${platform} ${code} ${step}`);
    }
    // An event that reports no modifiers leaves none down.
    keys.heed(event('', '', { timeStamp: 5001 }), true);
    const modifiers = /** @type {const} */ (['alt', 'altGraph', 'control', 'meta', 'shift']);
    assert.deepEqual(modifiers.filter((modifier) => keys.holds(modifier)), [], platform);
  }
});
