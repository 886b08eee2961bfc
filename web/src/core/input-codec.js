// Encodes and decodes the binary messages on the data channels.
//
// Big-endian, one message per event, the first byte is the tag. The vectors in test/vectors/ are
// shared with lumen-rtc, whose decoder refuses everything unknown. This side is lenient:
// `decodeOutput` returns null for an unknown message, so that a missing cursor does not cost the
// picture.

/** @import { Proof } from './lease.js' */
/** @import { Locks } from './locks.js' */

/**
 * A viewer's input. Names and units are those of lumen-rtc:
 * - `key`: evdev key code; the state of the lock keys while it goes down, where known.
 * - `button`: evdev button code, at a place on the output.
 * - `pointerTo`: a place on the output as fractions, 0 … 65535 for each axis.
 * - `pointerBy`, `scroll`: sixteenths of an output pixel.
 * - `wheel`: 120 is one notch.
 * - `sizeWanted`: the viewport in device pixels, and its scale in 120ths.
 * - `keyframeWanted`: a picture is missing, and a whole one is requested.
 * - `stillHeld`: a sign of life, due while a key or button is held.
 * - `proof`: the viewer is there; `lease` names its lease.
 * - `pageShown`: whether the page is shown, or hidden and needs no pictures.
 * - `pad`: the complete state of a gamepad in the standard mapping; sticks −32768 … 32767, triggers 0
 *   … 255.
 * @typedef {{ type: 'key', key: number, pressed: boolean, locks: Locks | null }
 *   | { type: 'pointerTo', sequence: number, x: number, y: number }
 *   | { type: 'pointerBy', dx: number, dy: number }
 *   | { type: 'button', button: number, pressed: boolean, x: number, y: number }
 *   | { type: 'wheel', rightV120: number, downV120: number }
 *   | { type: 'scroll', rightSixteenths: number, downSixteenths: number }
 *   | { type: 'releaseAll' }
 *   | { type: 'sizeWanted', width: number, height: number, scale: number }
 *   | { type: 'keyframeWanted' }
 *   | { type: 'stillHeld' }
 *   | { type: 'pageShown', shown: boolean }
 *   | Proof
 *   | { type: 'pad', pad: number, sequence: number, buttons: number,
 *       sticks: [number, number, number, number], triggers: [number, number] }
 *   | { type: 'padUnplugged', pad: number, sequence: number }} InputMessage
 */

/**
 * The desktop's messages to its viewers; `pictureSent`: the RTP time of the newest sent picture;
 * `challenged`: what the next proof answers; `microphone`: whose is heard, or that this viewer may not speak.
 * @typedef {'running' | 'compositorRestarting' | 'mediaRestarting'} DesktopState
 * @typedef {'nobody' | 'you' | 'another' | 'forbidden'} Heard
 * @typedef {{ type: 'cursorHidden' }
 *   | { type: 'cursorNamed', name: string }
 *   | { type: 'cursorImage', width: number, height: number, hotspotX: number, hotspotY: number,
 *       rgba: Uint8Array<ArrayBuffer> }
 *   | { type: 'outputResized', width: number, height: number }
 *   | { type: 'titleChanged', title: string }
 *   | { type: 'desktopState', state: DesktopState }
 *   | { type: 'padsAvailable', available: boolean }
 *   | { type: 'padRumbled', pad: number, strong: number, weak: number, millis: number }
 *   | { type: 'pictureSent', time: number }
 *   | { type: 'challenged', challenge: Uint8Array<ArrayBuffer> }
 *   | { type: 'microphone', heard: Heard }
 *   } OutputMessage
 */

const Tag = Object.freeze({
  key: 0x01,
  pointerTo: 0x02,
  pointerBy: 0x03,
  button: 0x04,
  wheel: 0x05,
  scroll: 0x06,
  releaseAll: 0x07,
  sizeWanted: 0x08,
  pad: 0x09,
  padUnplugged: 0x0a,
  keyframeWanted: 0x0b,
  stillHeld: 0x0c,
  proof: 0x0d,
  pageShown: 0x0e,
  cursorHidden: 0x81,
  cursorNamed: 0x82,
  cursorImage: 0x83,
  outputResized: 0x84,
  titleChanged: 0x85,
  desktopState: 0x86,
  padsAvailable: 0x87,
  padRumbled: 0x88,
  pictureSent: 0x89,
  challenged: 0x8a,
  microphone: 0x8b,
});

