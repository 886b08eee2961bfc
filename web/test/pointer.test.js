import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Pointer } from '../src/page/pointer.js';

/** @import { InputMessage } from '../src/core/input-codec.js' */

/** The parts of a browser that the pointer uses. */
function openPage() {
  Object.defineProperty(globalThis, 'window', { value: {}, configurable: true });
  Object.defineProperty(globalThis, 'PointerEvent', { value: Event, configurable: true });
  const stage = Object.assign(new EventTarget(), { setPointerCapture() {}, focus() {} });
  /** @type {InputMessage[]} */
  const sent = [];
  const send = (/** @type {InputMessage} */ message) => void sent.push(message);
  const pointer = new Pointer(
    /** @type {HTMLElement} */ (/** @type {unknown} */ (stage)),
    {
      send,
      sendMotion: send,
      isActive: () => true,
      box: () => ({ left: 0, top: 0, width: 100, height: 100 }),
      scale: () => 1,
      isControlDown: () => false,
      heed() {},
    },
    new AbortController().signal,
  );
  /**
   * @param {'pointerdown' | 'pointercancel'} type
   * @param {number} finger the first is the primary one
   * @param {number} buttons
   */
  const happen = (type, finger, buttons) => {
    const event = new Event(type, { cancelable: true });
    const place = { clientX: 50, clientY: 50 };
    Object.assign(event, { pointerId: finger, isPrimary: finger === 1, buttons, ...place });
    stage.dispatchEvent(event);
  };
  return { pointer, sent, happen };
}

test('pointercancel of a second finger, leaves what the first one holds', () => {
  const { pointer, sent, happen } = openPage();
  happen('pointerdown', 1, 1);
  happen('pointerdown', 2, 1);
  happen('pointercancel', 2, 0);
  assert.deepEqual(
    sent.map(({ type }) => type),
    ['button'],
  );
  assert.ok(pointer.isHolding);
  happen('pointercancel', 1, 0);
  assert.equal(sent.at(-1)?.type, 'releaseAll');
  assert.ok(!pointer.isHolding);
});
