import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fractionOf, placePicture } from '../src/core/letterbox.js';

const size = (/** @type {number} */ width, /** @type {number} */ height) => ({ width, height });

test('placePicture, the exact size, fills the window', () => {
  assert.deepEqual(placePicture(size(1920, 1080), size(1920, 1080), 1), {
    left: 0,
    top: 0,
    width: 1920,
    height: 1080,
  });
});

test('placePicture, a window one pixel larger, is not scaled', () => {
  const box = placePicture(size(1364, 766), size(1365, 767), 1);
  assert.deepEqual(box, { left: 0, top: 0, width: 1364, height: 766 });
});

for (const ratio of [1, 1.25, 1.5, 2, 2.625]) {
  test(`placePicture, ratio ${ratio}, is pixel by pixel and aligned to device pixels`, () => {
    const box = placePicture(size(1000, 600), size(1005, 605), ratio);
    assert.ok(Math.abs(box.width * ratio - 1000) < 1e-9);
    assert.ok(Math.abs(box.left * ratio - 2) < 1e-9);
    assert.ok(Math.abs(box.top * ratio - 2) < 1e-9);
  });
}

test('placePicture, a wide window, has borders left and right', () => {
  assert.deepEqual(placePicture(size(800, 600), size(1600, 600), 1), {
    left: 400,
    top: 0,
    width: 800,
    height: 600,
  });
});

test('placePicture, a small window, shrinks the picture in its aspect', () => {
  const box = placePicture(size(1920, 1080), size(960, 1080), 2);
  assert.deepEqual(box, { left: 0, top: 135, width: 480, height: 270 });
});

test('placePicture, a tiny picture, is enlarged', () => {
  const box = placePicture(size(100, 100), size(400, 300), 1);
  assert.deepEqual(box, { left: 50, top: 0, width: 300, height: 300 });
});

test('fractionOf, corners and middle, are exact', () => {
  const box = { left: 100, top: 50, width: 800, height: 400 };
  assert.deepEqual(fractionOf({ x: 100, y: 50 }, box), { x: 0, y: 0 });
  assert.deepEqual(fractionOf({ x: 900, y: 450 }, box), { x: 65535, y: 65535 });
  assert.deepEqual(fractionOf({ x: 500, y: 250 }, box), { x: 32768, y: 32768 });
});

test('fractionOf, beside the picture, is its edge', () => {
  const box = { left: 100, top: 50, width: 800, height: 400 };
  assert.deepEqual(fractionOf({ x: 0, y: 9999 }, box), { x: 0, y: 65535 });
});

test('fractionOf, no picture yet, is the origin', () => {
  assert.deepEqual(fractionOf({ x: 5, y: 5 }, { left: 0, top: 0, width: 0, height: 0 }), {
    x: 0,
    y: 0,
  });
});

test('fractionOf, every device pixel at every ratio, hits that pixel of the desktop', () => {
  const side = 1366;
  for (const ratio of [1, 1.25, 1.5, 1.75, 2]) {
    const box = placePicture(size(side, 768), size(side, 768), ratio);
    for (let pixel = 0; pixel < side; pixel += 1) {
      // The middle of the pixel.
      const { x } = fractionOf({ x: (pixel + 0.5) / ratio, y: 0 }, box);
      assert.equal(Math.floor((x * side) / 65535), pixel, `ratio ${ratio}`);
    }
  }
});
