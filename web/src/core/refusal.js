// What a refused request means to the viewer.

/**
 * - `wrong`: the token is.
 * - `loginNeeded`: nobody is logged in, or no longer.
 * - `later`: trying again can help.
 * - `never`: somebody has to set something first.
 * @typedef {{ type: 'wrong' | 'loginNeeded' | 'later' | 'never', reason: string }} Refusal
 * @typedef {{ status: number, word: string | null, text: string }} Answer
 */

/** The header with the gateway's word for a refusal. What a proxy answers by itself lacks it. */
export const REFUSAL_HEADER = 'Lumen-Refusal';

/**
 * @param {Answer} answer whose status is no success
 * @returns {Refusal}
 */
export function explain({ status, word, text }) {
  if (word === null) return explainStranger(status);
  switch (word) {
    case 'wrong-token':
      return { type: 'wrong', reason: text };
    case 'login-needed':
      return { type: 'loginNeeded', reason: text };
    case 'login-too-slow':
    case 'too-many-attempts':
    case 'too-many-connections':
    case 'unavailable':
      return { type: 'later', reason: text };
    default:
      return { type: 'never', reason: text };
  }
}

/**
 * @param {number} status
 * @returns {Refusal}
 */
function explainStranger(status) {
  switch (status) {
    case 502:
    case 503:
    case 504:
      return { type: 'later', reason: `The proxy cannot reach Lumen (status ${status}).` };
    default: {
      const reason = `Status ${status} came without a word from Lumen: a proxy may have answered.`;
      // Too many requests, and every fault of a server's own, pass.
      return { type: status === 429 || status >= 500 ? 'later' : 'never', reason };
    }
  }
}
