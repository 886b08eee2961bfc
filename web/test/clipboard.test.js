import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { Clipboard } from '../src/core/clipboard.js';
import { MAX_CHUNK, decodeDesktopSays, encodePageSays } from '../src/core/clipboard-codec.js';
import { Gate } from '../src/core/gate.js';
import { isPaste } from '../src/core/paste-keys.js';

/** @import { DesktopSays, PageSays } from '../src/core/clipboard-codec.js' */
/** @import { InputMessage } from '../src/core/input-codec.js' */

/** @type {DesktopSays & { type: 'ways' }} */
const BOTH = { type: 'ways', fromDesktop: true, toDesktop: true };

/** A clipboard with its messages and effects. */
function open(ways = BOTH) {
  /** @type {PageSays[]} */
  const said = [];
  /** @type {string[]} */
  const copied = [];
  /** @type {string[]} */
  const refused = [];
  const state = { room: Infinity, settled: 0 };
  const clipboard = new Clipboard({
    send: (message) => {
      said.push(message);
      if (message.type === 'sent') state.room -= message.bytes.length;
      return true;
    },
    hasRoom: () => state.room > 0,
    copy: (text) => copied.push(text),
    settled: () => {
      state.settled += 1;
    },
    refused: (failure) => refused.push(failure),
  });
  const hear = (/** @type {DesktopSays} */ message, focused = true) =>
    clipboard.received(message, focused);
  hear(ways);
  const last = () => {
    const message = said.at(-1);
    assert.ok(message);
    return message;
  };
  return { clipboard, said, copied, refused, state, hear, last };
}

/** @param {string} text */
const bytesOf = (text) => new TextEncoder().encode(text);

/** @param {ReturnType<typeof open>} page */
function fetchedTransfer({ last }) {
  const message = last();
  assert.ok(message.type === 'requested');
  return message.transfer;
}

test('text of this system is announced by its length, and sent only when it is asked for', () => {
  const { clipboard, said, state, hear } = open();
  assert.equal(clipboard.offer('Grüße\r\n🦀'), true);
  assert.deepEqual(said, [{ type: 'offered', offer: 1, bytes: bytesOf('Grüße\n🦀').length }]);
  hear({ type: 'taken', offer: 1 });
  assert.equal(state.settled, 1);
  hear({ type: 'requested', transfer: 7, offer: 1, credit: 65536 });
  const [, sent, ended] = said;
  assert.deepEqual(sent, { type: 'sent', transfer: 7, bytes: bytesOf('Grüße\n🦀') });
  assert.deepEqual(ended, { type: 'ended', transfer: 7 });
});

test('text goes within credit and room, in pieces, and all of it arrives', () => {
  const page = open();
  const text = 'äöü🦀'.repeat(10_000);
  page.clipboard.offer(text);
  page.state.room = MAX_CHUNK;
  let credit = 20_000;
  page.hear({ type: 'requested', transfer: 1, offer: 1, credit });
  const sentBytes = () =>
    page.said.flatMap((message) => (message.type === 'sent' ? [...message.bytes] : []));
  while (page.last().type !== 'ended') {
    assert.ok(sentBytes().length <= credit);
    page.state.room = MAX_CHUNK;
    page.clipboard.roomMade();
    if (sentBytes().length === credit) {
      credit += 3000;
      page.hear({ type: 'granted', transfer: 1, credit: 3000 });
    }
  }
  assert.equal(new TextDecoder().decode(new Uint8Array(sentBytes())), text);
  for (const message of page.said) {
    if (message.type === 'sent') assert.ok(message.bytes.length <= MAX_CHUNK);
  }
});

test('text that both sides have is not offered again', () => {
  const { clipboard, said } = open();
  clipboard.offer('a');
  assert.equal(clipboard.offer('a'), false);
  assert.equal(clipboard.offer(''), false);
  assert.equal(said.length, 1);
  assert.equal(clipboard.offer('b'), true);
});

test('text is offered anew after another viewer has replaced it', () => {
  const { clipboard, hear } = open();
  clipboard.offer('a');
  hear({ type: 'taken', offer: 1 });
  hear({ type: 'lapsed', offer: 1 });
  assert.equal(clipboard.offer('a'), true);
});

test('text that an app copies is fetched in a window with the focus, and whole', () => {
  const page = open();
  page.hear({ type: 'offered', offer: 5 }, true);
  const transfer = fetchedTransfer(page);
  const bytes = bytesOf('Grüße 🦀');
  // A character spans two pieces.
  page.hear({ type: 'sent', transfer, bytes: bytes.slice(0, 3) });
  page.hear({ type: 'sent', transfer: transfer + 1, bytes: bytesOf('another') });
  page.hear({ type: 'sent', transfer, bytes: bytes.slice(3) });
  page.hear({ type: 'ended', transfer });
  assert.deepEqual(page.copied, ['Grüße 🦀']);
});

test('empty text that an app copies is written', () => {
  const page = open();
  page.hear({ type: 'offered', offer: 5 }, true);
  page.hear({ type: 'ended', transfer: fetchedTransfer(page) });
  assert.deepEqual(page.copied, ['']);
});

test('text that an app copies while the window has no focus is not fetched', () => {
  const { said, hear } = open();
  hear({ type: 'offered', offer: 5 }, false);
  assert.deepEqual(said, []);
});

test('text of the desktop that was written here is not offered back', () => {
  const { clipboard, hear, said } = open();
  hear({ type: 'offered', offer: 5 });
  clipboard.written('from the desktop');
  clipboard.copiedElsewhere();
  assert.equal(clipboard.offer('from the desktop'), false);
  assert.equal(said.filter(({ type }) => type === 'offered').length, 0);
});

