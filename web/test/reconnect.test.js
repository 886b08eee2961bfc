import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Backoff, GOOD_AFTER } from '../src/core/reconnect.js';

test('fail, again and again, waits not at all and then ever longer up to a limit', () => {
  const backoff = new Backoff(() => 0);
  const delays = Array.from({ length: 9 }, () => backoff.fail());
  assert.deepEqual(delays, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
});

test('fail, with chance, is at most a quarter sooner', () => {
  const backoff = new Backoff(() => 0.999);
  backoff.fail();
  assert.equal(backoff.fail(), 75);
});

test('ended, a good connection, starts anew and a short one does not', () => {
  const backoff = new Backoff(() => 0);
  backoff.fail();
  backoff.ended(GOOD_AFTER - 1);
  assert.equal(backoff.fail(), 100);
  backoff.ended(GOOD_AFTER);
  assert.equal(backoff.fail(), 0);
});
