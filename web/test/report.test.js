import assert from 'node:assert/strict';
import { test } from 'node:test';

import { directWorks, errorSentence, reportLines, usedPath } from '../src/core/report.js';

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
    paths: [
      { name: 'direct UDP', url: null, works: null, millis: null, reason: 'Not wanted.' },
      { name: 'relay UDP', url: 'turn:a', works: false, millis: null, reason: errorSentence(701, 'udp') },
      { name: 'relay TCP', url: 'turn:a?transport=tcp', works: true, millis: 31, reason: '' },
    ],
  });
  assert.deepEqual(lines, [
    'Connected by relay TCP, 20 ms round trip.',
    'direct UDP: not tried. Not wanted.',
    'relay UDP: does not work. No answer over UDP; a firewall on the way may block it.',
    'relay TCP: works, ready in 31 ms.',
  ]);
  assert.deepEqual(reportLines({ used: null, paths: [] }), ['Not connected.']);
});