test('paste right after a copy in the desktop pastes what the desktop has', () => {
  // Nothing was copied here since: the window kept the focus, and the text is the same.
  const { clipboard, hear } = open();
  hear({ type: 'offered', offer: 5 });
  assert.equal(clipboard.offer('copied here long ago'), false);
  const other = open();
  other.clipboard.offer('known');
  other.hear({ type: 'offered', offer: 5 }, false);
  assert.equal(other.clipboard.offer('known'), false);
});

test('text copied elsewhere after the desktop copied is offered', () => {
  const { clipboard, hear } = open();
  hear({ type: 'offered', offer: 5 });
  clipboard.copiedElsewhere();
  assert.equal(clipboard.offer('new'), true);
});

test('without a way to the desktop nothing is offered, and without one from it nothing fetched', () => {
  const closed = open({ type: 'ways', fromDesktop: false, toDesktop: false });
  assert.equal(closed.clipboard.takesText, false);
  assert.equal(closed.clipboard.offer('a'), false);
  closed.hear({ type: 'offered', offer: 5 }, true);
  assert.deepEqual(closed.said, []);
});

test('an offer that is not the newest is not sent', () => {
  const { clipboard, hear, last } = open();
  clipboard.offer('a');
  clipboard.offer('b');
  hear({ type: 'requested', transfer: 3, offer: 1, credit: 10 });
  assert.deepEqual(last(), { type: 'failed', transfer: 3 });
});

test('a lost connection ends what was under way, and a key that waits goes on', () => {
  const page = open();
  page.clipboard.offer('x'.repeat(100_000));
  page.hear({ type: 'requested', transfer: 1, offer: 1, credit: 10 });
  page.hear({ type: 'offered', offer: 2 });
  const transfer = fetchedTransfer(page);
  const settled = page.state.settled;
  page.clipboard.reset();
  assert.equal(page.state.settled, settled + 1);
  const before = page.said.length;
  page.hear({ type: 'granted', transfer: 1, credit: 65536 });
  page.hear({ type: 'ended', transfer });
  assert.equal(page.said.length, before);
  assert.deepEqual(page.copied, []);
});

test('text beyond the most there may be is refused in both directions', () => {
  const page = open();
  page.hear({ type: 'offered', offer: 5 });
  const transfer = fetchedTransfer(page);
  const bytes = new Uint8Array(32 * 1024 * 1024);
  for (let piece = 0; piece < 3; piece += 1) page.hear({ type: 'sent', transfer, bytes });
  assert.deepEqual(page.last(), { type: 'cancelled', transfer });
  assert.deepEqual(page.refused, ['tooLarge']);
  page.clipboard.copiedElsewhere();
  assert.equal(page.clipboard.offer('x'.repeat(64 * 1024 * 1024 + 1)), false);
  assert.deepEqual(page.refused, ['tooLarge', 'tooLarge']);
});

test('gate holds back in order what is done while it is closed', () => {
  /** @type {InputMessage[]} */
  const passed = [];
  const gate = new Gate((message) => passed.push(message));
  const key = (/** @type {number} */ code) =>
    /** @type {InputMessage} */ ({ type: 'key', key: code, pressed: true, locks: null });
  gate.take(key(1));
  gate.close();
  gate.take(key(2));
  gate.take(key(3));
  assert.deepEqual(passed, [key(1)]);
  gate.open();
  gate.take(key(4));
  assert.deepEqual(passed, [key(1), key(2), key(3), key(4)]);
  gate.close();
  gate.take(key(5));
  gate.drop();
  gate.open();
  assert.equal(passed.length, 4);
});

test('keys that paste are those the browser pastes with', () => {
  const event = { code: 'KeyV', key: 'v', ctrlKey: false, shiftKey: false, altKey: false, metaKey: false };
  const control = { ...event, ctrlKey: true };
  assert.equal(isPaste(control, 'other'), true);
  assert.equal(isPaste({ ...control, shiftKey: true, key: 'V' }, 'windows'), true);
  assert.equal(isPaste({ ...control, code: 'KeyX', key: 'v' }, 'other'), true);
  assert.equal(isPaste({ ...control, altKey: true }, 'other'), false);
  assert.equal(isPaste(event, 'other'), false);
  assert.equal(isPaste({ ...event, code: 'Insert', key: 'Insert', shiftKey: true }, 'other'), true);
  assert.equal(isPaste({ ...event, metaKey: true }, 'mac'), true);
  assert.equal(isPaste({ ...event, metaKey: true }, 'other'), false);
  assert.equal(isPaste(control, 'mac'), false);
});

/** @param {string} hex */
const unhex = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));

/** @param {string} name */
const vectors = (name) =>
  JSON.parse(readFileSync(new URL(`vectors/${name}.json`, import.meta.url), 'utf8'));

/** The vectors contain bytes as text. @param {any} message */
const withBytes = ({ text, ...message }) =>
  text === undefined ? message : { ...message, bytes: bytesOf(text) };

test('what the page says is encoded as lumen-rtc decodes it', () => {
  for (const { name, hex, message } of vectors('clipboard-page')) {
    assert.deepEqual([...encodePageSays(withBytes(message))], [...unhex(hex)], name);
  }
});

test('what the desktop says is decoded as lumen-rtc encodes it', () => {
  for (const { name, hex, message } of vectors('clipboard-desktop')) {
    assert.deepEqual(decodeDesktopSays(unhex(hex).buffer), withBytes(message), name);
  }
});

test('what is no message of the desktop is not understood', () => {
  for (const hex of ['', 'a1', 'a0', 'a00303', 'a100000001ff', 'a400000001', 'a90000000105', 'ff00000001']) {
    assert.equal(decodeDesktopSays(unhex(hex).buffer), null, hex);
  }
});
