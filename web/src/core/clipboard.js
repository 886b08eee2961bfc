// Decides which text is newer, this system's or the desktop's, and moves it to the other side.
//
// Text of this system is only announced. Its bytes are sent when an app of the desktop pastes, and
// never otherwise. Text that an app copies is fetched at once, but only while this window has the
// focus, so that it does not replace what this viewer copied elsewhere meanwhile.
//
// A clipboard does not tell when it was written. So text of this system counts as newer than the
// desktop's only if it differs from the text seen here last, and may have been copied after the
// desktop's: while the window keeps the focus, nothing is copied elsewhere.

import { MAX_CHUNK } from './clipboard-codec.js';

/** @import { DesktopSays, Failure, PageSays } from './clipboard-codec.js' */

/** Most bytes of a text; the desktop has the same limit. */
export const MAX_TEXT_BYTES = 64 * 1024 * 1024;

/**
 * The connections to the desktop and to this system.
 * - `send`: returns whether it could be sent.
 * - `hasRoom`: whether a piece of text may be sent now; `roomMade` is to be called when it may again.
 * - `copy`: puts a text of the desktop on this system's clipboard.
 * - `settled`: the desktop has answered the last offer, so it may be pasted.
 * - `refused`: a text cannot be fetched or offered.
 * @typedef {{ send: (message: PageSays) => boolean, hasRoom: () => boolean,
 *   copy: (text: string) => void, settled: () => void,
 *   refused: (failure: Failure) => void }} ClipboardPorts
 */

/**
 * @typedef {{ offer: number, text: string, bytes: Uint8Array, answered: boolean }} Mine
 * @typedef {{ bytes: Uint8Array, at: number, credit: number }} Upload
 * @typedef {{ transfer: number, parts: Uint8Array[], size: number }} Download
 */

export class Clipboard {
  #ports;
  #encoder = new TextEncoder();
  #ways = { fromDesktop: false, toDesktop: false };
  /** The last number given to an offer or transfer. */
  #numbered = 0;
  /** The text that both sides have, if known. @type {string | null} */
  #shared = null;
  /** The text last seen on this system. @type {string | null} */
  #local = null;
  /** Whether an app copied something after that. */
  #desktopIsNewer = false;
  /** Whether something may have been copied on this system since. */
  #localMayBeNewer = true;
  /** The last offer to the desktop. @type {Mine | null} */
  #mine = null;
  /** Keyed by the desktop's number. @type {Map<number, Upload>} */
  #uploads = new Map();
  /** @type {Download | null} */
  #download = null;

  /** @param {ClipboardPorts} ports */
  constructor(ports) {
    this.#ports = ports;
  }

  /** Whether the desktop accepts this system's text. */
  get takesText() {
    return this.#ways.toDesktop;
  }

  /** The connection was lost, together with all transfers. */
  reset() {
    this.#ways = { fromDesktop: false, toDesktop: false };
    this.#shared = null;
    this.#mine = null;
    this.#uploads.clear();
    this.#download = null;
    this.#ports.settled();
  }

  /** Something may have been copied where this page does not see it. */
  copiedElsewhere() {
    this.#localMayBeNewer = true;
  }

