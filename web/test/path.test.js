import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PATH_PATIENCE, Path, RESTART_PATIENCE } from '../src/core/path.js';

/** @import { Action, Event } from '../src/core/path.js' */

/** A path in virtual time. */
class Rig {
  path = new Path();
  now = 1000;
  /** @type {{ at: number, action: Action }[]} */
  done = [];

  /** @param {Event['type']} type */
  say(type) {
    const actions = this.path.handle({ type }, this.now);
    actions.forEach((action) => this.done.push({ at: this.now, action }));
  }

  /** @param {number} millis */
  run(millis) {
    const end = this.now + millis;
    for (let at = this.path.deadline; at !== null && at <= end; at = this.path.deadline) {
      this.now = at;
      this.say('tick');
    }
    this.now = end;
  }

  get actions() {
    return this.done.map(({ action }) => action);
  }
}

test('path, found, waits for nothing', () => {
  const rig = new Rig();
  rig.say('found');
  assert.equal(rig.path.deadline, null);
  rig.run(3_600_000);
  assert.deepEqual(rig.actions, []);
});

test('path, lost, is sought anew at once and however long ICE needs, and nothing is given up', () => {
  for (let outage = 0; outage < PATH_PATIENCE; outage += 100) {
    const rig = new Rig();
    rig.say('lost');
    assert.deepEqual(rig.done, [{ at: 1000, action: 'restart' }]);
    rig.run(outage);
    assert.ok(rig.path.isSought);
    rig.say('found');
    rig.run(3_600_000);
    assert.equal(rig.actions.length, 1 + Math.floor(outage / RESTART_PATIENCE));
    assert.ok(!rig.actions.includes('giveUp'), `after ${outage} ms`);
    assert.ok(!rig.path.isSought);
  }
});

test('path, not found while the desktop can remember the connection, is given up, once', () => {
  const rig = new Rig();
  rig.say('lost');
  rig.run(3_600_000);
  assert.deepEqual(rig.done.at(-1), { at: 1000 + PATH_PATIENCE, action: 'giveUp' });
  assert.equal(rig.actions.filter((action) => action === 'giveUp').length, 1);
});

test('path, lost again and again, is sought anew each time with all patience', () => {
  const rig = new Rig();
  for (let count = 0; count < 10; count += 1) {
    rig.say('lost');
    rig.say('lost');
    rig.run(PATH_PATIENCE - 1);
    rig.say('found');
  }
  assert.ok(!rig.actions.includes('giveUp'));
});

test('path, doubted because no picture comes, is sought anew and never given up for it', () => {
  const rig = new Rig();
  rig.say('doubted');
  rig.run(3_600_000);
  assert.deepEqual(rig.actions, ['restart']);
});

test('path, doubted while it is sought already, is not sought twice', () => {
  const rig = new Rig();
  rig.say('lost');
  rig.say('doubted');
  assert.deepEqual(rig.actions, ['restart']);
});
