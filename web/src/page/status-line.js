// The status line at the bottom: one sentence, and a button where the viewer can do something.

/** @import { Elements } from './elements.js' */
/** @import { Status } from '../core/status-text.js' */

/** A state that passes sooner is not worth a word. */
const QUIET_TIME = 400;

export class StatusLine {
  #elements;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {Status | null} */
  #status = null;

  /**
   * @param {Elements} elements
   * @param {() => void} retry
   * @param {AbortSignal} signal
   */
  constructor(elements, retry, signal) {
    this.#elements = elements;
    elements.statusAction.addEventListener('click', retry, { signal });
    signal.addEventListener('abort', () => clearTimeout(this.#timer));
  }

  /** @param {Status} status */
  show(status) {
    this.#status = status;
    const { hidden } = this.#elements.status;
    const atOnce = status.tone !== 'busy' || !hidden;
    if (atOnce) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#render();
    } else {
      this.#timer ??= setTimeout(() => this.#render(), QUIET_TIME);
    }
  }

  #render() {
    this.#timer = undefined;
    if (this.#status === null) return;
    const { text, tone, action } = this.#status;
    const { status, statusText, statusAction } = this.#elements;
    status.hidden = text === '';
    status.dataset['tone'] = tone;
    // A live region is read aloud at each change: only real ones.
    if (statusText.textContent !== text) statusText.textContent = text;
    statusAction.hidden = action === null;
  }
}
