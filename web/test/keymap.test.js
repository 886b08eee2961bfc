import assert from 'node:assert/strict';
import { test } from 'node:test';

import { KNOWN_CODES, MAX_KEY, evdevKey } from '../src/core/keymap.js';

test('evdevKey, keys of every block, are the kernel numbers', () => {
  // linux/input-event-codes.h
  const expected = {
    Escape: 1,
    KeyA: 30,
    KeyZ: 44,
    Digit0: 11,
    Enter: 28,
    Space: 57,
    ShiftRight: 54,
    AltRight: 100,
    MetaLeft: 125,
    F1: 59,
    F10: 68,
    F12: 88,
    F24: 194,
    Numpad5: 76,
    NumpadEnter: 96,
    ArrowUp: 103,
    Delete: 111,
    IntlBackslash: 86,
    IntlRo: 89,
    IntlYen: 124,
    Lang1: 122,
    Lang2: 123,
    AudioVolumeUp: 115,
    MediaPlayPause: 164,
    BrowserBack: 158,
  };
  for (const [code, key] of Object.entries(expected)) assert.equal(evdevKey(code), key, code);
});

test('evdevKey, a name without a key, is null', () => {
  for (const code of ['', 'Unidentified', 'keya', 'toString', '__proto__', 'constructor']) {
    assert.equal(evdevKey(code), null, code);
  }
});

test('evdevKey, every name, is a legal key code', () => {
  assert.ok(KNOWN_CODES.length >= 150, `${KNOWN_CODES.length} names`);
  for (const code of KNOWN_CODES) {
    const key = evdevKey(code);
    assert.ok(key !== null && key >= 1 && key <= MAX_KEY, `${code} is ${key}`);
  }
});
