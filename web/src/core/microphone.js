// The microphone in words: whether it can be switched on, whether it is, and why it is not.

/** @import { Heard } from './input-codec.js' */

export const ANOTHER_SPEAKS = 'Another viewer’s microphone is on, and apps hear one at a time';

/**
 * `asking`: whether the browser still asks the viewer; `refusal`: why the last attempt failed, or nothing;
 * `heard`: whose microphone the desktop hears, as far as it has said.
 * @typedef {{ on: boolean, asking: boolean, refusal: string, heard: Heard | null }} MicrophoneState
 * @typedef {{ visible: boolean, icon: 'on' | 'off', label: string, sign: string }} MicrophoneView
 */

/**
 * The control is there for whoever may speak, and for as long as the microphone is on.
 * @param {MicrophoneState} state
 * @returns {MicrophoneView}
 */
export function describeMicrophone({ on, asking, refusal, heard }) {
  if (on) {
    return { visible: true, icon: 'on', label: 'Switch your microphone off', sign: whoHears(heard) };
  }
  const visible = heard !== null && heard !== 'forbidden';
  if (heard === 'another') return { visible, icon: 'off', label: ANOTHER_SPEAKS, sign: ANOTHER_SPEAKS };
  const sign = asking ? 'Your browser asks for your microphone' : refusal;
  return { visible, icon: 'off', label: 'Speak to apps on the desktop', sign };
}

/**
 * Who hears a microphone that is on.
 * @param {Heard | null} heard
 */
function whoHears(heard) {
  switch (heard) {
    case 'you':
      return 'Apps on the desktop can hear you';
    case 'another':
      return `${ANOTHER_SPEAKS}: not yours`;
    default:
      return 'Your microphone is on, and the desktop does not hear it yet';
  }
}

/**
 * Why the browser gives no microphone, and what to do.
 * @param {string} name of its error (https://w3c.github.io/mediacapture-main/#dom-mediadevices-getusermedia)
 */
export function refusalText(name) {
  switch (name) {
    case 'NotAllowedError':
      return 'Your browser does not let this page use your microphone: allow it in the settings for this page';
    case 'NotFoundError':
      return 'Your browser found no microphone: connect one and press again';
    case 'NotReadableError':
      return 'Another program uses your microphone, or it does not work';
    case 'InsecureContext':
      return 'Browsers let pages use a microphone over HTTPS only';
    default:
      return 'Your microphone cannot be used';
  }
}
