// The picture on the screen, across successive peer connections.
//
// Two video elements: the front one keeps showing the last frame of a lost connection until the other
// has the first frame of its successor.

import { placePicture, shownSize } from '../core/letterbox.js';
import { log } from '../util/log.js';

/** @import { Box, Size } from '../core/letterbox.js' */

export class Picture {
  #front;
  #back;
  /** Owns the listeners for the first frame of the stream in the back element. */
  #awaiting = new AbortController();
  #viewport = { width: 0, height: 0, pixelRatio: 1 };
  #laidOut;
  /** @type {Size | null} */
  #desktop = null;
  /** @type {Box} */
  #box = { left: 0, top: 0, width: 0, height: 0 };

  /**
   * @param {readonly [HTMLVideoElement, HTMLVideoElement]} elements
   * @param {() => void} laidOut called when the place or size of the picture may have changed
   * @param {AbortSignal} signal
   */
  constructor([front, back], laidOut, signal) {
    this.#laidOut = laidOut;
    this.#front = front;
    this.#back = back;
    for (const element of [front, back]) {
      element.addEventListener('resize', () => this.#layOut(), { signal });
    }
  }

  /** The place of the picture, in CSS pixels. */
  get box() {
    return this.#box;
  }

  /** CSS pixels of one pixel of the desktop. */
  get scale() {
    const { width } = this.#sizeOf(this.#front);
    return width > 0 && this.#box.width > 0 ? this.#box.width / width : 1;
  }

  /**
   * @param {MediaStream} stream
   * @param {() => void} firstFrame
   */
  show(stream, firstFrame) {
    this.#awaiting.abort();
    this.#awaiting = new AbortController();
    const { signal } = this.#awaiting;
    const element = this.#back;
    const shown = () => {
      if (signal.aborted) return;
      this.#awaiting.abort();
      this.#swap();
      firstFrame();
    };
    element.srcObject = stream;
    // Whichever comes first: a hidden page loads frames but does not present them.
    element.requestVideoFrameCallback?.(shown);
    element.addEventListener('loadeddata', shown, { signal });
    element.play().catch((error) => log('debug', 'play interrupted', { error }));
  }

  /** Drops a stream that has not shown anything yet. */
  drop() {
    if (this.#awaiting.signal.aborted) return;
    this.#awaiting.abort();
    this.#back.srcObject = null;
  }

  /**
   * @param {Size} viewport in device pixels
   * @param {number} pixelRatio
   */
  resize(viewport, pixelRatio) {
    this.#viewport = { ...viewport, pixelRatio };
    this.#layOut();
  }

  /** The size that the desktop says it has, null before it has said so. */
  get desktop() {
    return this.#desktop;
  }

  /** @param {Size} size that the desktop says it has */
  setDesktop({ width, height }) {
    this.#desktop = { width, height };
    this.#layOut();
  }

  /**
   * @param {HTMLVideoElement} element
   * @returns {Size} of the desktop that it shows
   */
  #sizeOf({ videoWidth, videoHeight }) {
    return shownSize({ width: videoWidth, height: videoHeight }, this.#desktop);
  }

  #swap() {
    [this.#front, this.#back] = [this.#back, this.#front];
    this.#front.classList.add('front');
    this.#back.classList.remove('front');
    this.#back.srcObject = null;
    this.#layOut();
  }

  #layOut() {
    for (const element of [this.#front, this.#back]) {
      if (element.videoWidth === 0 || element.videoHeight === 0) continue;
      const picture = this.#sizeOf(element);
      const box = placePicture(picture, this.#viewport, this.#viewport.pixelRatio);
      if (element === this.#front) this.#box = box;
      element.style.left = `${box.left}px`;
      element.style.top = `${box.top}px`;
      element.style.width = `${box.width}px`;
      element.style.height = `${box.height}px`;
    }
    this.#laidOut();
  }
}
