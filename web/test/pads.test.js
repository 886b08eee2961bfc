import assert from 'node:assert/strict';
import { test } from 'node:test';

import { encodeInput } from '../src/core/input-codec.js';
import { Pads, REST, isMapped, stateOf } from '../src/core/pads.js';

/** @import { InputMessage } from '../src/core/input-codec.js' */
/** @import { PadSnapshot } from '../src/core/pads.js' */

const UP = { pressed: false, value: 0 };
const DOWN = { pressed: true, value: 1 };

/**
 * @param {Partial<PadSnapshot>} [changes]
 * @returns {PadSnapshot}
 */
const pad = (changes = {}) => ({
  index: 0,
  connected: true,
  mapping: 'standard',
  axes: [0, 0, 0, 0],
  buttons: Array.from({ length: 17 }, () => UP),
  ...changes,
});

/** @param {Record<number, typeof UP>} pressed */
const buttons = (pressed, length = 17) => Array.from({ length }, (_, place) => pressed[place] ?? UP);

class Desktop {
  pads = new Pads();
  open = true;

  /** @param {(PadSnapshot | null)[]} snapshots */
  look(...snapshots) {
    return this.#collect((send) => this.pads.look(snapshots, send));
  }

  release() {
    return this.#collect((send) => this.pads.release(send));
  }

  /** @param {(send: (message: InputMessage) => boolean) => void} act */
  #collect(act) {
    /** @type {InputMessage[]} */
    const sent = [];
    act((message) => {
      if (this.open) sent.push(message);
      return this.open;
    });
    return sent;
  }
}

test('isHeld, as long as anything is pressed or moved', () => {
  const desktop = new Desktop();
  assert.equal(desktop.pads.isHeld, false);
  for (const held of [{ buttons: buttons({ 3: DOWN }) }, { axes: [0, 0, 0.5, 0] }]) {
    desktop.look(pad(held));
    assert.equal(desktop.pads.isHeld, true);
    desktop.look(pad({ index: 0 }));
    assert.equal(desktop.pads.isHeld, false);
  }
  desktop.look(pad({ buttons: buttons({ 3: DOWN }) }));
  desktop.release();
  assert.equal(desktop.pads.isHeld, false);
});

test('stateOf, standard mapping, has every control at its place', () => {
  const state = stateOf(
    pad({ axes: [-1, 1, 0.5, -0.5], buttons: buttons({ 0: DOWN, 7: { pressed: true, value: 0.5 }, 16: DOWN }) }),
  );
  assert.deepEqual(state, {
    buttons: 1 | (1 << 7) | (1 << 16),
    sticks: [-32767, 32767, 16384, -16383],
    triggers: [0, 128],
  });
});

test('stateOf, numbers that are none or beyond all range, are clamped or at rest', () => {
  const wild = pad({
    axes: [NaN, Infinity, -Infinity, 1e300],
    buttons: buttons({ 6: { pressed: false, value: NaN }, 7: { pressed: false, value: 7 } }),
  });
  assert.deepEqual(stateOf(wild), {
    buttons: 0,
    sticks: [0, 32767, -32767, 32767],
    triggers: [0, 255],
  });
  assert.deepEqual(stateOf(pad({ axes: [], buttons: [] })).sticks, [0, 0, 0, 0]);
});

test('stateOf, any rubbish, encodes to a message of the right length and in range', () => {
  const odd = [NaN, Infinity, -Infinity, -0, 1e-300, 2, -7, 0.3];
  for (const one of odd) {
    for (const other of odd) {
      const rubbish = pad({
        axes: Array.from({ length: 40 }, () => one),
        buttons: Array.from({ length: 99 }, () => ({ pressed: true, value: other })),
      });
      const state = stateOf(rubbish);
      assert.equal(state.buttons, (1 << 18) - 1);
      assert.ok(state.sticks.every((axis) => Number.isInteger(axis) && Math.abs(axis) <= 32767));
      assert.ok(state.triggers.every((axis) => Number.isInteger(axis) && axis >= 0 && axis <= 255));
      assert.equal(encodeInput({ type: 'pad', pad: 0, sequence: 1, ...state }).length, 18);
    }
  }
});

