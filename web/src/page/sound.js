// What the desktop plays, through an audio element, and the control for it.
//
// The element is not one of the pictures': a browser delays a picture until the sound that belongs to
// it arrives, and a picture that answers a key must not wait for anything. It starts at once where the
// browser allows, and otherwise with the viewer's first click or key.

import { describeSound, movedTo, parseChoice, storedChoice, toggled } from '../core/sound.js';
import { log } from '../util/log.js';

/** @import { SoundChoice } from '../core/sound.js' */
/** @import { Elements } from './elements.js' */

/** Where the choice is remembered. */
const STORED = 'lumen-sound';

/** Gestures after which browsers play sound. Not every key is one, so each is tried. */
const GESTURES = ['pointerdown', 'pointerup', 'keydown', 'touchend'];

export class Sound {
  #elements;
  #choice = remembered();
  #available = false;
  #blocked = false;

  /**
   * @param {Elements} elements
   * @param {AbortSignal} signal
   */
  constructor(elements, signal) {
    this.#elements = elements;
    const { soundButton, soundVolume, soundNotice } = elements;
    soundButton.addEventListener('click', () => this.#press(), { signal });
    soundNotice.addEventListener('click', () => void this.#play(), { signal });
    soundVolume.addEventListener(
      'input',
      () => this.#choose(movedTo(soundVolume.valueAsNumber)),
      { signal },
    );
    // In the capture phase, because keys for the desktop go no further.
    for (const type of GESTURES) {
      const tryAgain = () => {
        if (this.#blocked) void this.#play();
      };
      window.addEventListener(type, tryAgain, { signal, capture: true });
    }
    this.#update();
  }

  /** @param {MediaStream | null} stream of the desktop's sound; null if it sends none */
  show(stream) {
    const { sound } = this.#elements;
    this.#available = stream !== null;
    if (sound.srcObject !== stream) {
      sound.srcObject = stream;
      if (stream !== null) void this.#play();
    }
    this.#update();
  }

  #press() {
    // The press itself has started it, if it was blocked.
    if (!this.#blocked) this.#choose(toggled(this.#choice));
  }

  /** @param {SoundChoice} choice */
  #choose(choice) {
    this.#choice = choice;
    remember(choice);
    this.#update();
  }

  async #play() {
    try {
      await this.#elements.sound.play();
      this.#blocked = false;
    } catch (error) {
      // Another error means that another stream has come meanwhile.
      if (!(error instanceof DOMException && error.name === 'NotAllowedError')) return;
      if (!this.#blocked) log('info', 'the browser blocks sound', { error });
      this.#blocked = true;
    }
    this.#update();
  }

  #update() {
    const { sound, soundControl, soundButton, soundVolume, soundNotice } = this.#elements;
    sound.muted = this.#choice.muted;
    sound.volume = this.#choice.volume;
    const view = describeSound({
      ...this.#choice,
      available: this.#available,
      blocked: this.#blocked,
    });
    soundControl.hidden = !view.visible;
    soundControl.dataset['sound'] = view.icon;
    soundButton.title = view.label;
    soundButton.setAttribute('aria-label', view.label);
    soundVolume.value = String(view.level);
    soundNotice.hidden = view.notice === '';
    soundNotice.textContent = view.notice;
  }
}

/** @returns {SoundChoice} */
function remembered() {
  try {
    return parseChoice(localStorage.getItem(STORED));
  } catch {
    // A page without storage starts anew each time.
    return parseChoice(null);
  }
}

/** @param {SoundChoice} choice */
function remember(choice) {
  try {
    localStorage.setItem(STORED, storedChoice(choice));
  } catch (error) {
    log('debug', 'the volume is not remembered', { error });
  }
}
