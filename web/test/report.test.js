import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  directWorks,
  errorSentence,
  reportLines,
  usedPath,
  usedPicture,
} from '../src/core/report.js';

/** @import { Stats } from '../src/core/report.js' */

/**
 * @param {Record<string, unknown>} local candidate
 * @returns {Stats[]}
 */
function stats(local) {
  return [
    { type: 'transport', id: 'T', selectedCandidatePairId: 'P' },
    { type: 'candidate-pair', id: 'Q', localCandidateId: 'M', state: 'failed' },
    {
      type: 'candidate-pair',
      id: 'P',
      localCandidateId: 'L',
      state: 'succeeded',
      currentRoundTripTime: 0.01234,
    },
    { type: 'local-candidate', id: 'L', ...local },
  ];
}

test('usedPath, each kind of candidate, has its name', () => {
  assert.deepEqual(usedPath(stats({ candidateType: 'prflx' })), {
    name: 'direct UDP',
    roundTripMillis: 12.3,
  });
  for (const [way, name] of [
    ['udp', 'relay UDP'],
    ['tcp', 'relay TCP'],
    ['tls', 'relay TLS'],
  ]) {
    const path = usedPath(stats({ candidateType: 'relay', relayProtocol: way }));
    assert.equal(path?.name, name);
  }
  assert.equal(usedPath([]), null);
});

test('directWorks, only if a check without the relay succeeded', () => {
  assert.equal(directWorks(stats({ candidateType: 'host' })), true);
  assert.equal(directWorks(stats({ candidateType: 'relay' })), false);
  assert.equal(directWorks([]), false);
});

test('reportLines, a report, are sentences', () => {
  const lines = reportLines({
    used: { name: 'relay TCP', roundTripMillis: 20 },
    picture: {
      coded: { width: 960, height: 540 },
      desktop: { width: 1920, height: 1080 },
      fps: 19.6,
      quantizer: 38,
      format: 'H.264',
    },
    paths: [
      { name: 'direct UDP', url: null, works: null, millis: null, reason: 'Not wanted.' },
      { name: 'relay UDP', url: 'turn:a', works: false, millis: null, reason: errorSentence(701, 'udp') },
      { name: 'relay TCP', url: 'turn:a?transport=tcp', works: true, millis: 31, reason: '' },
    ],
  });
  assert.deepEqual(lines, [
    'Connected by relay TCP, 20 ms round trip.',
    'Picture: 960×540 instead of 1920×1080, H.264, 20 a second, quantizer 38. The network carries no more.',
    'direct UDP: not tried. Not wanted.',
    'relay UDP: does not work. No answer over UDP; a firewall on the way may block it.',
    'relay TCP: works, ready in 31 ms.',
  ]);
  assert.deepEqual(reportLines({ used: null, picture: null, paths: [] }), ['Not connected.']);
});

/** @param {Record<string, unknown>} video */
const inbound = (video) => [{ type: 'inbound-rtp', id: 'V', kind: 'video', ...video }];

test('usedPicture, pictures between two looks, are averaged apart from those before', () => {
  const size = { frameWidth: 640, frameHeight: 360, framesPerSecond: 15 };
  const before = inbound({ ...size, framesDecoded: 100, qpSum: 2000 });
  const codec = { type: 'codec', id: 'C', mimeType: 'video/H264' };
  const after = [...inbound({ ...size, framesDecoded: 110, qpSum: 2400, codecId: 'C' }), codec];
  const coded = { width: 640, height: 360 };
  const expected = { coded, desktop: null, fps: 15, quantizer: 40, format: 'H.264' };
  assert.deepEqual(usedPicture(before, after, null), expected);
  const vp8 = usedPicture(before, [...after.slice(0, 1), { ...codec, mimeType: 'video/VP8' }], null);
  assert.equal(vp8?.format, 'VP8');
  assert.equal(usedPicture(before, after.slice(0, 1), null)?.format, null);
  assert.equal(usedPicture(after, after, null)?.quantizer, 22, 'a still picture: all there were');
  assert.equal(usedPicture([], after, coded)?.quantizer, 22);
  assert.equal(usedPicture([], inbound({ framesDecoded: 0 }), null), null);
  assert.equal(usedPicture([], [], null), null);
});

test('reportLines, a whole picture that is still, names neither another size nor a rate', () => {
  const coded = { width: 1280, height: 720 };
  for (const desktop of [null, { ...coded }]) {
    const picture = { coded, desktop, fps: 0, quantizer: null, format: null };
    const lines = reportLines({ used: null, picture, paths: [] });
    assert.deepEqual(lines, ['Not connected.', 'Picture: 1280×720, still.']);
  }
});
