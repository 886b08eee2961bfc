import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { test } from 'node:test';

import { hmac, sha256 } from '../src/core/hmac.js';

/** @param {Uint8Array} bytes */
const hex = (bytes) => Buffer.from(bytes).toString('hex');
/** @param {string} text */
const utf8 = (text) => new TextEncoder().encode(text);

test('hmac has the results of RFC 4231', () => {
  /** @type {[Uint8Array, Uint8Array, string][]} test cases 1, 2, 3, 6 and 7 */
  const cases = [
    [
      new Uint8Array(20).fill(0x0b),
      utf8('Hi There'),
      'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7',
    ],
    [
      utf8('Jefe'),
      utf8('what do ya want for nothing?'),
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    ],
    [
      new Uint8Array(20).fill(0xaa),
      new Uint8Array(50).fill(0xdd),
      '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe',
    ],
    [
      new Uint8Array(131).fill(0xaa),
      utf8('Test Using Larger Than Block-Size Key - Hash Key First'),
      '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
    ],
    [
      new Uint8Array(131).fill(0xaa),
      utf8(
        'This is a test using a larger than block-size key and a larger than block-size data. ' +
          'The key needs to be hashed before being used by the HMAC algorithm.',
      ),
      '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2',
    ],
  ];
  for (const [key, text, tag] of cases) assert.equal(hex(hmac(key, text)), tag);
});

test('sha256 and hmac of every length up to three blocks are those of node', () => {
  for (let length = 0; length <= 192; length += 1) {
    const text = Uint8Array.from({ length }, (_, place) => (place * 7 + length) % 256);
    const digest = createHash('sha256').update(text).digest('hex');
    assert.equal(hex(sha256(text)), digest, `a text of ${length} bytes`);
    const halves = [text.slice(0, length / 2), text.slice(length / 2)];
    assert.equal(hex(sha256(...halves)), digest, `${length} bytes in two parts`);
    const tag = createHmac('sha256', text).update('text').digest('hex');
    assert.equal(hex(hmac(text, utf8('text'))), tag, `a key of ${length} bytes`);
  }
});
