import assert from 'node:assert/strict';
import { test } from 'node:test';

import { offeredFormats } from '../src/core/formats.js';

const codecs = (/** @type {string[]} */ ...types) => types.map((mimeType) => ({ mimeType }));

test('offeredFormats, of a browser with all, are H.264 before VP8 and what repairs them', () => {
  const all = codecs('video/VP8', 'video/rtx', 'video/VP9', 'video/H264', 'video/H264', 'video/red');
  const expected = codecs('video/H264', 'video/H264', 'video/VP8', 'video/rtx');
  assert.deepEqual(offeredFormats(all), expected);
});

test('offeredFormats, of a browser without H.264, are VP8', () => {
  const debian = codecs('video/VP8', 'video/rtx', 'video/VP9', 'video/AV1');
  assert.deepEqual(offeredFormats(debian), codecs('video/VP8', 'video/rtx'));
});

test('offeredFormats, of a browser with none of ours, are none', () => {
  assert.deepEqual(offeredFormats(codecs('video/AV1', 'video/rtx')), []);
  assert.deepEqual(offeredFormats([]), []);
});
