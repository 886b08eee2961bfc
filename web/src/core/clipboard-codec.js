// Encodes and decodes the messages of the data channel `transfer`. Big-endian, the first byte is the
// tag; the vectors in test/vectors/ are shared with lumen-rtc. Offers and transfers have increasing
// numbers, given by the side that makes an offer or requests content.

/**
 * The page's messages. `offered`: its system has text of so many bytes. `requested`: it wants the
 * text of the desktop's offer.
 * @typedef {{ type: 'offered', offer: number, bytes: number }
 *   | { type: 'requested', transfer: number, offer: number }
 *   | { type: 'cancelled', transfer: number }
 *   | { type: 'sent', transfer: number, bytes: Uint8Array }
 *   | { type: 'ended', transfer: number }
 *   | { type: 'failed', transfer: number }} PageSays
 */

/**
 * The desktop's messages. `ways`: the directions in which text may go. `taken` and `lapsed` are about
 * the page's offer; `credit` is how many (more) bytes of its text it may send.
 * @typedef {'busy' | 'gone' | 'notText' | 'stalled' | 'tooLarge'} Failure
 * @typedef {{ type: 'ways', fromDesktop: boolean, toDesktop: boolean }
 *   | { type: 'offered', offer: number }
 *   | { type: 'taken', offer: number }
 *   | { type: 'lapsed', offer: number }
 *   | { type: 'requested', transfer: number, offer: number, credit: number }
 *   | { type: 'granted', transfer: number, credit: number }
 *   | { type: 'cancelled', transfer: number }
 *   | { type: 'sent', transfer: number, bytes: Uint8Array }
 *   | { type: 'ended', transfer: number }
 *   | { type: 'failed', transfer: number, failure: Failure }} DesktopSays
 */

/** Most bytes of text in one message. */
export const MAX_CHUNK = 8192;

const Tag = Object.freeze({
  offered: 0x20,
  requested: 0x21,
  cancelled: 0x22,
  sent: 0x23,
  ended: 0x24,
  failed: 0x25,
});

/** @type {readonly Failure[]} */
const FAILURES = Object.freeze(['busy', 'gone', 'notText', 'stalled', 'tooLarge']);

/**
 * @param {PageSays} message
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encodePageSays(message) {
  switch (message.type) {
    case 'offered':
      return numbers(Tag.offered, message.offer, message.bytes);
    case 'requested':
      return numbers(Tag.requested, message.transfer, message.offer);
    case 'sent': {
      const encoded = new Uint8Array(5 + message.bytes.length);
      encoded.set(numbers(Tag.sent, message.transfer));
      encoded.set(message.bytes, 5);
      return encoded;
    }
    default:
      return numbers(Tag[message.type], message.transfer);
  }
}

/**
 * @param {ArrayBuffer} data
 * @returns {DesktopSays | null} null for an unknown message
 */
export function decodeDesktopSays(data) {
  if (data.byteLength < 2) return null;
  const view = new DataView(data);
  const tag = view.getUint8(0);
  if (tag === 0xa0) return data.byteLength === 2 ? ways(view.getUint8(1)) : null;
  if (data.byteLength < 5) return null;
  const first = view.getUint32(1);
  const rest = data.byteLength - 5;
  switch (tag) {
    case 0xa1:
      return rest === 0 ? { type: 'offered', offer: first } : null;
    case 0xa2:
      return rest === 0 ? { type: 'taken', offer: first } : null;
    case 0xa3:
      return rest === 0 ? { type: 'lapsed', offer: first } : null;
    case 0xa4: {
      if (rest !== 8) return null;
      const [offer, credit] = [view.getUint32(5), view.getUint32(9)];
      return { type: 'requested', transfer: first, offer, credit };
    }
    case 0xa5:
      if (rest !== 4) return null;
      return { type: 'granted', transfer: first, credit: view.getUint32(5) };
    case 0xa6:
      return rest === 0 ? { type: 'cancelled', transfer: first } : null;
    case 0xa7:
      return { type: 'sent', transfer: first, bytes: new Uint8Array(data, 5) };
    case 0xa8:
      return rest === 0 ? { type: 'ended', transfer: first } : null;
    case 0xa9: {
      const failure = rest === 1 ? FAILURES[view.getUint8(5)] : undefined;
      return failure === undefined ? null : { type: 'failed', transfer: first, failure };
    }
    default:
      return null;
  }
}

/**
 * @param {number} bits
 * @returns {DesktopSays}
 */
function ways(bits) {
  return { type: 'ways', fromDesktop: (bits & 1) !== 0, toDesktop: (bits & 2) !== 0 };
}

/**
 * @param {number} tag
 * @param {...number} fields
 */
function numbers(tag, ...fields) {
  const encoded = new Uint8Array(1 + 4 * fields.length);
  const view = new DataView(encoded.buffer);
  view.setUint8(0, tag);
  fields.forEach((field, index) => view.setUint32(1 + 4 * index, field));
  return encoded;
}
