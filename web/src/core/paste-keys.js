// The keys that make a browser paste. Their meaning on the desktop is up to the desktop.

/** @import { Platform } from './locks.js' */

/**
 * @param {{ code: string, key: string, ctrlKey: boolean, shiftKey: boolean, altKey: boolean,
 *   metaKey: boolean }} event
 * @param {Platform} platform
 */
export function isPaste({ code, key, ctrlKey, shiftKey, altKey, metaKey }, platform) {
  if (altKey) return false;
  // By its label, or by its position on layouts without Latin letters.
  const letter = key.toLowerCase() === 'v' || code === 'KeyV';
  if (platform === 'mac') return letter && metaKey && !ctrlKey;
  if (metaKey) return false;
  return ctrlKey ? letter : shiftKey && key === 'Insert';
}
