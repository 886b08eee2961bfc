// The window's size in device pixels, exact even where the ratio to CSS pixels is fractional.

/** @import { Size } from '../core/letterbox.js' */

/** A size that has not changed for so many milliseconds is told to the desktop. */
const SETTLED_AFTER = 150;

/** @typedef {{ changed: (size: Size, pixelRatio: number) => void, settled: (size: Size) => void }}
 *   ViewportHandlers */

export class Viewport {
  #size;
  #handlers;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {HTMLElement} stage fills the window
   * @param {ViewportHandlers} handlers
   * @param {AbortSignal} signal
   */
  constructor(stage, handlers, signal) {
    this.#handlers = handlers;
    this.#size = roundedSize();
    const observer = new ResizeObserver((entries) => {
      const exact = entries.at(-1)?.devicePixelContentBoxSize?.[0];
      this.#update(exact ? { width: exact.inlineSize, height: exact.blockSize } : roundedSize());
    });
    try {
      observer.observe(stage, { box: 'device-pixel-content-box' });
    } catch {
      // Safari has no such box.
      observer.observe(stage);
    }
    signal.addEventListener('abort', () => {
      observer.disconnect();
      clearTimeout(this.#timer);
    });
  }

  get size() {
    return this.#size;
  }

  /** @param {Size} size */
  #update(size) {
    const differs = size.width !== this.#size.width || size.height !== this.#size.height;
    this.#size = size;
    this.#handlers.changed(size, window.devicePixelRatio);
    if (!differs) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#handlers.settled(this.#size), SETTLED_AFTER);
  }
}

/** @returns {Size} */
function roundedSize() {
  return {
    width: Math.round(window.innerWidth * window.devicePixelRatio),
    height: Math.round(window.innerHeight * window.devicePixelRatio),
  };
}
