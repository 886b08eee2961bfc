import assert from 'node:assert/strict';
import { test } from 'node:test';

import { describe } from '../src/core/status-text.js';

/** @import { Situation } from '../src/core/status-text.js' */

/** @param {Partial<Situation>} situation */
const text = (situation) =>
  describe({
    session: { name: 'idle' },
    everStreamed: false,
    desktop: 'running',
    app: null,
    endsAt: null,
    pathLost: false,
    trouble: null,
    notice: '',
    complaint: '',
    now: 0,
    ...situation,
  }).text;

test('describe, all well, says nothing', () => {
  assert.equal(text({ session: { name: 'streaming', since: 0 } }), '');
  assert.equal(text({ session: { name: 'login' } }), '');
});

test('describe, an attempt, tells the first from later ones', () => {
  const session = /** @type {const} */ ({ name: 'attempting', deadline: 1 });
  assert.equal(text({ session }), 'Connecting…');
  assert.equal(text({ session, everStreamed: true }), 'Reconnecting…');
});

test('describe, a long wait, counts down with the reason', () => {
  const session = /** @type {const} */ ({ name: 'waiting', until: 5000, reason: 'No answer.' });
  assert.equal(text({ session, everStreamed: true }), 'No answer. Reconnecting in 5 s…');
  assert.equal(text({ session, everStreamed: true, now: 4500 }), 'Reconnecting…');
});

test('describe, an app that has ended, offers to start it to who may', () => {
  const situation = {
    session: /** @type {const} */ ({ name: 'streaming', since: 0 }),
    everStreamed: true,
    desktop: /** @type {const} */ ('running'),
    endsAt: null,
    pathLost: false,
    trouble: null,
    notice: '',
    complaint: '',
    now: 0,
  };
  const reason = 'The app ended with exit code 3.';
  const [master, watcher] = [true, false].map((startable) =>
    describe({ ...situation, app: { reason, startable } }),
  );
  assert.deepEqual(master, { text: reason, tone: 'error', action: 'startApp' });
  assert.deepEqual(watcher, { text: reason, tone: 'error', action: null });
  const notice = 'Try again in 3 s.';
  const refused = describe({ ...situation, app: { reason, startable: true }, notice });
  assert.deepEqual(refused, { text: notice, tone: 'error', action: 'startApp' });
});

test('describe, a notice, stands only while all is well', () => {
  const session = /** @type {const} */ ({ name: 'streaming', since: 0 });
  const notice = 'Gamepad 1 connected';
  assert.equal(text({ session, notice }), notice);
  assert.match(text({ session, notice, desktop: 'mediaRestarting' }), /picture is restarting/);
});

test('describe, a part of the page is missing, says so where nothing else is to be said', () => {
  const session = /** @type {const} */ ({ name: 'streaming', since: 0 });
  const complaint = 'The keyboard could not be loaded.';
  assert.equal(text({ session, complaint, notice: 'Gamepad 1 connected' }), complaint);
  assert.equal(text({ session: { name: 'login' }, complaint }), complaint);
  assert.match(text({ session, complaint, desktop: 'mediaRestarting' }), /picture is restarting/);
});

test('describe, a picture that is missing, says what is done about it', () => {
  const session = /** @type {const} */ ({ name: 'streaming', since: 0 });
  assert.match(text({ session, trouble: 'missed' }), /missing\. Asking for another…$/);
  assert.match(text({ session, trouble: 'lost' }), /does not arrive\. Asking for another…$/);
  assert.match(text({ session, trouble: 'tooLarge' }), /this size\. Asking for a smaller one…$/);
  assert.match(text({ session, trouble: 'missed', desktop: 'mediaRestarting' }), /restarting/);
});

test('describe, a connection given up for its picture, says so while there is another', () => {
  const session = /** @type {const} */ ({ name: 'attempting', deadline: 1 });
  const said = text({ session, everStreamed: true, trouble: 'undecodable' });
  assert.equal(said, 'This browser could not decode the picture. Reconnecting…');
  assert.match(text({ session, trouble: 'unreceived' }), /never arrived\. Connecting…$/);
});

test('describe, a path that is lost, says that it is sought', () => {
  const session = /** @type {const} */ ({ name: 'streaming', since: 0 });
  const seeking = 'Looking for another path…';
  assert.equal(text({ session, pathLost: true }), `The connection is interrupted. ${seeking}`);
  assert.equal(text({ session, trouble: 'astray' }), `The picture does not arrive. ${seeking}`);
});

test('describe, a desktop that ends for want of input, counts down and says what keeps it', () => {
  const session = /** @type {const} */ ({ name: 'streaming', since: 0 });
  const said = text({ session, endsAt: 60_000, now: 1500, desktop: 'mediaRestarting' });
  assert.match(said, /ends in 59 s\. Press a key/);
  assert.match(text({ session, endsAt: 60_000, now: 61_000 }), /ends in 0 s/);
  assert.match(text({ session, endsAt: 60_000, pathLost: true }), /interrupted/);
});

test('describe, parts of the desktop restart, names them', () => {
  const session = /** @type {const} */ ({ name: 'streaming', since: 0 });
  assert.match(text({ session, desktop: 'compositorRestarting' }), /desktop is restarting/);
  assert.match(text({ session, desktop: 'mediaRestarting' }), /picture is restarting/);
});

test('describe, a failure, is an error with a way out', () => {
  const status = describe({
    session: { name: 'failed', reason: 'No H.264.' },
    everStreamed: false,
    desktop: 'running',
    app: null,
    endsAt: null,
    pathLost: false,
    trouble: null,
    notice: '',
    complaint: '',
    now: 0,
  });
  assert.deepEqual(status, { text: 'No H.264.', tone: 'error', action: 'retry' });
});
