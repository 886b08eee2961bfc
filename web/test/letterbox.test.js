import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  deviceSize,
  fractionOf,
  isOnPicture,
  placePicture,
  shownSize,
} from '../src/core/letterbox.js';

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

test('deviceSize, the browser knows it exactly, is what it says', () => {
  assert.deepEqual(deviceSize(size(910.67, 600.4), 1.5, size(1367, 900)), size(1367, 900));
});

for (const ratio of [1.25, 1.5, 2, 3]) {
  test(`deviceSize, ratio ${ratio} is emulated, counts the pixels that the page is laid out for`, () => {
    const expected = size(Math.round(1280 * ratio), Math.round(720 * ratio));
    assert.deepEqual(deviceSize(size(1280, 720), ratio, size(1280, 720)), expected);
    assert.deepEqual(deviceSize(size(1280, 720), ratio, null), expected);
  });
}

test('placePicture, a small window that a desktop cannot have exactly, is not scaled', () => {
  const box = placePicture(size(354, 600), size(359, 605), 3);
  assert.deepEqual(box, { left: 2 / 3, top: 2 / 3, width: 118, height: 200 });
});

test('isOnPicture, a bar beside it, is not', () => {
  const box = { left: 100, top: 0, width: 800, height: 600 };
  assert.equal(isOnPicture({ x: 99, y: 300 }, box), false);
  assert.equal(isOnPicture({ x: 901, y: 300 }, box), false);
  assert.equal(isOnPicture({ x: 100, y: 300 }, box), true);
  assert.equal(isOnPicture({ x: 900, y: 600 }, box), true);
});

test('isOnPicture, a border of a few pixels, is its edge', () => {
  const box = { left: 0.5, top: 2, width: 799, height: 596 };
  for (const [x, y] of [[0, 0], [799.9, 599.9], [0, 300], [400, 599]]) {
    assert.equal(isOnPicture({ x: Number(x), y: Number(y) }, box), true, `${x},${y}`);
  }
});

test('isOnPicture, no picture yet, is false', () => {
  assert.equal(isOnPicture({ x: 0, y: 0 }, { left: 0, top: 0, width: 0, height: 0 }), false);
});

test('shownSize, a smaller picture of the whole desktop, is shown as large as the desktop', () => {
  for (const [width, height] of /** @type {const} */ ([
    [1920, 1080],
    [1366, 768],
    [802, 602],
    [1080, 2340],
    [4096, 1000],
  ])) {
    const desktop = { width, height };
    for (const eighths of [2, 3, 4, 6]) {
      const side = (/** @type {number} */ length) => 2 * Math.floor((length * eighths) / 16);
      const coded = { width: side(width), height: side(height) };
      assert.equal(shownSize(coded, desktop), desktop, `${width}×${height}, ${eighths} eighths`);
    }
    assert.deepEqual(shownSize(desktop, { ...desktop }), desktop);
  }
});

test('shownSize, a picture of another shape or a larger one, is that of another desktop', () => {
  const coded = { width: 640, height: 360 };
  assert.equal(shownSize(coded, null), coded);
  for (const desktop of [
    { width: 640, height: 480 },
    { width: 1000, height: 750 },
    { width: 320, height: 180 },
    { width: 360, height: 640 },
  ]) {
    assert.equal(shownSize(coded, desktop), coded);
  }
});