/** @type {readonly DesktopState[]} */
const DESKTOP_STATES = Object.freeze(['running', 'compositorRestarting', 'mediaRestarting']);

/** @type {readonly Heard[]} */
const HEARD = Object.freeze(['nobody', 'you', 'another', 'forbidden']);

/** The largest side of a cursor picture in pixels. */
export const MAX_CURSOR_SIDE = 120;

/**
 * @param {InputMessage} message
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encodeInput(message) {
  switch (message.type) {
    case 'key':
      return bytes(4, (view) => {
        view.setUint8(0, Tag.key);
        view.setUint16(1, message.key);
        view.setUint8(3, keyState(message.pressed, message.locks));
      });
    case 'pointerTo':
      return bytes(7, (view) => {
        view.setUint8(0, Tag.pointerTo);
        view.setUint16(1, message.sequence);
        view.setUint16(3, message.x);
        view.setUint16(5, message.y);
      });
    case 'pointerBy':
      return signedPair(Tag.pointerBy, message.dx, message.dy);
    case 'button':
      return bytes(8, (view) => {
        view.setUint8(0, Tag.button);
        view.setUint16(1, message.button);
        view.setUint8(3, Number(message.pressed));
        view.setUint16(4, message.x);
        view.setUint16(6, message.y);
      });
    case 'wheel':
      return signedPair(Tag.wheel, message.rightV120, message.downV120);
    case 'scroll':
      return signedPair(Tag.scroll, message.rightSixteenths, message.downSixteenths);
    case 'releaseAll':
      return bytes(1, (view) => view.setUint8(0, Tag.releaseAll));
    case 'stillHeld':
      return bytes(1, (view) => view.setUint8(0, Tag.stillHeld));
    case 'proof':
      return Uint8Array.of(Tag.proof, ...message.lease, ...message.tag);
    case 'pageShown':
      return Uint8Array.of(Tag.pageShown, Number(message.shown));
    case 'sizeWanted':
      return bytes(7, (view) => {
        view.setUint8(0, Tag.sizeWanted);
        view.setUint16(1, message.width);
        view.setUint16(3, message.height);
        view.setUint16(5, message.scale);
      });
    case 'pad':
      return bytes(18, (view) => {
        view.setUint8(0, Tag.pad);
        view.setUint8(1, message.pad);
        view.setUint16(2, message.sequence);
        view.setUint32(4, message.buttons);
        message.sticks.forEach((axis, place) => view.setInt16(8 + 2 * place, axis));
        message.triggers.forEach((axis, place) => view.setUint8(16 + place, axis));
      });
    case 'keyframeWanted':
      return bytes(1, (view) => view.setUint8(0, Tag.keyframeWanted));
    case 'padUnplugged':
      return bytes(4, (view) => {
        view.setUint8(0, Tag.padUnplugged);
        view.setUint8(1, message.pad);
        view.setUint16(2, message.sequence);
      });
  }
}

/**
 * @param {boolean} pressed
 * @param {Locks | null} locks
 */
function keyState(pressed, locks) {
  if (!pressed || locks === null) return Number(pressed);
  return 3 | (Number(locks.caps) << 2) | (Number(locks.num) << 3);
}

/**
 * @param {ArrayBuffer} buffer
 * @returns {OutputMessage | null} null for an unknown message
 */
