import assert from 'node:assert/strict';
import { test } from 'node:test';

import { locksOf } from '../src/core/locks.js';

/** @import { Platform } from '../src/core/locks.js' */

/**
 * @param {string} code
 * @param {string} key
 * @param {string} on the lock keys and Shift that are
 */
const event = (code, key, on = '') => ({
  code,
  key,
  shiftKey: on.includes('Shift'),
  getModifierState: (/** @type {string} */ name) => on.includes(name),
});

/**
 * @param {boolean} caps
 * @param {boolean} num
 */
const locks = (caps, num) => ({ caps, num });

test('locksOf, any key, is what the event reports', () => {
  assert.deepEqual(locksOf(event('KeyA', 'a'), 'other'), locks(false, false));
  assert.deepEqual(locksOf(event('KeyA', 'A', 'CapsLock'), 'other'), locks(true, false));
  assert.deepEqual(locksOf(event('KeyA', 'a', 'NumLock'), 'windows'), locks(false, true));
  assert.deepEqual(locksOf(event('Enter', 'Enter', 'CapsLock NumLock'), 'other'), locks(true, true));
});

test('locksOf, a lock key itself by place or by meaning, is not known', () => {
  assert.equal(locksOf(event('CapsLock', 'CapsLock', 'CapsLock'), 'other'), null);
  assert.equal(locksOf(event('NumLock', 'NumLock'), 'windows'), null);
  assert.equal(locksOf(event('CapsLock', 'Escape'), 'other'), null);
  assert.equal(locksOf(event('Escape', 'CapsLock'), 'other'), null);
});

test('locksOf, systems without Num Lock, has it on', () => {
  for (const platform of /** @type {const} */ (['mac', 'chromeos'])) {
    assert.deepEqual(locksOf(event('KeyA', 'a'), platform), locks(false, true));
    assert.deepEqual(locksOf(event('Numpad4', '4'), platform), locks(false, true));
  }
});

/**
 * What the desktop's keymap types with a key of the numeric pad: a digit if exactly one is on.
 * @param {{ num: boolean } | null} found
 * @param {boolean} shift
 */
const typesDigit = (found, shift) => found?.num !== shift;

/** @type {readonly (readonly [Platform, string, string, string])[]} */
const PAD = [
  ['other', 'Numpad4', '4', 'NumLock'],
  ['other', 'Numpad4', 'ArrowLeft', ''],
  ['other', 'Numpad4', 'ArrowLeft', 'NumLock Shift'],
  ['other', 'Numpad4', '4', 'Shift'],
  ['other', 'NumpadDecimal', ',', 'NumLock'],
  ['other', 'NumpadDecimal', 'Delete', ''],
  ['other', 'Numpad5', 'Clear', ''],
  // Windows releases Shift before it reports the key.
  ['windows', 'Numpad4', 'ArrowLeft', 'NumLock'],
  ['windows', 'Numpad0', 'Insert', 'NumLock'],
  // macOS has digits with Shift, too.
  ['mac', 'Numpad4', '4', 'Shift'],
  ['mac', 'Numpad9', '9', ''],
];

for (const [platform, code, key, on] of PAD) {
  test(`locksOf, ${code} that typed ${key} with ${on || 'nothing'} on ${platform}, types that`, () => {
    const digit = key.length === 1;
    const shift = on.includes('Shift');
    assert.equal(typesDigit(locksOf(event(code, key, on), platform), shift), digit);
  });
}

test('locksOf, a key of the pad whose meaning is not told, is what the event reports', () => {
  const found = locksOf(event('Numpad4', 'Unidentified', 'NumLock'), 'other');
  assert.deepEqual(found, locks(false, true));
  assert.deepEqual(locksOf(event('NumpadEnter', 'Enter', 'NumLock'), 'other'), locks(false, true));
});
