import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HeldButtons } from '../src/core/held-buttons.js';

test('update, every bit, is its button', () => {
  const buttons = new HeldButtons();
  assert.deepEqual(
    buttons.update(0b11111).map(({ button }) => button),
    [0x110, 0x111, 0x112, 0x113, 0x114],
  );
});

test('update, a second button beside a held one, tells the second only', () => {
  const buttons = new HeldButtons();
  buttons.update(1);
  assert.deepEqual(buttons.update(1 | 4), [{ button: 0x112, pressed: true }]);
  assert.deepEqual(buttons.update(4), [{ button: 0x110, pressed: false }]);
});

test('update, one released while another is pressed, tells the release first', () => {
  const buttons = new HeldButtons();
  buttons.update(2);
  assert.deepEqual(buttons.update(1), [
    { button: 0x111, pressed: false },
    { button: 0x110, pressed: true },
  ]);
});

test('update, unknown bits, is nothing', () => {
  assert.deepEqual(new HeldButtons().update(0b1100000), []);
});

test('releaseAll, buttons down, forgets them and says so', () => {
  const buttons = new HeldButtons();
  buttons.update(1);
  assert.equal(buttons.releaseAll(), true);
  assert.equal(buttons.releaseAll(), false);
  assert.deepEqual(buttons.update(0), []);
});

test('update, pressed where it does not count, is nothing until all buttons are up', () => {
  const held = new HeldButtons();
  assert.deepEqual(held.update(1, false), []);
  assert.deepEqual(held.update(1, true), []);
  assert.deepEqual(held.update(3, true), []);
  assert.equal(held.any, false);
  assert.deepEqual(held.update(0, true), []);
  assert.deepEqual(held.update(1, true), [{ button: 0x110, pressed: true }]);
});

test('update, dragged to where no press counts, goes on and ends there', () => {
  const held = new HeldButtons();
  held.update(1, true);
  assert.deepEqual(held.update(3, false), [{ button: 0x111, pressed: true }]);
  assert.deepEqual(held.update(0, false).length, 2);
});

test('cancel, a finger beside the picture is gone, and the next one counts', () => {
  const held = new HeldButtons();
  held.update(1, false);
  assert.equal(held.cancel(), false);
  assert.deepEqual(held.update(1, true), [{ button: 0x110, pressed: true }]);
  assert.equal(held.cancel(), true);
});

test('releaseAll, pressed where it does not count, is still ignored until all buttons are up', () => {
  const held = new HeldButtons();
  held.update(1, false);
  held.releaseAll();
  assert.deepEqual(held.update(1, true), []);
});
