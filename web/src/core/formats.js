// Which formats of video this browser is to offer, of those it can decode.

/** What the desktop can be sent in, the best first. */
const FORMATS = ['video/h264', 'video/vp8'];

/** Packets that are sent again, of whatever format. */
const REPAIR = 'video/rtx';

/**
 * @template {{ mimeType: string }} Codec
 * @param {Codec[]} codecs that the browser can decode
 * @returns {Codec[]} those to offer, the best first; empty if the desktop is sent in none of them
 */
export function offeredFormats(codecs) {
  const those = (/** @type {string} */ type) =>
    codecs.filter(({ mimeType }) => mimeType.toLowerCase() === type);
  const formats = FORMATS.flatMap(those);
  return formats.length === 0 ? [] : [...formats, ...those(REPAIR)];
}
