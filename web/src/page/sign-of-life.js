// Says that the viewer is there, several times in the while after which the desktop would let go of
// what is held: a browser that stands still, or whose network does, cannot release a key. While nothing
// is held there is no timer.
//
// The timer is the page's own. A page that has lost the focus holds nothing, so browsers' slow timers of
// pages in the background do not matter.

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