test('stateOf, a stick near its centre, is at rest', () => {
  assert.deepEqual(stateOf(pad({ axes: [REST / 2, -REST / 2, REST, 0] })).sticks.slice(0, 2), [0, 0]);
});

test('stateOf, a trigger that is only a switch, is pulled all the way', () => {
  assert.deepEqual(stateOf(pad({ buttons: buttons({ 6: { pressed: true, value: 0 } }) })).triggers, [255, 0]);
});

test('stateOf, the layout of Linux without a mapping, is put in order', () => {
  const raw = pad({
    mapping: '',
    axes: [0.5, 0, 1, 0, 0, -1, 0, -1],
    buttons: buttons({ 6: DOWN, 8: DOWN }, 11),
  });
  assert.ok(isMapped(raw));
  assert.deepEqual(stateOf(raw), {
    // Back, guide, up, and the left trigger.
    buttons: (1 << 8) | (1 << 16) | (1 << 12) | (1 << 6),
    sticks: [16384, 0, 0, 0],
    triggers: [255, 0],
  });
  assert.ok(!isMapped(pad({ mapping: '', axes: [0, 0], buttons: buttons({}, 4) })));
});

test('look, a new pad, is told at rest and then only when it changes', () => {
  const desktop = new Desktop();
  const rest = { type: 'pad', pad: 0, sequence: 1, buttons: 0, sticks: [0, 0, 0, 0], triggers: [0, 0] };
  assert.deepEqual(desktop.look(pad()), [rest]);
  assert.deepEqual(desktop.look(pad()), []);
  assert.deepEqual(desktop.look(pad({ buttons: buttons({ 1: DOWN }) })), [
    { ...rest, sequence: 2, buttons: 2 },
  ]);
});

test('look, a pad that is gone, is unplugged once', () => {
  const desktop = new Desktop();
  desktop.look(null, pad({ index: 1 }));
  const unplugged = { type: 'padUnplugged', pad: 1, sequence: 2 };
  assert.deepEqual(desktop.look(null, null), [unplugged]);
  assert.deepEqual(desktop.look(null, null), []);
  assert.ok(!desktop.pads.any);
  desktop.look(null, pad({ index: 1 }));
  assert.deepEqual(desktop.look(null, pad({ index: 1, connected: false })), [{ ...unplugged, sequence: 4 }]);
});

test('look, an index no pad can have, is passed over', () => {
  const desktop = new Desktop();
  for (const index of [4, 255, -1, 0.5, NaN]) assert.deepEqual(desktop.look(pad({ index })), []);
});

test('look, while nothing can be sent, is told later', () => {
  const desktop = new Desktop();
  desktop.open = false;
  desktop.look(pad());
  desktop.open = true;
  assert.equal(desktop.look(pad()).length, 1);
  desktop.open = false;
  desktop.look();
  desktop.open = true;
  assert.equal(desktop.look()[0]?.type, 'padUnplugged');
});

test('release, pads in use, lets go and keeps them plugged in', () => {
  const desktop = new Desktop();
  const held = pad({ buttons: buttons({ 0: DOWN }), axes: [1, 0, 0, 0] });
  desktop.look(held);
  const [message] = desktop.release();
  assert.deepEqual(message, {
    type: 'pad', pad: 0, sequence: 2, buttons: 0, sticks: [0, 0, 0, 0], triggers: [0, 0],
  });
  assert.deepEqual(desktop.release(), []);
  assert.equal(desktop.look(held).length, 1);
});

test('forget, a new desktop, is told all and numbers start anew', () => {
  const desktop = new Desktop();
  desktop.look(pad());
  desktop.pads.forget();
  const [message] = desktop.look(pad());
  assert.ok(message?.type === 'pad' && message.sequence === 1);
});

test('sequence, at its end, wraps', () => {
  const desktop = new Desktop();
  let last;
  for (let round = 0; round < 0x1_0000; round += 1) {
    [last] = desktop.look(pad({ buttons: buttons({ [round % 2]: DOWN }) }));
  }
  assert.ok(last?.type === 'pad' && last.sequence === 0);
});
