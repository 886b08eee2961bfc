// Mouse, pen, finger and wheel.

import { HeldButtons } from '../core/held-buttons.js';
import { fractionOf, isOnPicture } from '../core/letterbox.js';
import { MotionPacer } from '../core/motion-pacer.js';
import { WheelCounter } from '../core/wheel.js';

/** @import { InputMessage } from '../core/input-codec.js' */
/** @import { Box } from '../core/letterbox.js' */

/**
 * @typedef {{ send: (message: InputMessage) => void, sendMotion: (message: InputMessage) => void,
 *   isActive: () => boolean, box: () => Box, scale: () => number,
 *   isControlDown: () => boolean,
 *   heed: (event: MouseEvent, acts: boolean) => void }} PointerDesktop
 */

/** Fingers that have not scrolled for this many milliseconds are off the device. */
const LIFTED_AFTER = 100;

export class Pointer {
  #desktop;
  #stage;
  #buttons = new HeldButtons();
  #pacer = new MotionPacer();
  #wheel = new WheelCounter();
  /** Whether the pointer was on the picture when it last moved. */
  #inside = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #motionTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #wheelTimer;

  /**
   * @param {HTMLElement} stage
   * @param {PointerDesktop} desktop
   * @param {AbortSignal} signal
   */
  constructor(stage, desktop, signal) {
    this.#stage = stage;
    this.#desktop = desktop;
    this.#listenToMotion(signal);
    this.#listenToButtons(signal);
    const options = { signal, passive: false };
    stage.addEventListener('wheel', (event) => this.#turned(event), options);
    signal.addEventListener('abort', () => {
      clearTimeout(this.#motionTimer);
      clearTimeout(this.#wheelTimer);
    });
  }

  /** Whether any button is down. */
  get isHolding() {
    return this.#buttons.any;
  }

  /** @returns {boolean} whether any button was down */
  forget() {
    this.#pacer.settle();
    return this.#buttons.releaseAll();
  }

  /** @param {AbortSignal} signal */
  #listenToMotion(signal) {
    // `pointermove` waits for the page's next frame; `pointerrawupdate` does not, but exists only in
    // Chromium and in secure contexts.
    const motion = 'onpointerrawupdate' in window ? 'pointerrawupdate' : 'pointermove';
    this.#stage.addEventListener(
      motion,
      (event) => {
        if (event instanceof PointerEvent) this.#moved(event);
      },
      { signal },
    );
  }

  /** @param {AbortSignal} signal */
  #listenToButtons(signal) {
    const stage = this.#stage;
    stage.addEventListener(
      'pointerdown',
      (event) => {
        if (!this.#desktop.isActive()) return;
        // A drag continues outside the window.
        stage.setPointerCapture(event.pointerId);
        stage.focus({ preventScroll: true });
        this.#pressed(event);
      },
      { signal },
    );
    // The second of two buttons is reported as a movement.
    for (const type of /** @type {const} */ (['pointerup', 'pointermove'])) {
      stage.addEventListener(type, (event) => this.#pressed(event), { signal });
    }
    stage.addEventListener('pointercancel', (event) => this.#cancelled(event), { signal });
    // Text selection, the context menu and history navigation belong to the browser, not to the
    // desktop.
    for (const type of ['mousedown', 'mouseup', 'auxclick', 'contextmenu', 'dragstart']) {
      stage.addEventListener(type, (event) => event.preventDefault(), { signal });
    }
  }

  /** @param {PointerEvent} event */
  #moved(event) {
    if (!this.#desktop.isActive() || !event.isPrimary) return;
    this.#desktop.heed(event, false);
    const wasInside = this.#inside;
    this.#inside = this.#isInside(event);
    // A movement that leaves the picture ends at its edge; movements beside it belong to the page,
    // except during a drag that began on the picture.
    if (!this.#inside && !wasInside && !this.#buttons.any) return;
    const message = this.#pacer.move(this.#placeOf(event), performance.now());
    if (message) this.#desktop.sendMotion(message);
    this.#armMotion();
  }

  #armMotion() {
    const { deadline } = this.#pacer;
    if (deadline === null || this.#motionTimer !== undefined) return;
    this.#motionTimer = setTimeout(
      () => {
        this.#motionTimer = undefined;
        const message = this.#pacer.poll(performance.now());
        if (message && this.#desktop.isActive()) this.#desktop.sendMotion(message);
        this.#armMotion();
      },
      Math.max(deadline - performance.now(), 0),
    );
  }

  /** @param {PointerEvent} event */
  #pressed(event) {
    if (!event.isPrimary) return;
    // Also while nothing is sent, because a released button must not count as held later.
    const changes = this.#buttons.update(event.buttons, this.#isInside(event));
    if (changes.length === 0 || !this.#desktop.isActive()) return;
    event.preventDefault();
    this.#desktop.heed(event, changes.some(({ pressed }) => pressed));
    this.#pacer.settle();
    const place = this.#placeOf(event);
    for (const change of changes) this.#desktop.send({ type: 'button', ...change, ...place });
  }

  /** @param {PointerEvent} event */
  #cancelled(event) {
    // A second finger pressed no button, so its end releases none.
    if (!event.isPrimary) return;
    this.#pacer.settle();
    if (this.#buttons.cancel()) this.#desktop.send({ type: 'releaseAll' });
  }

  /** @param {WheelEvent} event */
  #turned(event) {
    event.preventDefault();
    if (!this.#desktop.isActive() || !this.#isInside(event)) return;
    // A pinch on a trackpad is reported as Control and wheel.
    if (event.ctrlKey && !this.#desktop.isControlDown()) return;
    this.#desktop.heed(event, true);
    const message = this.#wheel.turn(event, 1 / this.#desktop.scale());
    if (message) this.#desktop.send(message);
    clearTimeout(this.#wheelTimer);
    if (this.#wheel.scrolling) this.#wheelTimer = setTimeout(() => this.#lifted(), LIFTED_AFTER);
  }

  #lifted() {
    const message = this.#wheel.lift();
    if (message) this.#desktop.send(message);
  }

  /** @param {MouseEvent} event */
  #isInside(event) {
    return isOnPicture({ x: event.clientX, y: event.clientY }, this.#desktop.box());
  }

  /** @param {PointerEvent} event */
  #placeOf(event) {
    return fractionOf({ x: event.clientX, y: event.clientY }, this.#desktop.box());
  }
}
