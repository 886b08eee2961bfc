// The clipboard of the viewer's system.
//
// It is read when the viewer pastes: the `paste` event contains the text and needs no permission.
// Where the viewer has granted the permission to read, it is also read when the window gets the
// focus, for apps that paste by a menu. The page never asks for that permission.
//
// It is written as soon as the browser allows it: at once in a window with the focus, else with the
// viewer's next key or click there.

import { Clipboard } from '../core/clipboard.js';
import { decodeDesktopSays, encodePageSays } from '../core/clipboard-codec.js';
import { log } from '../util/log.js';

/** @import { Failure } from '../core/clipboard-codec.js' */
/** @import { Viewer } from './viewer.js' */

/**
 * `hold` and `release` the input: a key that pastes waits until the desktop was offered the text.
 * @typedef {{ hold: () => void, release: () => void }} InputGate
 */

/** A `paste` event follows its key within this many milliseconds, or not at all. */
const PASTE_LIMIT = 80;
/** The longest time in milliseconds that a key waits for the desktop's answer. */
const ANSWER_LIMIT = 500;

export class LocalClipboard {
  #viewer;
  #gate;
  #clipboard;
  /** The desktop's text that the browser has not yet allowed to be written. @type {string | null} */
  #unwritten = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {Viewer} viewer
   * @param {InputGate} gate
   * @param {AbortSignal} signal
   */
  constructor(viewer, gate, signal) {
    this.#viewer = viewer;
    this.#gate = gate;
    this.#clipboard = new Clipboard({
      send: (message) => {
        // Nobody's offer counts unless a viewer is there.
        if (message.type === 'offered') viewer.acts();
        return viewer.sendTransfer(encodePageSays(message));
      },
      hasRoom: () => viewer.hasTransferRoom,
      copy: (text) => this.#copy(text),
      settled: () => this.#release(),
      refused: (failure) => this.#refused(failure),
    });
    const options = { signal, capture: true };
    window.addEventListener('paste', (event) => this.#pasted(event), options);
    window.addEventListener('copy', (event) => this.#copied(event), options);
    window.addEventListener('focus', () => void this.#focused(), { signal });
    for (const type of ['keydown', 'pointerdown']) {
      window.addEventListener(type, () => this.#retry(), options);
    }
  }

  /** @param {ArrayBuffer} data from the desktop */
  received(data) {
    const message = decodeDesktopSays(data);
    if (message === null) log('warn', 'unknown message about the clipboard');
    else this.#clipboard.received(message, document.hasFocus());
  }

  /** The channel has room for more. */
  roomMade() {
    this.#clipboard.roomMade();
  }

  disconnected() {
    this.#clipboard.reset();
  }

  /** Whether a key should make the browser fire a `paste` event, for which the key then waits. */
  get wantsPaste() {
    return this.#clipboard.takesText;
  }

  /** A key that pastes goes down. */
  pasting() {
    this.#gate.hold();
    this.#releaseWithin(PASTE_LIMIT);
  }

  /** @param {ClipboardEvent} event */
  #pasted(event) {
    if (!this.#viewer.isStreaming || isField(event.target)) return;
    event.preventDefault();
    const text = event.clipboardData?.getData('text/plain') ?? '';
    if (this.#clipboard.offer(text)) this.#releaseWithin(ANSWER_LIMIT);
    else this.#release();
  }

  /** @param {ClipboardEvent} event in the page itself, or made by {@link copyByCommand} */
  #copied(event) {
    if (!event.defaultPrevented) this.#clipboard.copiedElsewhere();
  }

  async #focused() {
    this.#clipboard.copiedElsewhere();
    this.#retry();
    if (!this.#clipboard.takesText || !(await mayRead())) return;
    try {
      this.#clipboard.offer(await navigator.clipboard.readText());
    } catch (error) {
      log('debug', 'the clipboard cannot be read', { error });
    }
  }

  /** @param {string} text */
  #copy(text) {
    this.#unwritten = text;
    this.#retry();
  }

  #retry() {
    const text = this.#unwritten;
    if (text === null || !document.hasFocus()) return;
    if (navigator.clipboard !== undefined) {
      navigator.clipboard.writeText(text).then(
        () => this.#wrote(text),
        (/** @type {unknown} */ error) => log('debug', 'the clipboard cannot be written', { error }),
      );
    } else if (copyByCommand(text)) this.#wrote(text);
  }

  /** @param {string} text */
  #wrote(text) {
    if (this.#unwritten === text) this.#unwritten = null;
    this.#clipboard.written(text);
  }

  /** @param {Failure} failure */
  #refused(failure) {
    log('debug', 'cannot transfer a text', { failure });
    if (failure === 'tooLarge') this.#viewer.notify('The copied text is larger than 64 MB');
  }

  /** @param {number} time in milliseconds */
  #releaseWithin(time) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#release(), time);
  }

  #release() {
    clearTimeout(this.#timer);
    this.#gate.release();
  }
}

/** @param {EventTarget | null} target */
function isField(target) {
  return target instanceof HTMLInputElement;
}

async function mayRead() {
  try {
    // Neither all browsers nor the type definitions know this name.
    const name = /** @type {PermissionName} */ ('clipboard-read');
    return (await navigator.permissions.query({ name })).state === 'granted';
  } catch {
    return false;
  }
}

/**
 * Pages loaded insecurely have no other way, and this one works only while the viewer presses
 * something.
 * @param {string} text
 * @returns {boolean} whether it was copied
 */
function copyByCommand(text) {
  let copied = false;
  const copy = (/** @type {ClipboardEvent} */ event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    event.clipboardData?.setData('text/plain', text);
    copied = true;
  };
  document.addEventListener('copy', copy, { capture: true, once: true });
  document.execCommand('copy');
  document.removeEventListener('copy', copy, { capture: true });
  return copied;
}
