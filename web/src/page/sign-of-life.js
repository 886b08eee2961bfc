// Tells the desktop several times per patience interval that the viewer is there, because a browser
// that hangs, or whose network does, cannot release a key. There is no timer while nothing is held.
//
// The timer is an ordinary one of the page. A page without the focus holds nothing, so it does not
// matter that browsers slow down timers of background pages.

/** Milliseconds; the desktop's patience is `HOLD_PATIENCE` of the `input` link, 450. */
const INTERVAL = 100;

export class SignOfLife {
  #isHolding;
  #send;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  /**
   * @param {{ isHolding: () => boolean, send: () => void }} viewer
   * @param {AbortSignal} signal
   */
  constructor({ isHolding, send }, signal) {
    this.#isHolding = isHolding;
    this.#send = send;
    signal.addEventListener('abort', () => this.#stop());
  }

  /** Something may be held from now on. */
  watch() {
    if (this.#isHolding()) this.#timer ??= setInterval(() => this.#tick(), INTERVAL);
  }

  #tick() {
    if (this.#isHolding()) this.#send();
    else this.#stop();
  }

  #stop() {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
