// A text that is shown for a moment.

/** How many milliseconds it is shown. */
const TIME = 4000;

export class Notice {
  #text = '';
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #changed;

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed;
  }

  /** Empty most of the time. */
  get text() {
    return this.#text;
  }

  /** @param {string} text */
  show(text) {
    clearTimeout(this.#timer);
    this.#text = text;
    this.#timer = setTimeout(() => {
      this.#text = '';
      this.#changed();
    }, TIME);
    this.#changed();
  }
}
