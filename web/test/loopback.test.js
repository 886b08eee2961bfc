import assert from 'node:assert/strict';
import { test } from 'node:test';

import { loopbackAdvice } from '../src/core/loopback.js';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0';
const CHROME = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36';

const answer = (/** @type {string[]} */ ...addresses) =>
  addresses
    .map((address, at) => `a=candidate:${at} 1 udp 2130706175 ${address} 49093 typ host ufrag a`)
    .concat('a=candidate:relay 1 udp 16777215 192.0.2.2 64037 typ relay raddr 0.0.0.0 rport 0', '')
    .join('\r\n');

test('loopbackAdvice, in Firefox and by loopback alone, says what to do', () => {
  assert.match(loopbackAdvice(answer('127.0.0.1'), FIREFOX) ?? '', /--udp-listen/);
  assert.match(loopbackAdvice(answer('127.0.0.1', '::1'), FIREFOX) ?? '', /--udp-listen/);
});

test('loopbackAdvice, in another browser or with another address, is none', () => {
  assert.equal(loopbackAdvice(answer('127.0.0.1'), CHROME), null);
  for (const address of ['192.0.2.2', '::11', '10.127.0.1', 'fd00::1']) {
    assert.equal(loopbackAdvice(answer('127.0.0.1', address), FIREFOX), null, address);
  }
  assert.equal(loopbackAdvice(answer(), FIREFOX), null);
  assert.equal(loopbackAdvice('', FIREFOX), null);
});
