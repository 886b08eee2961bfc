// The viewer's microphone: off until the viewer switches it on, and after every load of the page. Whoever
// switches it on is asked by the browser, and sees that it is on for as long as it is.
//
// What the microphone hears is given to the connection there is, and to its successors. While it is on the
// page proves again and again that it is: the desktop takes nobody's voice otherwise.

import { describeMicrophone, refusalText } from '../core/microphone.js';
import { log } from '../util/log.js';

/** @import { Heard } from '../core/input-codec.js' */
/** @import { Elements } from './elements.js' */

/** Milliseconds between two looks whether a proof is due. */
const LOOK = 1000;

/**
 * `speak` gives the connection a track, or takes it away; `proves` says whether the microphone is on, at once
 * and then again and again.
 * @typedef {{ speak: (track: MediaStreamTrack | null) => void, proves: (on: boolean) => void }} Handlers
 */

export class Microphone {
  #elements;
  #handlers;
  #signal;
  #asking = false;
  #refusal = '';
  /** @type {Heard | null} */
  #heard = null;
  /** @type {MediaStreamTrack | null} */
  #track = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  /**
   * @param {Elements} elements
   * @param {Handlers} handlers
   * @param {AbortSignal} signal
   */
  constructor(elements, handlers, signal) {
    this.#elements = elements;
    this.#handlers = handlers;
    this.#signal = signal;
    elements.microphoneButton.addEventListener('click', () => void this.#press(), { signal });
    signal.addEventListener('abort', () => this.#switchOff());
    this.#update();
  }

  /** There is another connection, which has no track yet. */
  connected() {
    if (this.#track === null) return;
    this.#handlers.speak(this.#track);
    this.#handlers.proves(true);
  }

  /** Nothing is known of the desktop until there is another connection. */
  disconnected() {
    this.#heard = null;
    this.#update();
  }

  /** @param {Heard} heard whose microphone the desktop hears */
  heard(heard) {
    this.#heard = heard;
    if (heard === 'forbidden') this.#switchOff();
    this.#update();
  }

  async #press() {
    if (this.#track !== null) {
      this.#switchOff();
    } else if (!this.#asking && this.#heard !== 'another') {
      this.#asking = true;
      this.#update();
      const outcome = await ask();
      this.#asking = false;
      if (typeof outcome === 'string') this.#refusal = refusalText(outcome);
      // The viewer has left meanwhile, or may not speak any more.
      else if (this.#signal.aborted || this.#heard === 'forbidden') outcome.stop();
      else this.#switchOn(outcome);
    }
    this.#update();
  }

  /** @param {MediaStreamTrack} track */
  #switchOn(track) {
    this.#refusal = '';
    this.#track = track;
    // Unplugged, or permitted no longer.
    track.addEventListener('ended', () => this.#switchOff());
    this.#handlers.proves(true);
    this.#handlers.speak(track);
    this.#timer = setInterval(() => this.#handlers.proves(true), LOOK);
  }

  #switchOff() {
    if (this.#track === null) return;
    clearInterval(this.#timer);
    this.#track.stop();
    this.#track = null;
    this.#handlers.speak(null);
    this.#handlers.proves(false);
    this.#update();
  }

  #update() {
    const { microphoneButton, microphoneControl, microphoneSign } = this.#elements;
    const view = describeMicrophone({
      on: this.#track !== null,
      asking: this.#asking,
      refusal: this.#refusal,
      heard: this.#heard,
    });
    microphoneControl.hidden = !view.visible;
    microphoneControl.dataset['microphone'] = view.icon;
    microphoneButton.title = view.label;
    microphoneButton.setAttribute('aria-label', view.label);
    microphoneButton.setAttribute('aria-pressed', String(view.icon === 'on'));
    microphoneSign.textContent = view.sign;
    microphoneSign.hidden = view.sign === '';
  }
}

/** @returns {Promise<MediaStreamTrack | string>} the microphone, or the name of the error */
async function ask() {
  // Of an insecure page the browser hides that there are devices at all.
  if (!('mediaDevices' in navigator)) return 'InsecureContext';
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    return stream.getAudioTracks()[0] ?? 'NotFoundError';
  } catch (error) {
    log('info', 'no microphone', { error });
    return error instanceof DOMException ? error.name : '';
  }
}
