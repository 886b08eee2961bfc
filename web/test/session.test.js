import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ATTEMPT_LIMIT, Session } from '../src/core/session.js';

/** @import { Action, Event } from '../src/core/session.js' */

const LOST = /** @type {const} */ ({ type: 'peerLost', reason: 'lost' });

/** A session in the named state at time 0, with the first retry still ahead. */
function streamingSession() {
  const session = new Session(() => 0);
  session.handle({ type: 'start' }, 0);
  session.handle({ type: 'socketOpened' }, 0);
  session.handle({ type: 'firstFrame' }, 0);
  return session;
}

test('start opens the socket and makes a peer at once', () => {
  const session = new Session();
  assert.deepEqual(session.handle({ type: 'start' }, 0), ['openSocket', 'makePeer']);
  assert.equal(session.state.name, 'attempting');
});

test('firstFrame makes it streaming, without a deadline', () => {
  const session = streamingSession();
  assert.equal(session.state.name, 'streaming');
  assert.equal(session.deadline, null);
});

test('peerLost while streaming, tries again at once over the same socket', () => {
  const session = streamingSession();
  assert.deepEqual(session.handle(LOST, 10_000), ['dropPeer', 'makePeer']);
});

test('peerClosed with retry while streaming, tries again at once', () => {
  const session = streamingSession();
  const event = /** @type {const} */ ({ type: 'peerClosed', reason: 'restarts', retry: true });
  assert.deepEqual(session.handle(event, 10_000), ['dropPeer', 'makePeer']);
});

test('peerClosed without retry, ends with its reason', () => {
  const session = streamingSession();
  session.handle({ type: 'peerClosed', reason: 'full', retry: false }, 1);
  assert.deepEqual(session.state, { name: 'failed', reason: 'full' });
  assert.deepEqual(session.handle({ type: 'start' }, 2), ['openSocket', 'makePeer']);
});

test('socketClosed while streaming, leaves the peer alone and opens the socket again', () => {
  const session = streamingSession();
  assert.deepEqual(session.handle({ type: 'socketClosed', opened: true }, 10_000), []);
  assert.equal(session.state.name, 'streaming');
  assert.equal(session.deadline, 10_000);
  assert.deepEqual(session.handle({ type: 'tick' }, 10_000), ['openSocket']);
  assert.deepEqual(session.handle({ type: 'socketOpened' }, 10_100), ['resumePeer']);
  assert.equal(session.state.name, 'streaming');
});

test('wakeUp while a lost socket waits to be opened again, opens it at once', () => {
  const session = streamingSession();
  session.handle({ type: 'socketClosed', opened: false }, 0);
  session.handle({ type: 'tick' }, 0);
  session.handle({ type: 'socketClosed', opened: false }, 1);
  assert.equal(session.deadline, 101);
  assert.deepEqual(session.handle({ type: 'wakeUp' }, 2), ['openSocket']);
  assert.deepEqual(session.handle({ type: 'wakeUp' }, 3), []);
});

test('socketClosed again and again while streaming, is opened ever later', () => {
  const session = streamingSession();
  const deadlines = [];
  for (let turn = 0; turn < 4; turn += 1) {
    session.handle({ type: 'socketClosed', opened: false }, 0);
    deadlines.push(session.deadline);
    session.handle({ type: 'tick' }, session.deadline ?? 0);
  }
  assert.deepEqual(deadlines, [0, 100, 200, 400]);
});

test('socketClosed before it opened, asks whether the login holds', () => {
  const session = new Session(() => 0);
  session.handle({ type: 'start' }, 0);
  assert.deepEqual(session.handle({ type: 'socketClosed', opened: false }, 5), [
    'checkLogin',
    'dropPeer',
    'openSocket',
    'makePeer',
  ]);
});

test('peerLost without end, waits ever longer between attempts', () => {
  const session = new Session(() => 0);
  session.handle({ type: 'start' }, 0);
  let now = 0;
  const waits = [];
  for (let turn = 0; turn < 5; turn += 1) {
    session.handle(LOST, now);
    const { deadline, state } = session;
    if (state.name !== 'waiting') {
      waits.push(0);
      continue;
    }
    waits.push((deadline ?? 0) - now);
    now = deadline ?? 0;
    session.handle({ type: 'tick' }, now);
  }
  assert.deepEqual(waits, [0, 100, 200, 400, 800]);
});

test('tick, no picture in time, fails the attempt', () => {
  const session = new Session(() => 0);
  session.handle({ type: 'start' }, 0);
  session.handle({ type: 'socketOpened' }, 1000);
  assert.deepEqual(session.handle({ type: 'tick' }, ATTEMPT_LIMIT), []);
  assert.deepEqual(session.handle({ type: 'tick' }, ATTEMPT_LIMIT + 1000), [
    'dropPeer',
    'makePeer',
  ]);
});

test('tick, a socket that never opened, replaces it too', () => {
  const session = new Session(() => 0);
  session.handle({ type: 'start' }, 0);
  assert.deepEqual(session.handle({ type: 'tick' }, ATTEMPT_LIMIT), [
    'closeSocket',
    'dropPeer',
    'openSocket',
    'makePeer',
  ]);
});

