// The desktop's cursor, drawn by the browser, so that it moves without waiting for the network.

/** @import { OutputMessage } from '../core/input-codec.js' */

/** @typedef {Extract<OutputMessage, { type: 'cursorImage' }>} CursorImage */

export class Cursor {
  #stage;
  /** @type {CursorImage | null} */
  #image = null;
  #scale = 1;

  /** @param {HTMLElement} stage */
  constructor(stage) {
    this.#stage = stage;
  }

  hide() {
    this.#image = null;
    this.#stage.style.cursor = 'none';
  }

  /** @param {string} name of CSS; an unknown one leaves the default */
  showNamed(name) {
    this.#image = null;
    this.#stage.style.cursor = 'default';
    this.#stage.style.cursor = name;
  }

  /** @param {CursorImage} image */
  showImage(image) {
    this.#image = image;
    this.#draw();
  }

  /** @param {number} scale CSS pixels of one pixel of the desktop */
  rescale(scale) {
    if (scale === this.#scale) return;
    this.#scale = scale;
    this.#draw();
  }

  #draw() {
    if (this.#image === null) return;
    const address = pictureAddress(this.#image);
    if (address === null) return;
    const x = Math.floor(this.#image.hotspotX * this.#scale);
    const y = Math.floor(this.#image.hotspotY * this.#scale);
    this.#stage.style.cursor = `url("${address}") ${x} ${y}, default`;
    if (this.#scale === 1) return;
    const resolution = 1 / this.#scale;
    // Ignored where image-set() is unknown: the line above stays in force.
    this.#stage.style.cursor = `image-set(url("${address}") ${resolution}x) ${x} ${y}, default`;
  }
}

/**
 * @param {CursorImage} image
 * @returns {string | null}
 */
function pictureAddress({ width, height, rgba }) {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  if (context === null) return null;
  context.putImageData(new ImageData(new Uint8ClampedArray(rgba.buffer), width, height), 0, 0);
  return canvas.toDataURL();
}
