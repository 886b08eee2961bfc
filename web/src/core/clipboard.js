// Whose text is newer, this system's or the desktop's, and how it gets to the other side.
//
// Text of this system is only announced. Its bytes go when an app of the desktop pastes, and never
// otherwise. Text that an app copies is fetched at once, but only while this window has the focus: what
// is copied meanwhile by others, or by itself, does not replace what this viewer has copied elsewhere.
//
// No clipboard tells when it was written. So text of this system counts as newer than the desktop's only
// if it is another than was seen here last, and may have been copied since the desktop's: while the
// window had the focus all along, nothing was copied elsewhere.

import { MAX_CHUNK } from './clipboard-codec.js';

/** @import { DesktopSays, Failure, PageSays } from './clipboard-codec.js' */

/** Most bytes of a text, as the desktop has it. */
export const MAX_TEXT_BYTES = 64 * 1024 * 1024;

/**
 * The way to the desktop and to this system.
 * - `send`: whether it could be sent.
 * - `hasRoom`: whether a piece of text may be sent now; `roomMade` is to be called when it may again.
 * - `copy`: the desktop has this text, which belongs on this system's clipboard.
 * - `settled`: the desktop has answered the last offer; it may be pasted.
 * - `refused`: a text cannot be had, or cannot be offered.
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
  /** Numbers offers and transfers of this page's. */
  #numbered = 0;
  /** The text that both sides have, if that is known. @type {string | null} */
  #shared = null;
  /** What this system was seen to have last. @type {string | null} */
  #local = null;
  /** Whether an app copied something after that. */
  #desktopIsNewer = false;
  /** Whether something may have been copied on this system since. */
  #localMayBeNewer = true;
  /** What the desktop was offered last. @type {Mine | null} */
  #mine = null;
  /** By the desktop's number. @type {Map<number, Upload>} */
  #uploads = new Map();
  /** @type {Download | null} */
  #download = null;

  /** @param {ClipboardPorts} ports */
  constructor(ports) {
    this.#ports = ports;
  }

  /** Whether the desktop takes text of this system's. */
  get takesText() {
    return this.#ways.toDesktop;
  }

  /** The connection is gone, and with it all that was under way. */
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
   * This system has `text` on its clipboard, and is about to paste it or may be.
   * @param {string} text
   * @returns {boolean} whether the desktop was offered it and has yet to answer
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

  /** @param {string} text of the desktop's that this system's clipboard has */
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

  /** There is room for text again. */
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
   * Sends as much as there is credit and room for.
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
