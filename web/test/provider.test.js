import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Errand, parseName, parseVisit, reasonFor } from '../src/core/provider.js';

test('parseVisit takes an address of the web and nothing else', () => {
  const visit = 'https://id.example.org/authorize?state=a';
  assert.deepEqual(parseVisit({ attempt: 'x', visit }), { attempt: 'x', url: visit });
  const loopback = 'http://127.0.0.1:3000/';
  assert.equal(parseVisit({ attempt: 'x', visit: loopback })?.url, loopback);
  for (const other of [
    null,
    'x',
    {},
    { attempt: 'x' },
    { attempt: 1, visit },
    { attempt: 'x', prompts: [] },
    { attempt: 'x', visit: 1 },
    { attempt: 'x', visit: '/authorize' },
    { attempt: 'x', visit: 'javascript:alert(1)' },
    { attempt: 'x', visit: 'data:text/html,x' },
  ]) {
    assert.equal(parseVisit(other), null, JSON.stringify(other));
  }
});

test('parseName reads the letters that a header cannot have', () => {
  assert.equal(parseName('Example%20%C3%84mter'), 'Example Ämter');
  assert.equal(parseName(null), '');
  assert.equal(parseName('%C3'), '');
});

test('reasonFor says that somebody cancelled, and otherwise what the server says', () => {
  const refusal = /** @type {const} */ ({ type: 'later', reason: 'Your identity has no account here.' });
  assert.match(reasonFor('error=access_denied&state=a', refusal, 'Example'), /^You cancelled .* Example /);
  for (const query of ['code=a&state=b', 'error=server_error&state=a', 'code=access_denied&state=a']) {
    assert.equal(reasonFor(query, refusal, 'Example'), refusal.reason, query);
  }
  const denied = /** @type {const} */ ({ type: 'wrong', reason: 'The user name or an answer is wrong.' });
  assert.match(reasonFor('code=a&state=b', denied, 'Example'), /^Example has signed you in, but .* may not/);
});

test('Errand is taken once, and is none of another page or of a browser that stores nothing', () => {
  const kept = new Map();
  const store = {
    getItem: (/** @type {string} */ place) => kept.get(place) ?? null,
    setItem: (/** @type {string} */ place, /** @type {string} */ text) => void kept.set(place, text),
    removeItem: (/** @type {string} */ place) => void kept.delete(place),
  };
  const page = new Errand('/', () => store);
  assert.ok(page.keep('x'));
  assert.equal(new Errand('/other/', () => store).take(), null);
  assert.equal(page.take(), 'x');
  assert.equal(page.take(), null);
  const forbidden = new Errand('/', () => {
    throw new Error('storage is forbidden');
  });
  assert.equal(forbidden.keep('x'), false);
  assert.equal(forbidden.take(), null);
});
