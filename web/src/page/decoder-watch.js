// Watches the picture: asks the browser what it shows after the desktop has sent a picture, and
// carries out the decisions about missing ones.
//
// The browser reports the shown picture at once and at no cost; its statistics take a while, and are
// requested only when a picture is missing.

import { Decoding } from '../core/decoding.js';
import { macroblocksOf } from '../core/frame-size.js';
import { log } from '../util/log.js';

/** @import { Action, Event } from '../core/decoding.js' */
/** @import { OutputMessage } from '../core/input-codec.js' */
/** @import { Viewer } from './viewer.js' */

export class DecoderWatch {
  #viewer;
  #decoding = new Decoding();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** Whether a request for statistics is pending. */
  #looking = false;

  /**
   * @param {Viewer} viewer
   * @param {AbortSignal} signal
   */
  constructor(viewer, signal) {
    this.#viewer = viewer;
    signal.addEventListener('abort', () => clearTimeout(this.#timer));
  }

  /** @param {OutputMessage & { type: 'pictureSent' }} message */
  sent({ time }) {
    // A hidden page may be denied its timers and decoders.
    if (document.hidden) return;
    this.#handle({ type: 'sent', time, shown: this.#viewer.shownTime });
  }

  /** @param {OutputMessage & { type: 'outputResized' }} size */
  resized(size) {
    this.#handle({ type: 'resized', macroblocks: macroblocksOf(size) });
  }

  /** The connection was replaced or lost. */
  replaced() {
    this.#handle({ type: 'replaced' });
  }

  async #look() {
    if (document.hidden) {
      this.replaced();
      return;
    }
    this.#looking = true;
    this.#handle({ type: 'shown', shown: this.#viewer.shownTime });
    if (this.#isDue) await this.#count();
    this.#looking = false;
    this.#schedule();
  }

  async #count() {
    const { connection } = this.#viewer;
    const counts = await this.#viewer.countPictures().catch((error) => {
      log('warn', 'cannot get statistics of pictures', { error });
      return null;
    });
    if (connection !== this.#viewer.connection) return;
    // Without statistics nothing can be decided until the desktop sends another picture.
    if (counts === null) this.replaced();
    else this.#handle({ type: 'looked', shown: this.#viewer.shownTime, ...counts });
  }

  get #isDue() {
    const { deadline } = this.#decoding;
    return deadline !== null && deadline <= performance.now();
  }

  /** @param {Event} event */
  #handle(event) {
    const actions = this.#decoding.handle(event, performance.now());
    this.#viewer.say(this.#decoding.trouble);
    for (const action of actions) this.#perform(action);
    this.#schedule();
  }

  #schedule() {
    clearTimeout(this.#timer);
    const { deadline } = this.#decoding;
    if (deadline === null || this.#looking) return;
    const pause = Math.max(deadline - performance.now(), 0);
    this.#timer = setTimeout(() => void this.#look(), pause);
  }

  /** @param {Action} action */
  #perform(action) {
    const { mostMacroblocks } = this.#decoding;
    log('info', 'a picture is missing', { action, mostMacroblocks });
    switch (action) {
      case 'askKeyframe':
        this.#viewer.send({ type: 'keyframeWanted' });
        return;
      case 'askPath':
        this.#viewer.seekPath();
        return;
      case 'askSize':
        this.#viewer.limitDesktop(mostMacroblocks);
        return;
      case 'saySmaller':
        this.#viewer.notify(
          'The desktop is smaller than the window: this browser could not decode a larger picture.',
        );
        return;
      case 'giveUp':
        this.#viewer.limitDesktop(mostMacroblocks);
        this.#viewer.losePicture();
        return;
    }
  }
}
