import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fieldOf, isForPassword, parseQuestion, parseSaid } from '../src/core/sign-in.js';

/** @typedef {import('../src/core/sign-in.js').Prompt} Prompt */

/**
 * @param {...Prompt} prompts
 */
const question = (...prompts) => ({ attempt: 'x', prompts });
const password = /** @type {const} */ ({ style: 'secret', text: 'Password: ' });

test('parseQuestion takes what the server asks and nothing else', () => {
  const asked = question({ style: 'info', text: 'Hello' }, password);
  assert.deepEqual(parseQuestion(asked), asked);
  const many = Array.from({ length: 17 }, () => password);
  for (const other of [
    null,
    'x',
    {},
    { attempt: 1, prompts: [password] },
    { attempt: 'x' },
    { attempt: 'x', prompts: 'Password' },
    { attempt: 'x', prompts: [] },
    { attempt: 'x', prompts: [{ style: 'info', text: 'Nothing is asked' }] },
    { attempt: 'x', prompts: [{ style: 'loud', text: 'Password: ' }] },
    { attempt: 'x', prompts: [{ style: 'secret', text: 1 }] },
    { attempt: 'x', prompts: many },
  ]) {
    assert.equal(parseQuestion(other), null, JSON.stringify(other));
  }
});

test('parseSaid keeps what is worth reading and never a question', () => {
  const warning = /** @type {const} */ ({ style: 'error', text: 'Your password expires in 3 days.' });
  const welcome = /** @type {const} */ ({ style: 'info', text: 'Last login: today' });
  assert.deepEqual(parseSaid([warning, password, { style: 'info', text: ' ' }, welcome]), [warning, welcome]);
  const many = Array.from({ length: 17 }, () => warning);
  for (const other of [undefined, null, 'x', {}, [], [1], [{ style: 'loud', text: 'x' }], many]) {
    assert.deepEqual(parseSaid(other), [], JSON.stringify(other));
  }
});

test('isForPassword is true of one secret and of no new password', () => {
  assert.ok(isForPassword(question(password)));
  assert.ok(isForPassword(question({ style: 'info', text: 'Welcome' }, password)));
  assert.ok(!isForPassword(question({ style: 'visible', text: 'Code: ' })));
  assert.ok(!isForPassword(question(password, { style: 'secret', text: 'Code: ' })));
  assert.ok(!isForPassword(question({ style: 'secret', text: 'New password: ' })));
});

test('fieldOf tells password managers what is asked', () => {
  /** @type {[Prompt['style'], string, ReturnType<typeof fieldOf>][]} */
  const cases = [
    ['secret', 'Password: ', { label: 'Password', type: 'password', autocomplete: 'current-password' }],
    [
      'secret',
      'Current password: ',
      { label: 'Current password', type: 'password', autocomplete: 'current-password' },
    ],
    ['secret', 'New password: ', { label: 'New password', type: 'password', autocomplete: 'new-password' }],
    [
      'secret',
      'Retype new password: ',
      { label: 'Retype new password', type: 'password', autocomplete: 'new-password' },
    ],
    [
      'secret',
      'Verification code: ',
      { label: 'Verification code', type: 'password', autocomplete: 'one-time-code' },
    ],
    ['visible', 'Token', { label: 'Token', type: 'text', autocomplete: 'one-time-code' }],
  ];
  for (const [style, text, field] of cases) assert.deepEqual(fieldOf({ style, text }), field);
});
