import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Keyboard } from '../src/page/keyboard.js';

/** @import { InputMessage } from '../src/core/input-codec.js' */

const SHIFT_LEFT = 42;

/** The parts of a browser that the keyboard uses. */
function openPage({ takesText = false } = {}) {
  const page = {
    window: new EventTarget(),
    document: { hidden: false },
    navigator: { platform: 'Linux x86_64', userAgent: '' },
  };
  for (const [name, value] of Object.entries(page)) {
    Object.defineProperty(globalThis, name, { value, configurable: true });
  }
  /** @type {InputMessage[]} */
  const sent = [];
  let pastes = 0;
  const pasting = () => {
    pastes += 1;
  };
  const desktop = { send: (/** @type {InputMessage} */ message) => sent.push(message) };
  const keyboard = new Keyboard(
    { ...desktop, isActive: () => true, wantsPaste: () => takesText, pasting },
    new AbortController().signal,
  );
  /**
   * @param {'keydown' | 'keyup'} type
   * @param {string} code
   * @param {string} key
   * @param {boolean} shiftKey
   * @param {boolean} [ctrlKey]
   */
  const happen = (type, code, key, shiftKey, ctrlKey = false) => {
    const event = new Event(type, { cancelable: true });
    const modifiers = { altKey: false, ctrlKey, metaKey: false, shiftKey };
    const getModifierState = (/** @type {string} */ name) => name === 'Shift' && shiftKey;
    Object.assign(event, { code, key, repeat: false, ...modifiers, getModifierState });
    page.window.dispatchEvent(event);
    return event;
  };
  return { keyboard, sent, happen, pastes: () => pastes };
}

test('keyup of a key the desktop does not know lets go of a modifier whose own release was lost', () => {
  for (const code of ['Fn', '']) {
    const { keyboard, sent, happen } = openPage();
    happen('keydown', 'ShiftLeft', 'Shift', true);
    const event = happen('keyup', code, 'Unidentified', false);
    const told = sent.map((message) => message.type === 'key' && [message.key, message.pressed]);
    assert.deepEqual(told, [
      [SHIFT_LEFT, true],
      [SHIFT_LEFT, false],
    ]);
    assert.equal(keyboard.isHolding, false);
    assert.equal(event.defaultPrevented, false, 'what else that key does is the browser\'s affair');
  }
});

test('keydown that pastes is left to the browser where the desktop takes text, and to nobody else', () => {
  for (const takesText of [true, false]) {
    const { sent, happen, pastes } = openPage({ takesText });
    happen('keydown', 'ControlLeft', 'Control', false, true);
    const copy = happen('keydown', 'KeyC', 'c', false, true);
    const paste = happen('keydown', 'KeyV', 'v', false, true);
    assert.equal(copy.defaultPrevented, true);
    assert.equal(paste.defaultPrevented, !takesText);
    assert.equal(pastes(), takesText ? 1 : 0);
    const keys = sent.map((message) => message.type === 'key' && message.key);
    assert.equal(keys.at(-1), 47, 'KEY_V is pressed on the desktop all the same');
  }
});
