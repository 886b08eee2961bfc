import assert from 'node:assert/strict';
import { test } from 'node:test';

import { describeMicrophone, refusalText } from '../src/core/microphone.js';

/** @import { MicrophoneState } from '../src/core/microphone.js' */

/** @type {MicrophoneState} */
const OFF = { on: false, asking: false, refusal: '', heard: 'nobody' };

test('control is shown to whoever may speak, and says nothing until it is pressed', () => {
  for (const heard of /** @type {const} */ ([null, 'forbidden'])) {
    assert.equal(describeMicrophone({ ...OFF, heard }).visible, false);
  }
  const { visible, icon, sign } = describeMicrophone(OFF);
  assert.deepEqual([visible, icon, sign], [true, 'off', '']);
});

test('sign is there for as long as the microphone is on, and says that apps hear it only if they do', () => {
  for (const heard of /** @type {const} */ ([null, 'nobody', 'you', 'another'])) {
    const view = describeMicrophone({ ...OFF, heard, on: true });
    assert.deepEqual([view.visible, view.icon], [true, 'on']);
    assert.equal(/can hear you/.test(view.sign), heard === 'you', `${heard}: ${view.sign}`);
    assert.notEqual(view.sign, '');
  }
});

test('refusal says what to do, whatever the browser calls it', () => {
  assert.match(refusalText('NotAllowedError'), /allow it/);
  assert.match(refusalText('InsecureContext'), /HTTPS/);
  assert.notEqual(refusalText('SomethingNew'), '');
  assert.equal(describeMicrophone({ ...OFF, refusal: 'No.' }).sign, 'No.');
  assert.match(describeMicrophone({ ...OFF, asking: true, refusal: 'No.' }).sign, /asks/);
});

test('it says so while another viewer is heard, whether one\'s own is on or off', () => {
  const heard = 'another';
  assert.match(describeMicrophone({ ...OFF, heard }).sign, /Another viewer/);
  assert.match(describeMicrophone({ ...OFF, heard, on: true }).sign, /not yours/);
});
