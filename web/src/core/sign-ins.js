// The sign-ins to a desktop as the page shows them: parses the server's list, and words each of them.

/**
 * @typedef {{ id: string, own: boolean, by: string, from: string, given: number, used: number,
 *   pages: number }} SignIn `given` and `used`: how many seconds ago
 */

/** Most sign-ins that are shown; the server has no more for one desktop. */
const MOST = 64;

/**
 * @param {unknown} answer of the server
 * @returns {SignIn[]} the legal ones of its list
 */
export function parseSignIns(answer) {
  const list = property(answer, 'signIns');
  if (!Array.isArray(list)) return [];
  return list.slice(0, MOST).flatMap((entry) => {
    const signIn = {
      id: textOf(entry, 'id'),
      own: property(entry, 'own') === true,
      by: textOf(entry, 'by'),
      from: textOf(entry, 'from'),
      given: numberOf(entry, 'given'),
      used: numberOf(entry, 'used'),
      pages: numberOf(entry, 'pages'),
    };
    return /^[0-9a-f]{16}$/.test(signIn.id) ? [signIn] : [];
  });
}

/**
 * @param {SignIn} signIn
 * @returns {string} a line about it
 */
export function describeSignIn({ own, by, from, given, used, pages }) {
  const where = own ? 'This browser' : `From ${from}`;
  const now = pages > 0 ? 'connected' : `last used ${ago(used)}`;
  return `${where}, by ${by}, ${ago(given)}; ${now}`;
}

/**
 * @param {number} seconds
 * @returns {string}
 */
function ago(seconds) {
  if (seconds < 60) return 'just now';
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/**
 * @param {unknown} value
 * @param {string} name
 * @returns {unknown}
 */
function property(value, name) {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : null;
}

/**
 * @param {unknown} value
 * @param {string} name
 */
function textOf(value, name) {
  const text = property(value, name);
  return typeof text === 'string' ? text : '';
}

/**
 * @param {unknown} value
 * @param {string} name
 */
function numberOf(value, name) {
  const number = property(value, name);
  return typeof number === 'number' && number >= 0 ? number : 0;
}
