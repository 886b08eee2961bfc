import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  corrections,
  modifiersOf,
  modifiersOfCode,
  modifiersOfKey,
} from '../src/core/modifiers.js';

/** @import { Platform } from '../src/core/locks.js' */
/** @import { Modifier } from '../src/core/modifiers.js' */

/**
 * The corrections, for keys held by code and effect, or by code alone.
 * @param {Modifier[]} reported
 * @param {string[]} held
 * @param {Platform} platform
 */
function follows(reported, held, platform = 'other') {
  const keys = held.map((name) => {
    const [code = '', key] = name.split('=');
    const kinds = key === undefined ? modifiersOfCode(code) : modifiersOfKey(code, key);
    return /** @type {const} */ ([code, kinds]);
  });
  return corrections(new Set(reported), new Map(keys), platform);
}

/** @type {readonly (readonly [string, Platform, Modifier[], string[], string[], string[]])[]} */
const TABLE = [
  // What, platform, reported, held, released, pressed.
  ['nothing', 'other', [], [], [], []],
  ['agreement', 'other', ['shift', 'alt'], ['ShiftRight', 'AltLeft', 'KeyA'], [], []],
  ['lost release', 'other', [], ['ShiftLeft', 'KeyA'], ['ShiftLeft'], []],
  ['lost releases of both', 'mac', [], ['ControlLeft', 'ControlRight'], ['ControlLeft', 'ControlRight'], []],
  ['press elsewhere', 'mac', ['meta'], [], [], ['MetaLeft']],
  ['one for another', 'windows', ['control'], ['ShiftLeft'], ['ShiftLeft'], ['ControlLeft']],
  ['right Alt as Alt', 'other', ['alt'], ['AltRight=Alt'], [], []],
  ['right Alt as AltGr', 'other', ['altGraph'], ['AltRight=AltGraph'], [], []],
  ['right Alt that is up', 'other', [], ['AltRight=AltGraph'], ['AltRight'], []],
  ['AltGr from elsewhere', 'other', ['altGraph', 'alt'], [], [], ['AltRight']],
  ['AltGr on Windows', 'windows', ['altGraph', 'control', 'alt'], ['AltRight=AltGraph'], [], []],
  ['AltGr on Windows, silent', 'windows', ['control', 'alt'], ['AltRight=AltGraph'], [], []],
  ['AltGr on Windows with Control', 'windows', ['altGraph'], ['AltRight', 'ControlRight'], [], []],
  ['AltGr on Windows with Shift that is up', 'windows', ['altGraph'], ['AltRight', 'ShiftLeft'], ['ShiftLeft'], []],
  ['Control on Caps Lock', 'other', ['control'], ['CapsLock=Control'], [], []],
  ['Compose on right Alt', 'other', [], ['AltRight=Compose'], [], []],
  ['level 5 on right Alt', 'other', ['shift'], ['AltRight=ShiftLevel5', 'ShiftLeft'], [], []],
  ['level 3 on Caps Lock', 'other', ['altGraph'], ['CapsLock=AltGraph'], [], []],
  ['Control and Alt swapped', 'other', ['alt'], ['ControlLeft=Alt'], [], []],
  ['Alt with Shift, which X11 calls Meta', 'other', ['alt', 'shift'], ['ShiftLeft', 'AltLeft=Meta'], [], []],
  ['old Firefox', 'other', ['meta'], ['OSLeft=OS'], [], []],
];

for (const [what, platform, reported, held, release, press] of TABLE) {
  test(`corrections, ${what}, releases [${release}] and presses [${press}]`, () => {
    assert.deepEqual(follows(reported, held, platform), { release, press });
  });
}

test('corrections, a modifier the event is silent about, changes nothing in it', () => {
  const held = new Map([['ShiftLeft', modifiersOfCode('ShiftLeft')]]);
  const silent = new Set(/** @type {Modifier[]} */ (['shift', 'control']));
  const found = corrections(new Set(/** @type {Modifier[]} */ (['control'])), held, 'other', silent);
  assert.deepEqual(found, { release: [], press: [] });
});

/**
 * @param {string} on
 * @param {Platform} platform
 */
const read = (on, platform) => [
  ...modifiersOf(
    {
      altKey: on.includes('alt'),
      ctrlKey: on.includes('ctrl'),
      metaKey: on.includes('meta'),
      shiftKey: on.includes('shift'),
      getModifierState: (name) => on.includes(name),
    },
    platform,
  ),
];

test('modifiersOf, an event, has what it reports', () => {
  assert.deepEqual(read('', 'other'), []);
  assert.deepEqual(read('alt ctrl meta shift', 'mac'), ['alt', 'control', 'meta', 'shift']);
  assert.deepEqual(read('AltGraph', 'windows'), ['altGraph']);
  assert.deepEqual(read('OS', 'other'), ['meta']);
});

test('modifiersOf, Option in Firefox on macOS, is Alt and not AltGr', () => {
  assert.deepEqual(read('alt AltGraph', 'mac'), ['alt']);
});
