import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Keys } from '../src/core/keys.js';

/** @param {number} [room] how many items fit */
function store(room = Infinity) {
  /** @type {Map<string, string>} */
  const items = new Map();
  return {
    getItem: (/** @type {string} */ place) => items.get(place) ?? null,
    setItem: (/** @type {string} */ place, /** @type {string} */ text) => {
      if (!items.has(place) && items.size >= room) throw new Error('full');
      if (room === 0) throw new Error('full');
      items.set(place, text);
    },
    removeItem: (/** @type {string} */ place) => void items.delete(place),
    shrink: () => (room = 0),
  };
}

/** @returns {never} */
function forbidden() {
  throw new Error('forbidden');
}

test('keys of two desktops, each window keeps its own, over reloads too', () => {
  const browser = store();
  const [first, second] = [store(), store()];
  const open = (/** @type {ReturnType<typeof store>} */ window) =>
    new Keys('/', () => window, () => browser);
  const [one, other] = [open(first), open(second)];
  assert.ok(one.keep('1.one') && other.keep('2.two'));
  assert.deepEqual([one.current, other.current], ['1.one', '2.two']);
  assert.deepEqual([open(first).current, open(second).current], ['1.one', '2.two']);
  // A window without a desktop shows the last, and goes on showing it.
  const third = open(store());
  assert.equal(third.current, '2.two');
  one.keep('1.again');
  assert.deepEqual([third.current, open(first).current], ['2.two', '1.again']);
  assert.deepEqual([third.desktop, one.desktop, new Keys('/', store, store).desktop], ['2', '1', null]);
});

test('forget, leaves every window of that desktop without a key and no other', () => {
  const browser = store();
  const open = () => {
    const window = store();
    return new Keys('/', () => window, () => browser);
  };
  const [one, also, other] = [open(), open(), open()];
  one.keep('1.one');
  assert.equal(also.current, '1.one');
  other.keep('2.two');
  one.forget();
  assert.deepEqual([one.current, also.current, other.current], ['', '', '2.two']);
});

test('key where nothing may be stored, lasts as long as the page', () => {
  const keys = new Keys('/', forbidden, forbidden);
  assert.equal(keys.current, '');
  assert.equal(keys.keep('1.one'), false);
  assert.equal(keys.current, '1.one');
  keys.forget();
  assert.equal(keys.current, '');
});

test('key for which there is no room, is not covered by the one before', () => {
  const browser = store();
  const window = store();
  const keys = new Keys('/', () => window, () => browser);
  keys.keep('1.old');
  browser.shrink();
  assert.equal(keys.keep('1.new'), false);
  assert.equal(keys.current, '1.new');
});

test('keys under two paths of one origin, do not meet', () => {
  const [window, browser] = [store(), store()];
  const at = (/** @type {string} */ path) => new Keys(path, () => window, () => browser);
  at('/a/').keep('1.one');
  assert.deepEqual([at('/a/').current, at('/b/').current], ['1.one', '']);
});
