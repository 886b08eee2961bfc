import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseRelay, placeRelay, serversFor, wayOf, wishedPath } from '../src/core/relay.js';

const URLS = ['turn:*:3478', 'turn:*:3478?transport=tcp', 'turns:relay.example:443?transport=tcp'];
const RELAY = { urls: URLS, username: 'name', credential: 'word' };

test('parseRelay, what the gateway says, is taken, and anything else is no relay', () => {
  assert.deepEqual(parseRelay(RELAY), RELAY);
  for (const other of [null, undefined, 3, [], {}, { ...RELAY, urls: 'turn:a' }]) {
    assert.equal(parseRelay(other), null);
  }
});

test('placeRelay, an open host, becomes the name of the page', () => {
  assert.deepEqual(placeRelay(RELAY, 'desk.example').urls, [
    'turn:desk.example:3478',
    'turn:desk.example:3478?transport=tcp',
    'turns:relay.example:443?transport=tcp',
  ]);
  // Browsers write IPv6 addresses with brackets here, others without.
  for (const name of ['[2001:db8::1]', '2001:db8::1']) {
    assert.equal(placeRelay(RELAY, name).urls[0], 'turn:[2001:db8::1]:3478');
  }
});

test('wayOf, each address, is what it is reached by', () => {
  assert.deepEqual(URLS.map(wayOf), ['udp', 'tcp', 'tls']);
});

test('wishedPath, the address, decides how much is tried', () => {
  assert.deepEqual(wishedPath(''), { relayOnly: false, way: null });
  assert.deepEqual(wishedPath('?relay=nonsense'), { relayOnly: false, way: null });
  assert.deepEqual(wishedPath('?relay=only'), { relayOnly: true, way: null });
  assert.deepEqual(wishedPath('?relay=tcp'), { relayOnly: true, way: 'tcp' });
});

test('serversFor, a wish, leaves only its way', () => {
  assert.deepEqual(serversFor(RELAY, wishedPath('')), [RELAY]);
  assert.deepEqual(serversFor(RELAY, wishedPath('?relay=udp')), [{ ...RELAY, urls: [URLS[0]] }]);
  assert.deepEqual(serversFor({ ...RELAY, urls: [] }, wishedPath('')), []);
  assert.deepEqual(serversFor(null, wishedPath('')), []);
});
