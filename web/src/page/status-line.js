// The status line at the bottom: one sentence, and a button if the viewer can act.

/** @import { Elements } from './elements.js' */
/** @import { Offer, Status } from '../core/status-text.js' */

/** @type {Record<Offer, string>} */
const LABELS = { retry: 'Try now', startApp: 'Start again' };

/** A state that ends sooner than this is not shown. */
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
    // Screen readers read a live region at each change, so it is set only for real changes.
    if (statusText.textContent !== text) statusText.textContent = text;
    statusAction.hidden = action === null;
    if (action !== null) statusAction.textContent = LABELS[action];
  }
}
