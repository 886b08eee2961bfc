import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  FIRST_CHOICE,
  describeSound,
  movedTo,
  parseChoice,
  storedChoice,
  toggled,
} from '../src/core/sound.js';

const PLAYING = { available: true, blocked: false, volume: 0.5, muted: false };

test('choice is remembered, and anything else in its place is the first one', () => {
  const choice = { volume: 0.25, muted: true };
  assert.deepEqual(parseChoice(storedChoice(choice)), choice);
  for (const text of [null, '', 'x', 'null', '{}', '{"volume":2,"muted":false}', '[1]']) {
    assert.deepEqual(parseChoice(text), FIRST_CHOICE, String(text));
  }
});

test('button mutes, and unmutes at the volume before', () => {
  const muted = toggled({ volume: 0.5, muted: false });
  assert.deepEqual(muted, { volume: 0.5, muted: true });
  assert.deepEqual(toggled(muted), { volume: 0.5, muted: false });
});

test('button makes what was turned down to nothing audible again', () => {
  assert.deepEqual(movedTo(0), { volume: 0, muted: true });
  assert.deepEqual(toggled(movedTo(0)), { volume: 1, muted: false });
});

test('slider stays in its range', () => {
  assert.deepEqual([movedTo(-5), movedTo(50), movedTo(500)].map(({ volume }) => volume), [0, 0.5, 1]);
});

test('control is there only where the desktop sends sound', () => {
  assert.equal(describeSound(PLAYING).visible, true);
  assert.equal(describeSound({ ...PLAYING, available: false }).visible, false);
});

test('browser that blocks sound is named, unless the viewer wants silence', () => {
  const blocked = describeSound({ ...PLAYING, blocked: true });
  assert.match(blocked.notice, /blocks sound/);
  assert.equal(blocked.icon, 'blocked');
  const muted = describeSound({ ...PLAYING, blocked: true, muted: true });
  assert.deepEqual([muted.icon, muted.notice, muted.level], ['off', '', 0]);
});