  /**
   * This system has `text` on its clipboard, and pastes it now or possibly later.
   * @param {string} text
   * @returns {boolean} whether it was offered to the desktop, which has not answered yet
   */
  offer(text) {
    const plain = text.replaceAll('\r\n', '\n');
    if (!this.#isNews(plain)) return false;
    this.#local = plain;
    const bytes = this.#encoder.encode(plain);
    if (bytes.length > MAX_TEXT_BYTES) {
      this.#ports.refused('tooLarge');
      return false;
    }
    const offer = this.#number();
    if (!this.#ports.send({ type: 'offered', offer, bytes: bytes.length })) return false;
    this.#mine = { offer, text: plain, bytes, answered: false };
    this.#shared = plain;
    this.#desktopIsNewer = false;
    return true;
  }

  /** @param {string} text of the desktop, now on this system's clipboard */
  written(text) {
    this.#local = text;
    this.#shared = text;
    this.#desktopIsNewer = false;
    this.#localMayBeNewer = false;
  }

  /**
   * @param {DesktopSays} message
   * @param {boolean} focused whether this window has the focus
   */
  received(message, focused) {
    switch (message.type) {
      case 'ways':
        this.#ways = { fromDesktop: message.fromDesktop, toDesktop: message.toDesktop };
        return;
      case 'offered':
        this.#desktopCopied(message.offer, focused);
        return;
      case 'taken':
      case 'lapsed':
        this.#answered(message);
        return;
      case 'requested':
        this.#begin(message);
        return;
      case 'granted':
        this.#grant(message);
        return;
      case 'cancelled':
        this.#uploads.delete(message.transfer);
        return;
      default:
        if (message.transfer === this.#download?.transfer) this.#take(this.#download, message);
    }
  }

  /** The channel has room for text again. */
  roomMade() {
    for (const [transfer, upload] of this.#uploads) this.#pump(transfer, upload);
  }

  /** @param {string} text */
  #isNews(text) {
    if (!this.#ways.toDesktop || text === '' || text === this.#shared) return false;
    const old = !this.#localMayBeNewer || text === this.#local;
    return !(this.#desktopIsNewer && old);
  }

  #number() {
    this.#numbered += 1;
    return this.#numbered;
  }

  /**
   * @param {number} offer
   * @param {boolean} focused
   */
  #desktopCopied(offer, focused) {
    this.#shared = null;
    this.#mine = null;
    this.#desktopIsNewer = true;
    this.#localMayBeNewer = !focused;
    this.#ports.settled();
    if (!focused || !this.#ways.fromDesktop) return;
    const transfer = this.#number();
    const sent = this.#ports.send({ type: 'requested', transfer, offer });
    this.#download = sent ? { transfer, parts: [], size: 0 } : null;
  }

  /** @param {DesktopSays & { type: 'taken' | 'lapsed' }} message */
  #answered({ type, offer }) {
    if (this.#mine?.offer !== offer) return;
    if (type === 'lapsed') {
      this.#mine = null;
      this.#shared = null;
    }
    this.#ports.settled();
  }

  /** @param {DesktopSays & { type: 'requested' }} message */
  #begin({ transfer, offer, credit }) {
    if (this.#mine?.offer !== offer) {
      this.#ports.send({ type: 'failed', transfer });
      return;
    }
    const upload = { bytes: this.#mine.bytes, at: 0, credit };
    this.#uploads.set(transfer, upload);
    this.#pump(transfer, upload);
  }

  /** @param {DesktopSays & { type: 'granted' }} message */
  #grant({ transfer, credit }) {
    const upload = this.#uploads.get(transfer);
    if (!upload) return;
    upload.credit += credit;
    this.#pump(transfer, upload);
  }

  /**
   * Sends as much as credit and room allow.
   * @param {number} transfer
   * @param {Upload} upload
   */
  #pump(transfer, upload) {
    while (upload.at < upload.bytes.length) {
      if (upload.credit === 0 || !this.#ports.hasRoom()) return;
      const length = Math.min(MAX_CHUNK, upload.credit, upload.bytes.length - upload.at);
      const bytes = upload.bytes.subarray(upload.at, upload.at + length);
      if (!this.#ports.send({ type: 'sent', transfer, bytes })) return;
      upload.at += length;
      upload.credit -= length;
    }
    this.#uploads.delete(transfer);
    this.#ports.send({ type: 'ended', transfer });
  }

  /**
   * @param {Download} download
   * @param {DesktopSays & { type: 'sent' | 'ended' | 'failed' }} message
   */
  #take(download, message) {
    switch (message.type) {
      case 'sent':
        download.parts.push(message.bytes);
        download.size += message.bytes.length;
        if (download.size <= MAX_TEXT_BYTES) return;
        this.#download = null;
        this.#ports.send({ type: 'cancelled', transfer: download.transfer });
        this.#ports.refused('tooLarge');
        return;
      case 'ended':
        this.#download = null;
        this.#ports.copy(textOf(download.parts));
        return;
      case 'failed':
        this.#download = null;
        this.#ports.refused(message.failure);
    }
  }
}

/** @param {Uint8Array[]} parts */
function textOf(parts) {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const pieces = parts.map((part) => decoder.decode(part, { stream: true }));
  return pieces.join('') + decoder.decode();
}
