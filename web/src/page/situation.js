// What the status line tells: it keeps what is known of the desktop and of the page's own trouble, and draws the
// line again when something of it changes, or while a countdown runs.

import { describe } from '../core/status-text.js';
import { Notice } from './notice.js';
import { StatusLine } from './status-line.js';

/** @import { Trouble } from '../core/decoding.js' */
/** @import { DesktopState } from '../core/input-codec.js' */
/** @import { State } from '../core/session.js' */
/** @import { AppEnd, Offer } from '../core/status-text.js' */
/** @import { Elements } from './elements.js' */

/**
 * - `act`: the viewer presses the button in the line.
 * - `tick`: time has passed for which the session waits.
 * - `connection`: the state of the session, when it changes by itself, and whether its path is lost.
 * @typedef {{ state: State, deadline: number | null, pathLost: boolean }} Connection
 * @typedef {{ act: (action: Offer) => void, tick: () => void, connection: () => Connection }} Handlers
 */

export class Situation {
  #handlers;
  #line;
  #notice = new Notice(() => this.update());
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #everStreamed = false;
  /** @type {DesktopState} */
  #desktop = 'running';
  /** @type {AppEnd | null} */
  #app = null;
  /** When the desktop ends unless somebody acts. @type {number | null} */
  #endsAt = null;
  #complaint = '';
  /** The problem with the picture. @type {Trouble | null} */
  #trouble = null;

  /**
   * @param {Elements} elements
   * @param {Handlers} handlers
   * @param {AbortSignal} signal
   */
  constructor(elements, handlers, signal) {
    this.#handlers = handlers;
    this.#line = new StatusLine(elements, handlers.act, signal);
  }

  get trouble() {
    return this.#trouble;
  }

  /** There was a picture. */
  streamed() {
    this.#everStreamed = true;
  }

  /** The desktop lets the page in: further news of its app follows, and whoever comes keeps the desktop. */
  welcomed() {
    this.#app = null;
    this.#endsAt = null;
  }

  /** @param {DesktopState} desktop */
  desktopIs(desktop) {
    this.#desktop = desktop;
    this.update();
  }

  /** @param {AppEnd | null} app how it has ended, or null while it runs */
  appIs(app) {
    this.#app = app;
    this.update();
  }

  /** @param {number | null} seconds until the desktop ends, or null */
  endsIn(seconds) {
    this.#endsAt = seconds === null ? null : performance.now() + seconds * 1000;
    this.update();
  }

  /** @param {Trouble | null} trouble with the picture, or null */
  pictureHas(trouble) {
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    this.update();
  }

  /**
   * Shows a text for a moment, while all is well.
   * @param {string} text
   */
  notify(text) {
    this.#notice.show(text);
  }

  /**
   * Shows a permanent problem of the page itself.
   * @param {string} text
   */
  complain(text) {
    this.#complaint = text;
    this.update();
  }

  /** Draws the line. */
  update() {
    const { state, deadline, pathLost } = this.#handlers.connection();
    const now = performance.now();
    const endsAt = this.#endsAt;
    this.#line.show(
      describe({
        session: state,
        everStreamed: this.#everStreamed,
        desktop: this.#desktop,
        app: this.#app,
        endsAt,
        pathLost,
        trouble: this.#trouble,
        notice: this.#notice.text,
        complaint: this.#complaint,
        now,
      }),
    );
    clearTimeout(this.#timer);
    // A countdown is redrawn every second.
    const counts = state.name === 'waiting' || (state.name === 'streaming' && endsAt !== null);
    if (deadline === null && !counts) return;
    const pause = Math.min((deadline ?? Infinity) - now, counts ? 1000 : Infinity);
    this.#timer = setTimeout(() => this.#handlers.tick(), Math.max(pause, 0));
  }
}
