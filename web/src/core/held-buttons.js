// Which mouse buttons the viewer holds, from the bit mask that every pointer event carries.
//
// `pointerdown` and `pointerup` report only the first button pressed and the last released; the mask
// reports all, and corrects for a release that happened outside the window.

/**
 * Bit of `PointerEvent.buttons` (https://www.w3.org/TR/pointerevents3/#the-buttons-property) to
 * `BTN_*` of linux/input-event-codes.h. Browsers number the side buttons back, forward.
 * @type {readonly (readonly [number, number])[]}
 */
const BUTTONS = Object.freeze([
  [1, 0x110],
  [2, 0x111],
  [4, 0x112],
  [8, 0x113],
  [16, 0x114],
]);

export class HeldButtons {
  #mask = 0;
  /** Whether the pressed buttons were pressed where they do not count. */
  #ignores = false;

  /** Whether any button is down. */
  get any() {
    return this.#mask !== 0;
  }

  /**
   * @param {number} mask `PointerEvent.buttons`
   * @param {boolean} counts whether a first button pressed here counts; if not, none does until
   *   all are up
   * @returns {{ button: number, pressed: boolean }[]} what changed, releases first
   */
  update(mask, counts = true) {
    if (mask === 0) this.#ignores = false;
    else if (this.#mask === 0 && !counts) this.#ignores = true;
    if (this.#ignores) return [];
    const changes = BUTTONS.filter(([bit]) => (mask & bit) !== (this.#mask & bit)).map(
      ([bit, button]) => ({ button, pressed: (mask & bit) !== 0 }),
    );
    this.#mask = mask;
    return changes.sort((one, other) => Number(one.pressed) - Number(other.pressed));
  }

  /**
   * The device that pressed the buttons is gone without releasing them: later presses are new ones.
   * @returns {boolean} whether any was down
   */
  cancel() {
    this.#ignores = false;
    return this.releaseAll();
  }

  /** Forgets all buttons. @returns {boolean} whether any was down */
  releaseAll() {
    const any = this.any;
    this.#mask = 0;
    return any;
  }
}
