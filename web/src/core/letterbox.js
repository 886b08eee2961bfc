// Places the picture in the window, and converts places in the window into places on the desktop.
//
// Two kinds of pixels: device pixels of the display, and CSS pixels, in which the page is laid out;
// `devicePixelRatio` device pixels make one CSS pixel, and it need not be an integer. A picture that
// almost fits the window is shown pixel by pixel, aligned to device pixels, because scaling text by a
// fraction of a percent blurs all of it.

/**
 * @typedef {{ width: number, height: number }} Size
 * @typedef {{ left: number, top: number, width: number, height: number }} Box in CSS pixels
 */

/** Up to this scale a picture is shown pixel by pixel with a thin border instead. */
const MAX_BORDERED_SCALE = 1.01;

/** So is one that lacks at most this many device pixels: a desktop's sides are even, and a whole
 * number of its apps' pixels, while a window's need not be. */
const MAX_MISSING = 10;
/** A border of this many CSS pixels counts as the picture's edge, which a pointer must be able to
 * reach. */
const EDGE_BORDER = 6;

/** By so many pixels a side of a smaller picture differs from the exact part of the desktop's. */
const MAX_ROUNDED = 2;

/** The largest fraction of a place. */
const FRACTION = 65535;

/**
 * @param {Size} css the window in CSS pixels
 * @param {number} pixelRatio
 * @param {Size | null} exact what the browser says the window has in device pixels
 * @returns {Size} the window in device pixels: `exact`, which knows how a fraction was rounded, but
 *   not if it is of other pixels than those `pixelRatio` counts, as where the ratio is emulated
 */
export function deviceSize(css, pixelRatio, exact) {
  const [width, height] = [css.width * pixelRatio, css.height * pixelRatio];
  const agrees =
    exact !== null && Math.abs(exact.width - width) <= 1 && Math.abs(exact.height - height) <= 1;
  return agrees ? exact : { width: Math.round(width), height: Math.round(height) };
}

/**
 * The size that a picture is shown with: where the network carries too little, the desktop sends smaller
 * pictures of all of it, and nothing on the screen must move.
 *
 * @param {Size} coded the picture as it arrived
 * @param {Size | null} desktop the desktop as it says it is, if it has
 * @returns {Size} in pixels of the desktop
 */
export function shownSize(coded, desktop) {
  if (desktop === null) return coded;
  const isSmaller = coded.width < desktop.width && coded.height < desktop.height;
  // Sides are rounded to even numbers. A picture of another shape is of another desktop: the size
  // before or after a change.
  const skew = coded.width * desktop.height - coded.height * desktop.width;
  const rounding = MAX_ROUNDED * (desktop.width + desktop.height);
  return isSmaller && Math.abs(skew) <= rounding ? desktop : coded;
}

/**
 * @param {Size} picture in its own pixels
 * @param {Size} viewport in device pixels
 * @param {number} pixelRatio
 * @returns {Box} where to put the picture
 */
export function placePicture(picture, viewport, pixelRatio) {
  const fitting = Math.min(viewport.width / picture.width, viewport.height / picture.height);
  const missing = Math.max(viewport.width - picture.width, viewport.height - picture.height);
  const nearly = fitting <= MAX_BORDERED_SCALE || missing <= MAX_MISSING;
  const scale = fitting >= 1 && nearly ? 1 : fitting;
  const width = picture.width * scale;
  const height = picture.height * scale;
  const left = Math.floor((viewport.width - width) / 2);
  const top = Math.floor((viewport.height - height) / 2);
  return {
    left: Math.max(left, 0) / pixelRatio,
    top: Math.max(top, 0) / pixelRatio,
    width: width / pixelRatio,
    height: height / pixelRatio,
  };
}

/**
 * @param {{ x: number, y: number }} place in CSS pixels of the window
 * @param {Box} box where the picture is
 * @returns {{ x: number, y: number }} fractions of the picture × 65535; places beside the picture
 *   become the nearest on its edge
 */
export function fractionOf(place, box) {
  return {
    x: fraction(place.x - box.left, box.width),
    y: fraction(place.y - box.top, box.height),
  };
}

/**
 * @param {{ x: number, y: number }} place in CSS pixels of the window
 * @param {Box} box where the picture is, in the middle of the window
 * @returns {boolean} whether the place is on the picture, or on a border too thin to be beside it
 */
export function isOnPicture(place, box) {
  return (
    isWithin(place.x - box.left, box.width, box.left) &&
    isWithin(place.y - box.top, box.height, box.top)
  );
}

/**
 * @param {number} distance
 * @param {number} length
 * @param {number} border
 */
function isWithin(distance, length, border) {
  if (!(length > 0)) return false;
  return border <= EDGE_BORDER || (distance >= 0 && distance <= length);
}

/**
 * @param {number} distance
 * @param {number} length
 */
function fraction(distance, length) {
  if (!(length > 0)) return 0;
  return Math.round(Math.min(Math.max(distance / length, 0), 1) * FRACTION);
}
