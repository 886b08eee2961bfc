// What a viewer needs once there is a picture: the input devices, the clipboard, the desktop's cursor
// and sound, the viewer's microphone, and the connection report.

import { Gate } from '../core/gate.js';
import { LocalClipboard } from './clipboard.js';
import { Cursor } from './cursor.js';
import { DecoderWatch } from './decoder-watch.js';
import { Gamepads } from './gamepads.js';
import { Keyboard } from './keyboard.js';
import { Microphone } from './microphone.js';
import { Pointer } from './pointer.js';
import { ReportPanel } from './report.js';
import { SignIns } from './sign-ins.js';
import { SignOfLife } from './sign-of-life.js';
import { SignOut } from './sign-out.js';
import { Sound } from './sound.js';
import { Title } from './title.js';

/** @import { InputMessage, OutputMessage } from '../core/input-codec.js' */
/** @import { Elements } from './elements.js' */
/** @import { Viewer } from './viewer.js' */

export class Controls {
  #viewer;
  #cursor;
  #gate;
  #clipboard;
  #keyboard;
  #pointer;
  #gamepads;
  #life;
  #report;
  #sound;
  #microphone;
  #watch;
  #title = new Title();

  /**
   * @param {Elements} elements
   * @param {Viewer} viewer
   * @param {AbortSignal} signal
   */
  constructor(elements, viewer, signal) {
    this.#viewer = viewer;
    this.#cursor = new Cursor(elements.stage);
    this.#gate = new Gate((message) => viewer.act(message));
    this.#clipboard = new LocalClipboard(
      viewer,
      { hold: () => this.#gate.close(), release: () => this.#gate.open() },
      signal,
    );
    this.#keyboard = new Keyboard(
      {
        send: (message) => this.#act(message),
        isActive: () => viewer.isStreaming,
        wantsPaste: () => this.#clipboard.wantsPaste,
        pasting: () => this.#clipboard.pasting(),
      },
      signal,
    );
    this.#pointer = new Pointer(
      elements.stage,
      {
        send: (message) => this.#act(message),
        sendMotion: (message) => viewer.sendMotion(message),
        isActive: () => viewer.isStreaming,
        box: () => viewer.picture.box,
        scale: () => viewer.picture.scale,
        heed: (event, acts) => this.#keyboard.heed(event, acts),
        isControlDown: () => this.#keyboard.isControlDown,
      },
      signal,
    );
    this.#life = new SignOfLife(
      {
        isHolding: () => this.#keyboard.isHolding || this.#pointer.isHolding,
        send: () => viewer.sendMotion({ type: 'stillHeld' }),
      },
      signal,
    );
    this.#gamepads = new Gamepads(
      {
        send: (message) => viewer.sendPad(message),
        held: () => viewer.acts(),
        isActive: () => viewer.isStreaming,
        notify: (text) => viewer.notify(text),
      },
      signal,
    );
    const signIns = new SignIns(elements, (reason) => viewer.notify(reason));
    this.#report = new ReportPanel(elements, viewer, signIns);
    this.#sound = new Sound(elements, signal);
    this.#microphone = new Microphone(
      elements,
      { speak: (track) => viewer.speak(track), proves: (on) => viewer.proves(on) },
      signal,
    );
    this.#watch = new DecoderWatch(viewer, signal);
    new SignOut(
      elements,
      { signedOut: () => viewer.loginEnded(), failed: (reason) => viewer.notify(reason) },
      signal,
    );
    window.addEventListener('blur', () => this.#releaseAll(), { signal });
    document.addEventListener(
      'visibilitychange',
      () => {
        if (document.hidden) this.#releaseAll();
      },
      { signal },
    );
    elements.root.dataset['controls'] = 'ready';
  }

  /** Draws the cursor as large as the picture is. */
  rescale() {
    this.#cursor.rescale(this.#viewer.picture.scale);
  }

  /** @param {MediaStream | null} sound of the desktop whose picture is shown; null if it has none */
  heard(sound) {
    this.#sound.show(sound);
    this.#microphone.connected();
  }

  /** The connection was lost, together with the state that it reported. */
  disconnected() {
    this.#gamepads.setAvailable(false);
    this.#gate.drop();
    this.#clipboard.disconnected();
    this.#microphone.disconnected();
    this.#watch.replaced();
  }

  /** @param {string} hostname of the desktop's machine */
  named(hostname) {
    this.#title.setHost(hostname);
  }

  /** @param {OutputMessage} message about a cursor, a window, a pad or a picture; others are ignored */
  received(message) {
    switch (message.type) {
      case 'cursorHidden':
        this.#cursor.hide();
        return;
      case 'cursorNamed':
        this.#cursor.showNamed(message.name);
        return;
      case 'cursorImage':
        this.rescale();
        this.#cursor.showImage(message);
        return;
      case 'padsAvailable':
        this.#gamepads.setAvailable(message.available);
        return;
      case 'microphone':
        this.#microphone.heard(message.heard);
        return;
      case 'outputResized':
        this.#watch.resized(message);
        this.#viewer.picture.setDesktop(message);
        return;
      case 'pictureSent':
        this.#watch.sent(message);
        return;
      case 'titleChanged':
        this.#title.setWindow(message.title);
        return;
      case 'padRumbled':
        this.#gamepads.rumble(message);
        return;
    }
  }

  /** @param {ArrayBuffer} data about the clipboard */
  transferred(data) {
    this.#clipboard.received(data);
  }

  /** The channel has room for more text. */
  transferRoom() {
    this.#clipboard.roomMade();
  }

  report() {
    return this.#report.make();
  }

  toggleReport() {
    return this.#report.toggle();
  }

  /** @param {InputMessage} message of keyboard or pointer */
  #act(message) {
    this.#gate.take(message);
    this.#life.watch();
  }

  /** Releases everything, because the releases will happen where this window does not see them. */
  #releaseAll() {
    const [keys, buttons] = [this.#keyboard.forget(), this.#pointer.forget()];
    if (keys || buttons) this.#gate.take({ type: 'releaseAll' });
    this.#gamepads.release();
  }
}
