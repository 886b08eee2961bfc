import assert from 'node:assert/strict';
import { test } from 'node:test';

import { withRoundTrip } from '../src/core/round-trip.js';

const SOUND = ['m=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=rtpmap:111 opus/48000/2'];
const VIDEO = [
  'm=video 9 UDP/TLS/RTP/SAVPF 102 103',
  'a=mid:0',
  'a=rtpmap:102 H264/90000',
  'a=rtcp-fb:102 nack',
  'a=rtpmap:103 rtx/90000',
  'a=fmtp:103 apt=102',
];
const DATA = ['m=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'a=mid:1'];

const described = (/** @type {string[][]} */ ...sections) =>
  ['v=0', ...sections.flat(), ''].join('\r\n');

test('withRoundTrip, a description with codecs of ours, names it once for each and not for repairs', () => {
  const sdp = described(SOUND, VIDEO, DATA);
  const [before, after] = sdp.split('a=rtcp-fb:102 nack');
  const expected = `${before}a=rtcp-fb:102 rrtr\r\na=rtcp-fb:102 nack${after}`;
  assert.equal(withRoundTrip(sdp), expected);
  assert.equal(withRoundTrip(expected), expected);
  const two = ['m=video 9 RTP/SAVPF 102 96', 'a=rtpmap:96 VP8/90000', 'a=rtpmap:102 H264/90000'];
  assert.equal(withRoundTrip(described(two)).split(' rrtr').length, 3);
});

test('withRoundTrip, any other description, stays as it is', () => {
  const others = [
    '',
    'no description',
    described(SOUND, DATA),
    // A format that the section does not have, one of another section, and lines that end otherwise.
    described(['m=video 9 UDP/TLS/RTP/SAVPF 103', 'a=rtpmap:102 H264/90000']),
    described(VIDEO.slice(0, 2), [...SOUND, 'a=rtpmap:102 H264/90000']),
    described(VIDEO).replaceAll('\r\n', '\n'),
    described(VIDEO).replaceAll('H264', 'VP9'),
  ];
  for (const sdp of others) assert.equal(withRoundTrip(sdp), sdp);
});
