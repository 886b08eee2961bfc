// The desktop's size for a window: one that every decoder of H.264 level 5.2 supports.
//
// lumen-rtc computes the same (`FrameSize::nearest`) with the same integers; test/vectors/sizes.json
// tests both.

/** @import { Size } from './letterbox.js' */

/** The limits of either side of a desktop. */
const MIN_SIDE = 16;
const MAX_SIDE = 4096;

/** Pixels along each side of a macroblock, in which H.264 codes pictures. */
const MACROBLOCK = 16;

/** The most macroblocks of level 5.2 (H.264, table A-1). */
export const MAX_MACROBLOCKS = 36864;

/** A scale is in 120ths; the desktop's is between one and four. */
const SCALE_PARTS = 120;
const MIN_SCALE = SCALE_PARTS;
const MAX_SCALE = 4 * SCALE_PARTS;

/**
 * @param {Size} size
 * @returns {number} number of macroblocks of a picture of that size
 */
export function macroblocksOf(size) {
  return Math.ceil(size.width / MACROBLOCK) * Math.ceil(size.height / MACROBLOCK);
}

/**
 * @param {Size} viewport in device pixels
 * @param {number} [most] macroblocks the desktop may have
 * @returns {Size} the size the desktop should have: that of the window, with even sides, if it is
 *   legal, else the largest legal one of its shape
 */
export function wantedSize(viewport, most = MAX_MACROBLOCKS) {
  const [width, height] = [wholeSide(viewport.width), wholeSide(viewport.height)];
  const own = { width: legalSide(width), height: legalSide(height) };
  const [long, short] = [Math.max(width, height), Math.min(width, height)];
  if (long < MAX_SIDE + 2 && macroblocksOf(own) <= most) return own;
  /** @param {number} pairs half of the long side */
  const shaped = (pairs) => {
    const [one, other] = [legalSide(2 * pairs), legalSide(Math.floor((2 * pairs * short) / long))];
    return width >= height ? { width: one, height: other } : { width: other, height: one };
  };
  // The smallest such size is legal for every shape.
  let legal = MIN_SIDE / 2;
  let beyond = Math.floor(Math.min(MAX_SIDE, long) / 2) + 1;
  while (beyond - legal > 1) {
    const middle = Math.floor((legal + beyond) / 2);
    if (macroblocksOf(shaped(middle)) <= most) legal = middle;
    else beyond = middle;
  }
  return shaped(legal);
}

/**
 * @param {Size} viewport in device pixels
 * @param {Size} wanted what {@link wantedSize} makes of it
 * @param {number} pixelRatio
 * @returns {number} the scale the desktop should have, in 120ths: a desktop that is smaller than the
 *   window, and shown enlarged, has room for as much
 */
export function wantedScale(viewport, wanted, pixelRatio) {
  const shrinks = wanted.width + 1 < viewport.width || wanted.height + 1 < viewport.height;
  const shrink = Math.min(wanted.width / viewport.width, wanted.height / viewport.height);
  const scale = Math.round(pixelRatio * (shrinks ? shrink : 1) * SCALE_PARTS);
  return Math.min(Math.max(Number.isFinite(scale) ? scale : MIN_SCALE, MIN_SCALE), MAX_SCALE);
}

/** @param {number} length */
function wholeSide(length) {
  return Number.isFinite(length) ? Math.max(Math.floor(length), 0) : 0;
}

/** @param {number} length */
function legalSide(length) {
  return Math.min(Math.max(Math.floor(length / 2) * 2, MIN_SIDE), MAX_SIDE);
}
