// Gamepads: polled once per frame of the screen while one is connected, the window has the focus and
// the desktop supports them; otherwise not at all.

import { Pads, isMapped } from '../core/pads.js';
import { log } from '../util/log.js';

/** @import { Send } from '../core/pads.js' */
/** @import { OutputMessage } from '../core/input-codec.js' */

/**
 * `held` is called for each look at pads of which something is held.
 * @typedef {{ send: Send, held: () => void, isActive: () => boolean,
 *   notify: (text: string) => void }} GamepadHandlers
 */

export class Gamepads {
  #handlers;
  #pads = new Pads();
  #available = false;
  /** @type {number | undefined} */
  #frame;

  /**
   * @param {GamepadHandlers} handlers
   * @param {AbortSignal} signal
   */
  constructor(handlers, signal) {
    this.#handlers = handlers;
    const connected = (/** @type {GamepadEvent} */ event) => this.#connected(event.gamepad);
    window.addEventListener('gamepadconnected', connected, { signal });
    window.addEventListener(
      'gamepaddisconnected',
      ({ gamepad }) => this.#disconnected(gamepad),
      { signal },
    );
    window.addEventListener('focus', () => this.#wake(), { signal });
    signal.addEventListener('abort', () => this.#sleep());
  }

  /**
   * The desktop reports whether it supports pads; a new desktop does not until it says so.
   * @param {boolean} available
   */
  setAvailable(available) {
    this.#available = available;
    if (available) this.#wake();
    else this.#pads.forget();
  }

  /** Releases everything, because later releases happen where this window does not see them. */
  release() {
    this.#pads.release(this.#handlers.send);
  }

  /** @param {OutputMessage & { type: 'padRumbled' }} message */
  rumble({ pad, strong, weak, millis }) {
    const actuator = gamepads()[pad]?.vibrationActuator;
    const done = (strong | weak) === 0 ? actuator?.reset() : actuator?.playEffect('dual-rumble', {
      duration: millis,
      strongMagnitude: strong / 0xffff,
      weakMagnitude: weak / 0xffff,
    });
    // A pad without motors, or one that was just unplugged.
    done?.catch((/** @type {unknown} */ error) => log('debug', 'no rumble', { error }));
  }

  /** @param {Gamepad} gamepad */
  #connected(gamepad) {
    if (this.#available && this.#handlers.isActive()) {
      const name = `Gamepad ${gamepad.index + 1} connected`;
      const odd = isMapped(gamepad) ? '' : '; this browser does not know its layout';
      this.#handlers.notify(`${name}${odd}`);
    }
    this.#wake();
  }

  /** @param {Gamepad} gamepad */
  #disconnected(gamepad) {
    // The last one must be reported although polling has stopped.
    this.#look();
    if (this.#available && this.#handlers.isActive()) {
      this.#handlers.notify(`Gamepad ${gamepad.index + 1} disconnected`);
    }
  }

  #wake() {
    this.#frame ??= requestAnimationFrame(() => this.#poll());
  }

  #sleep() {
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
    this.#frame = undefined;
  }

  #poll() {
    this.#frame = undefined;
    const some = this.#look();
    if (some && this.#available && document.hasFocus()) this.#wake();
  }

  #look() {
    const present = gamepads();
    const some = present.some((pad) => pad !== null);
    if (this.#available && this.#handlers.isActive() && document.hasFocus()) {
      if (some || this.#pads.any) this.#pads.look(present, this.#handlers.send);
      if (this.#pads.isHeld) this.#handlers.held();
    }
    return some;
  }
}

/** The browser denies gamepads to a page without permission. */
function gamepads() {
  try {
    return navigator.getGamepads();
  } catch {
    return [];
  }
}
