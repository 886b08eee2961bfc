// The page's log, the only module that writes to the developer console.

/** @typedef {'debug' | 'info' | 'warn' | 'error'} Level */

/**
 * @param {Level} level
 * @param {string} event what happened, in a few constant words
 * @param {Record<string, unknown>} [fields] details
 */
export function log(level, event, fields = {}) {
  // eslint-disable-next-line no-console -- this is where the log goes
  console[level](`[lumen] ${event}`, fields);
}
