import assert from 'node:assert/strict';
import { test } from 'node:test';

import { describeSignIn, parseSignIns } from '../src/core/sign-ins.js';

const ONE = {
  id: '000000000000002a',
  own: false,
  by: 'token',
  from: '192.0.2.7',
  given: 7300,
  used: 65,
  pages: 0,
};

test('list of the server is read, and what is no sign-in is left out', () => {
  const answer = { signIns: [ONE, null, 7, { ...ONE, id: '../2a' }, { ...ONE, id: 42 }] };
  assert.deepEqual(parseSignIns(answer), [ONE]);
  for (const other of [null, {}, [], { signIns: 'x' }]) assert.deepEqual(parseSignIns(other), []);
});

test('line says whose, how, since when and whether it is in use', () => {
  assert.equal(describeSignIn(ONE), 'From 192.0.2.7, by token, 2 h ago; last used 1 min ago');
  const own = { ...ONE, own: true, given: 5, pages: 1 };
  assert.equal(describeSignIn(own), 'This browser, by token, just now; connected');
  assert.match(describeSignIn({ ...ONE, given: 3 * 86_400 }), /3 d ago/);
});
