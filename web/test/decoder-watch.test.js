import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';

import { PATIENCE } from '../src/core/decoding.js';
import { DecoderWatch } from '../src/page/decoder-watch.js';

/** @import { Viewer } from '../src/page/viewer.js' */

/** @param {string} name @param {unknown} value */
const define = (name, value) => {
  Object.defineProperty(globalThis, name, { value, configurable: true });
};

/** A connection whose pictures never appear, in virtual time. */
class Connection {
  now = 0;
  /** @type {string[]} */
  said = [];
  shownTime = null;
  connection = {};
  countPictures = async () => ({ received: 0, decoded: 0, lost: 0 });

  constructor() {
    define('document', { hidden: false });
    define('performance', { now: () => this.now });
  }

  say() {}

  /** @param {{ type: string }} message */
  send({ type }) {
    this.said.push(type);
  }
}

test('a browser that has no statistics for once is asked again for the next picture', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const connection = new Connection();
  const viewer = /** @type {Viewer} */ (/** @type {unknown} */ (connection));
  const watch = new DecoderWatch(viewer, new AbortController().signal);
  const miss = async (/** @type {number} */ time) => {
    watch.sent({ type: 'pictureSent', time });
    connection.now += PATIENCE;
    t.mock.timers.tick(PATIENCE);
    await setImmediate();
  };
  const { countPictures } = connection;
  connection.countPictures = () => Promise.reject(new Error('The connection is closed.'));
  await miss(90);
  assert.deepEqual(connection.said, []);
  connection.countPictures = countPictures;
  await miss(180);
  assert.deepEqual(connection.said, ['keyframeWanted']);
});
