import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { decodeOutput, encodeInput } from '../src/core/input-codec.js';

/** @param {string} name */
const vectors = (name) =>
  JSON.parse(readFileSync(new URL(`./vectors/${name}.json`, import.meta.url), 'utf8'));

/** @param {string} hex */
const fromHex = (hex) => new Uint8Array(Buffer.from(hex, 'hex')).buffer;

for (const { name, hex, message } of vectors('input')) {
  test(`encodeInput, ${name}, gives the shared bytes`, () => {
    assert.equal(Buffer.from(encodeInput(message)).toString('hex'), hex);
  });
}

for (const { name, hex, message } of vectors('output')) {
  test(`decodeOutput, ${name}, gives the shared message`, () => {
    const expected = { ...message };
    for (const bytes of ['rgba', 'challenge']) {
      if (bytes in expected) expected[bytes] = new Uint8Array(fromHex(expected[bytes]));
    }
    assert.deepEqual(decodeOutput(fromHex(hex)), expected);
  });
}

for (const { name, hex } of vectors('output-refused')) {
  test(`decodeOutput, ${name}, is null`, () => {
    assert.equal(decodeOutput(fromHex(hex)), null);
  });
}

test('decodeOutput, every cut of every message, is null', () => {
  for (const { hex } of vectors('output')) {
    const whole = fromHex(hex);
    for (let length = 0; length < whole.byteLength; length += 1) {
      assert.equal(decodeOutput(whole.slice(0, length)), null);
    }
  }
});
