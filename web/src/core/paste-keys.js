// Which keys make a browser paste. What they mean on the desktop is the desktop's business.

/** @import { Platform } from './locks.js' */

/**
 * @param {{ code: string, key: string, ctrlKey: boolean, shiftKey: boolean, altKey: boolean,
 *   metaKey: boolean }} event
 * @param {Platform} platform
 */
export function isPaste({ code, key, ctrlKey, shiftKey, altKey, metaKey }, platform) {
  if (altKey) return false;
  // By what is printed on it, or by its place where nothing Latin is.
  const letter = key.toLowerCase() === 'v' || code === 'KeyV';
  if (platform === 'mac') return letter && metaKey && !ctrlKey;
  if (metaKey) return false;
  return ctrlKey ? letter : shiftKey && key === 'Insert';
}
