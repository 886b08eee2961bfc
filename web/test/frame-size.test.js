import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { MAX_MACROBLOCKS, macroblocksOf, wantedScale, wantedSize } from '../src/core/frame-size.js';

/** @type {{ name: string, window: [number, number], size: [number, number] }[]} */
const sizes = JSON.parse(readFileSync(new URL('vectors/sizes.json', import.meta.url), 'utf8'));

for (const { name, window, size } of sizes) {
  test(`wantedSize, ${name}, is what the desktop makes of it`, () => {
    const [width, height] = window;
    const wanted = wantedSize({ width, height });
    assert.deepEqual([wanted.width, wanted.height], size);
  });
}

test('wantedSize, a size that is none, is the smallest desktop', () => {
  assert.deepEqual(wantedSize({ width: NaN, height: 3 }), { width: 16, height: 16 });
  assert.deepEqual(wantedSize({ width: -5, height: Infinity }), { width: 16, height: 16 });
});

test('wantedSize, fewer macroblocks than the window has, is a smaller one of its shape', () => {
  assert.deepEqual(wantedSize({ width: 1920, height: 1080 }, 3600), { width: 1280, height: 720 });
  assert.deepEqual(wantedSize({ width: 720, height: 1280 }, 1620), { width: 480, height: 856 });
});

test('wantedSize, any window, is legal, and legal again', () => {
  for (let width = 1; width < 6000; width += 97) {
    for (let height = 1; height < 6000; height += 89) {
      const wanted = wantedSize({ width, height });
      assert.ok(macroblocksOf(wanted) <= MAX_MACROBLOCKS, `${width}x${height}`);
      assert.deepEqual(wantedSize(wanted), wanted, `${width}x${height}`);
    }
  }
});

test('wantedScale, an ordinary window, is the ratio in 120ths, one to four', () => {
  for (const [ratio, scale] of [[0.5, 120], [1, 120], [1.25, 150], [2.625, 315], [5, 480], [NaN, 120]]) {
    const viewport = { width: 1365, height: 767 };
    assert.equal(wantedScale(viewport, wantedSize(viewport), Number(ratio)), scale, `ratio ${ratio}`);
  }
});

test('wantedScale, a window beyond the limit, keeps its room', () => {
  const viewport = { width: 8192, height: 4096 };
  const wanted = wantedSize(viewport);
  const scale = wantedScale(viewport, wanted, 3);
  assert.ok(Math.abs(wanted.width / (scale / 120) - 8192 / 3) < 20, `${wanted.width} at ${scale}`);
});
