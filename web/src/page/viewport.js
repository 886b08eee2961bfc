// The window's size in device pixels, and the ratio of these to CSS pixels.
//
// Both are read at the same moment from the same element, and anew each time: zooming or moving to
// another monitor changes either or both.

import { deviceSize } from '../core/letterbox.js';

/** @import { Size } from '../core/letterbox.js' */

/** A size that is unchanged for this many milliseconds is sent to the desktop. */
const SETTLED_AFTER = 150;

/** @typedef {{ changed: (size: Size, pixelRatio: number) => void, settled: () => void }}
 *   ViewportHandlers */

export class Viewport {
  #stage;
  #handlers;
  #signal;
  #pixelRatio = 1;
  /** @type {Size} */
  #size = { width: 0, height: 0 };
  /** The stage's size in device pixels, as reported by the browser. @type {Size | null} */
  #exact = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {HTMLElement} stage fills the window
   * @param {ViewportHandlers} handlers
   * @param {AbortSignal} signal
   */
  constructor(stage, handlers, signal) {
    this.#stage = stage;
    this.#handlers = handlers;
    this.#signal = signal;
    this.#measure();
    this.#observe();
    this.#watchRatio();
    window.addEventListener('resize', () => this.#update(), { signal });
    signal.addEventListener('abort', () => clearTimeout(this.#timer));
  }

  get size() {
    return this.#size;
  }

  get pixelRatio() {
    return this.#pixelRatio;
  }

  #observe() {
    const observer = new ResizeObserver((entries) => {
      const exact = entries.at(-1)?.devicePixelContentBoxSize?.[0];
      this.#exact = exact ? { width: exact.inlineSize, height: exact.blockSize } : null;
      this.#update();
    });
    try {
      observer.observe(this.#stage, { box: 'device-pixel-content-box' });
    } catch {
      // Safari lacks this box.
      observer.observe(this.#stage);
    }
    this.#signal.addEventListener('abort', () => observer.disconnect());
  }

  /** Zooming may change only the ratio, which no size observer reports. */
  #watchRatio() {
    const query = window.matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
    const options = { once: true, signal: this.#signal };
    const changed = () => {
      this.#update();
      this.#watchRatio();
    };
    query.addEventListener('change', changed, options);
  }

  #update() {
    const [size, pixelRatio] = [this.#size, this.#pixelRatio];
    this.#measure();
    this.#handlers.changed(this.#size, this.#pixelRatio);
    const same =
      size.width === this.#size.width &&
      size.height === this.#size.height &&
      pixelRatio === this.#pixelRatio;
    if (same) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#handlers.settled(), SETTLED_AFTER);
  }

  #measure() {
    this.#pixelRatio = window.devicePixelRatio;
    this.#size = deviceSize(this.#stage.getBoundingClientRect(), this.#pixelRatio, this.#exact);
  }
}