export function decodeOutput(buffer) {
  if (buffer.byteLength === 0) return null;
  const view = new DataView(buffer);
  switch (view.getUint8(0)) {
    case Tag.cursorHidden:
      return buffer.byteLength === 1 ? { type: 'cursorHidden' } : null;
    case Tag.cursorNamed:
      return decodeCursorName(view);
    case Tag.cursorImage:
      return decodeCursorImage(view);
    case Tag.outputResized:
      if (buffer.byteLength !== 5) return null;
      return { type: 'outputResized', width: view.getUint16(1), height: view.getUint16(3) };
    case Tag.titleChanged:
      return decodeTitle(view);
    case Tag.desktopState:
      return decodeDesktopState(view);
    case Tag.padsAvailable:
      if (buffer.byteLength !== 2 || view.getUint8(1) > 1) return null;
      return { type: 'padsAvailable', available: view.getUint8(1) === 1 };
    case Tag.padRumbled:
      return decodeRumble(view);
    case Tag.pictureSent:
      if (buffer.byteLength !== 5) return null;
      return { type: 'pictureSent', time: view.getUint32(1) };
    case Tag.challenged:
      if (buffer.byteLength !== 17) return null;
      return { type: 'challenged', challenge: new Uint8Array(buffer.slice(1)) };
    case Tag.microphone:
      return decodeHeard(view);
    default:
      return null;
  }
}

/**
 * @param {DataView<ArrayBuffer>} view
 * @returns {OutputMessage | null}
 */
function decodeHeard(view) {
  const heard = view.byteLength === 2 ? HEARD[view.getUint8(1)] : undefined;
  return heard === undefined ? null : { type: 'microphone', heard };
}

/**
 * @param {DataView<ArrayBuffer>} view
 * @returns {OutputMessage | null}
 */
function decodeCursorName(view) {
  if (view.byteLength < 2 || view.byteLength !== 2 + view.getUint8(1)) return null;
  const name = String.fromCharCode(...new Uint8Array(view.buffer, 2));
  return /^[a-z-]+$/.test(name) ? { type: 'cursorNamed', name } : null;
}

/**
 * @param {DataView<ArrayBuffer>} view
 * @returns {OutputMessage | null}
 */
function decodeCursorImage(view) {
  const header = 5;
  if (view.byteLength < header) return null;
  const [width, height] = [view.getUint8(1), view.getUint8(2)];
  const [hotspotX, hotspotY] = [view.getUint8(3), view.getUint8(4)];
  const legal =
    [width, height].every((side) => side >= 1 && side <= MAX_CURSOR_SIDE) &&
    hotspotX < width &&
    hotspotY < height &&
    view.byteLength === header + width * height * 4;
  if (!legal) return null;
  const rgba = new Uint8Array(view.buffer.slice(header));
  return { type: 'cursorImage', width, height, hotspotX, hotspotY, rgba };
}

/**
 * @param {DataView<ArrayBuffer>} view
 * @returns {OutputMessage | null}
 */
function decodeTitle(view) {
  if (view.byteLength < 3 || view.byteLength !== 3 + view.getUint16(1)) return null;
  return { type: 'titleChanged', title: new TextDecoder().decode(new Uint8Array(view.buffer, 3)) };
}

/**
 * @param {DataView<ArrayBuffer>} view
 * @returns {OutputMessage | null}
 */
function decodeDesktopState(view) {
  if (view.byteLength !== 2) return null;
  const state = DESKTOP_STATES[view.getUint8(1)];
  return state === undefined ? null : { type: 'desktopState', state };
}

/**
 * @param {DataView<ArrayBuffer>} view
 * @returns {OutputMessage | null}
 */
function decodeRumble(view) {
  if (view.byteLength !== 8 || view.getUint8(1) > 3) return null;
  const [strong, weak, millis] = [view.getUint16(2), view.getUint16(4), view.getUint16(6)];
  return { type: 'padRumbled', pad: view.getUint8(1), strong, weak, millis };
}

/**
 * @param {number} tag
 * @param {number} right
 * @param {number} down
 */
function signedPair(tag, right, down) {
  return bytes(5, (view) => {
    view.setUint8(0, tag);
    view.setInt16(1, right);
    view.setInt16(3, down);
  });
}

/**
 * @param {number} length
 * @param {(view: DataView) => void} fill
 */
function bytes(length, fill) {
  const result = new Uint8Array(length);
  fill(new DataView(result.buffer));
  return result;
}
