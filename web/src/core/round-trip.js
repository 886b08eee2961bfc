// How a browser that only receives learns how far away the desktop is.
//
// Chromium asks for a lost packet again when the answer is overdue. One that sends nothing knows no
// round trip and waits for 100 ms. With extended reports (RFC 3611, sections 4.4 and 4.5) it sends its
// time and the desktop returns it. It takes part when both descriptions name "rrtr" as a kind of
// feedback, and has no other switch for that.

/** The formats of a section of media, which begins with such a line. */
const VIDEO = /^m=video \d+ [A-Z/]*RTP[A-Z/]* ([\d ]+)$/;

/**
 * Adds "rrtr" to the feedback of each video codec. A description in another format is left alone.
 *
 * @param {string} sdp an offer or an answer
 * @returns {string} the same, with the lines added
 */
export function withRoundTrip(sdp) {
  const lines = sdp.split('\r\n');
  /** @type {string[]} */
  let formats = [];
  return lines
    .flatMap((line) => {
      if (line.startsWith('m=')) formats = VIDEO.exec(line)?.[1]?.split(' ') ?? [];
      const [, format, codec] = /^a=rtpmap:(\d+) ([^/]+)\/90000$/.exec(line) ?? [];
      const isCodec = /^(H264|VP8)$/.test(codec ?? '') && formats.includes(format ?? '');
      const added = `a=rtcp-fb:${format} rrtr`;
      return isCodec && !lines.includes(added) ? [line, added] : [line];
    })
    .join('\r\n');
}
