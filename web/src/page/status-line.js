// The status line at the bottom: one sentence, and a button where the viewer can do something.

/** @import { Elements } from './elements.js' */
/** @import { Offer, Status } from '../core/status-text.js' */

/** @type {Record<Offer, string>} */
const LABELS = { retry: 'Try now', startApp: 'Start again' };

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
   * @param {(action: Offer) => void} act
   * @param {AbortSignal} signal
   */
  constructor(elements, act, signal) {
    this.#elements = elements;
    const clicked = () => {
      const action = this.#status?.action ?? null;
      if (action !== null) act(action);
    };
    elements.statusAction.addEventListener('click', clicked, { signal });
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
    if (action !== null) statusAction.textContent = LABELS[action];
  }
}
