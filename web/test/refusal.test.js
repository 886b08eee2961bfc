import assert from 'node:assert/strict';
import { test } from 'node:test';

import { explain } from '../src/core/refusal.js';

test('explain, a word of the gateway, passes its sentence on', () => {
  const text = 'This token is wrong or has expired.';
  assert.deepEqual(explain({ status: 401, word: 'wrong-token', text }), { type: 'wrong', reason: text });
  const types = ['login-needed', 'no-identity', 'too-many-attempts', 'unavailable', 'foreign-origin', 'not-loopback'].map(
    (word) => explain({ status: 400, word, text }).type,
  );
  assert.deepEqual(types, ['loginNeeded', 'later', 'later', 'later', 'never', 'never']);
});

test('explain, a word of a newer gateway, is not taken for a wrong token', () => {
  const answer = explain({ status: 401, word: 'something-new', text: 'A reason.' });
  assert.deepEqual(answer, { type: 'never', reason: 'A reason.' });
});

test('explain, an answer without a word, is not taken for one of the gateway', () => {
  const text = '<html>Bad Gateway</html>';
  for (const status of [502, 503, 504]) {
    const { type, reason } = explain({ status, word: null, text });
    assert.equal(type, 'later');
    assert.match(reason, /proxy cannot reach Lumen/);
  }
  for (const status of [429, 500, 521, 530]) {
    const { type, reason } = explain({ status, word: null, text });
    assert.equal(type, 'later');
    assert.match(reason, new RegExp(`status ${status}.*proxy`));
  }
  for (const status of [301, 401, 403, 404, 413]) {
    const { type, reason } = explain({ status, word: null, text });
    assert.equal(type, 'never');
    assert.match(reason, new RegExp(`status ${status}.*proxy`));
    assert.doesNotMatch(reason, /html|token/);
  }
});
