import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  candidateMessage,
  offerMessage,
  parseGatewayMessage,
  probeMessage,
  restartMessage,
  startAppMessage,
  withStereo,
} from '../src/core/signalling.js';

const HOST = 'candidate:1 1 udp 2113937151 192.0.2.1 50000 typ host';

test('offerMessage, a description, is what the gateway reads', () => {
  assert.equal(offerMessage('v=0\r\n'), '{"type":"offer","sdp":"v=0\\r\\n"}');
});

test('candidateMessage, an address, is passed on', () => {
  assert.equal(candidateMessage(HOST), JSON.stringify({ type: 'candidate', candidate: HOST }));
});

test('candidateMessage, what the desktop cannot use, is null', () => {
  const unusable = [
    '',
    'candidate:1 1 udp 2113937151 0a1b2c3d.local 50000 typ host',
    'candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active',
    'nonsense',
  ];
  for (const candidate of unusable) assert.equal(candidateMessage(candidate), null, candidate);
});

test('parseGatewayMessage, legal messages, gives their parts', () => {
  assert.deepEqual(parseGatewayMessage('{"type":"answer","sdp":"v=0","ticket":"x"}'), {
    type: 'answer',
    sdp: 'v=0',
    ticket: 'x',
  });
  assert.deepEqual(parseGatewayMessage('{"type":"closed","reason":"gone","retry":true}'), {
    type: 'closed',
    reason: 'gone',
    retry: true,
  });
});

test('parseGatewayMessage, what it says of the relay, is understood', () => {
  const relay = { urls: ['turn:*:3478'], username: 'name', credential: 'word' };
  for (const message of [
    { type: 'welcome', relay },
    { type: 'welcome', relay: null },
    { type: 'relay', relay, restarted: true },
    { type: 'probe', relay },
    { type: 'endsSoon', seconds: 60 },
    { type: 'endsSoon', seconds: null },
    { type: 'candidate', candidate: HOST },
  ]) {
    assert.deepEqual(parseGatewayMessage(JSON.stringify(message)), message);
  }
});

test('parseGatewayMessage, what it says of the app, is understood', () => {
  const ended = { type: 'app', running: false, reason: 'It ended.', startable: true };
  assert.deepEqual(parseGatewayMessage(JSON.stringify(ended)), ended);
  assert.deepEqual(parseGatewayMessage('{"type":"app","running":"yes","reason":1}'), {
    type: 'app',
    running: false,
    reason: '',
    startable: false,
  });
  assert.deepEqual(parseGatewayMessage('{"type":"loginEnded"}'), { type: 'loginEnded' });
  const notice = { type: 'notice', text: 'It runs.' };
  assert.deepEqual(parseGatewayMessage(JSON.stringify(notice)), notice);
});

test('restartMessage, probeMessage and startAppMessage, are what the gateway reads', () => {
  assert.equal(restartMessage('v=0'), '{"type":"restart","sdp":"v=0"}');
  assert.equal(startAppMessage(), '{"type":"startApp"}');
  assert.equal(probeMessage(), '{"type":"probe"}');
});

test('parseGatewayMessage, anything else, is null', () => {
  const others = ['', '{', 'null', '[]', '3', '{"type":"offer","sdp":""}', '{"type":"answer"}'];
  for (const text of [...others, undefined, new ArrayBuffer(1)]) {
    assert.equal(parseGatewayMessage(text), null);
  }
});

test('withStereo, an offer of sound, asks for both channels once', () => {
  const offer = [
    'm=audio 9 UDP/TLS/RTP/SAVPF 111 63 9',
    'a=rtpmap:111 opus/48000/2',
    'a=fmtp:111 minptime=10;useinbandfec=1',
    'a=fmtp:63 111/111',
    '',
  ].join('\r\n');
  const both = withStereo(offer);
  assert.equal(both, offer.replace('useinbandfec=1', 'useinbandfec=1;stereo=1'));
  assert.equal(withStereo(both), both);
});

test('withStereo, an offer without Opus, stays as it is', () => {
  const offer = 'm=audio 9 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n';
  assert.equal(withStereo(offer), offer);
});