test('wakeUp while waiting, tries at once', () => {
  const session = new Session(() => 0);
  session.handle({ type: 'start' }, 0);
  session.handle(LOST, 0);
  session.handle(LOST, 0);
  assert.equal(session.state.name, 'waiting');
  assert.deepEqual(session.handle({ type: 'wakeUp' }, 1), ['openSocket', 'makePeer'].slice(1));
});

test('loginNeeded, in any state, ends everything until start', () => {
  const session = streamingSession();
  assert.deepEqual(session.handle({ type: 'loginNeeded' }, 1), ['dropPeer', 'closeSocket']);
  assert.equal(session.state.name, 'login');
  assert.deepEqual(session.handle(LOST, 2), []);
});

test('any events, in any order, keep socket and peer in step', () => {
  /** @type {Event[]} */
  const events = [
    { type: 'start' },
    { type: 'stop' },
    { type: 'tick' },
    { type: 'wakeUp' },
    { type: 'socketOpened' },
    { type: 'socketClosed', opened: true },
    { type: 'socketClosed', opened: false },
    { type: 'loginNeeded' },
    { type: 'peerClosed', reason: '', retry: true },
    { type: 'peerClosed', reason: '', retry: false },
    LOST,
    { type: 'firstFrame' },
    { type: 'impossible', reason: '' },
  ];
  const session = new Session(() => 0.5);
  const open = { socket: false, peer: false };
  let seed = 1;
  for (let step = 0; step < 20_000; step += 1) {
    // A linear congruential generator (Numerical Recipes), for a reproducible run.
    seed = (seed * 1664525 + 1013904223) % 2 ** 32;
    const event = /** @type {Event} */ (events[seed % events.length]);
    // The page sends these only while it has a socket.
    const aboutSocket = event.type === 'socketOpened' || event.type === 'socketClosed';
    if (aboutSocket && !open.socket) continue;
    if (event.type === 'socketClosed') open.socket = false;
    for (const action of session.handle(event, step * 50)) follow(open, action);
    const { name } = session.state;
    assert.equal(open.peer, name === 'attempting' || name === 'streaming', `${name} ${step}`);
    if (name === 'attempting') assert.ok(open.socket, `step ${step}`);
    if (['idle', 'login', 'failed'].includes(name)) assert.ok(!open.socket, `step ${step}`);
    if (name === 'waiting' || name === 'attempting') assert.notEqual(session.deadline, null);
  }
});

/**
 * @param {{ socket: boolean, peer: boolean }} open
 * @param {Action} action
 */
function follow(open, action) {
  if (action === 'openSocket') {
    assert.ok(!open.socket, 'a second socket');
    open.socket = true;
  }
  if (action === 'closeSocket') open.socket = false;
  if (action === 'makePeer') open.peer = true;
  if (action === 'dropPeer') open.peer = false;
}

test('socketBlocked, a server that answers and a socket that does not, is what the viewer reads', () => {
  const session = new Session(() => 0);
  session.handle({ type: 'start' }, 0);
  session.handle({ type: 'socketClosed', opened: false }, 1);
  session.handle({ type: 'socketClosed', opened: false }, 2);
  assert.equal(reasonOf(session), 'The server cannot be reached.');
  session.handle({ type: 'socketBlocked' }, 3);
  assert.equal(reasonOf(session), 'The server cannot be reached.', 'it may have been restarted');
  session.handle({ type: 'socketBlocked' }, 4);
  assert.match(reasonOf(session), /WebSocket.*Upgrade/);
  session.handle({ type: 'tick' }, 10_000);
  session.handle({ type: 'socketClosed', opened: false }, 10_001);
  assert.match(reasonOf(session), /WebSocket.*Upgrade/);
});

test('socketExplained, then opened, is forgotten', () => {
  const session = new Session(() => 0);
  session.handle({ type: 'start' }, 0);
  session.handle({ type: 'socketExplained', reason: 'because' }, 1);
  session.handle({ type: 'socketOpened' }, 2);
  session.handle({ type: 'socketExplained', reason: 'too late' }, 3);
  session.handle({ type: 'socketClosed', opened: true }, 4);
  session.handle({ type: 'socketClosed', opened: false }, 5);
  assert.equal(reasonOf(session), 'The server cannot be reached.');
});

test('refused before there is a picture, ends with its reason; after that it costs nothing', () => {
  const session = new Session();
  session.handle({ type: 'start' }, 0);
  session.handle({ type: 'refused', reason: 'a proxy' }, 1);
  assert.deepEqual(session.state, { name: 'failed', reason: 'a proxy' });
  const streaming = streamingSession();
  assert.deepEqual(streaming.handle({ type: 'refused', reason: 'a proxy' }, 1), []);
  assert.equal(streaming.state.name, 'streaming');
});

/** @param {Session} session that waits */
function reasonOf(session) {
  return session.state.name === 'waiting' ? session.state.reason : session.state.name;
}
