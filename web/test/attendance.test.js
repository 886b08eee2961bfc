import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { LEASE_RETRY } from '../src/core/lease.js';
import { Attendance } from '../src/page/attendance.js';

/** @import { SignallingSocket } from '../src/page/server.js' */

test('page that got no lease asks again after a second, and not before', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  /** @type {string[]} */
  const sent = [];
  const open = { isOpen: true, send: (/** @type {string} */ text) => sent.push(text) };
  const socket = /** @type {SignallingSocket} */ (/** @type {unknown} */ (open));
  const attendance = new Attendance(
    () => ({ peer: null, socket, isStreaming: false }),
    () => assert.fail('no input counts'),
  );
  attendance.socketOpened();
  attendance.leased(null);
  attendance.acts();
  mock.timers.tick(LEASE_RETRY - 1);
  assert.equal(sent.length, 1);
  mock.timers.tick(1);
  assert.deepEqual(sent, ['{"type":"lease"}', '{"type":"lease"}']);
  mock.timers.reset();
});
