// The page's log: the one place that writes to the developer console.

/** @typedef {'debug' | 'info' | 'warn' | 'error'} Level */

/**
 * @param {Level} level
 * @param {string} event what happened, in a few words that never vary
 * @param {Record<string, unknown>} [fields] what it happened to
 */
export function log(level, event, fields = {}) {
  // eslint-disable-next-line no-console -- this is where the log goes
  console[level](`[lumen] ${event}`, fields);
}
