// What a refused request means for the viewer.

/**
 * - `wrong`: the token is wrong, or the account or an answer.
 * - `loginNeeded`: nobody is logged in, or the login has ended.
 * - `later`: another attempt can succeed.
 * - `never`: a setting must be changed first.
 * @typedef {{ type: 'wrong' | 'loginNeeded' | 'later' | 'never', reason: string }} Refusal
 * @typedef {{ status: number, word: string | null, text: string }} Answer
 */

/** The header with the gateway's code for a refusal. A proxy's own replies lack it. */
export const REFUSAL_HEADER = 'Lumen-Refusal';

/**
 * @param {Answer} answer with an unsuccessful status
 * @returns {Refusal}
 */
export function explain({ status, word, text }) {
  if (word === null) return explainStranger(status);
  switch (word) {
    case 'denied':
    case 'wrong-token':
      return { type: 'wrong', reason: text };
    case 'login-needed':
      return { type: 'loginNeeded', reason: text };
    case 'desktop-in-use':
    case 'login-too-slow':
    case 'no-desktop':
    case 'no-identity':
    case 'not-started':
    case 'too-many-attempts':
    case 'too-many-connections':
    case 'too-many-desktops':
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
      const reason = `The reply with status ${status} is not from Lumen; a proxy may have sent it.`;
      // Too many requests and server errors are temporary.
      return { type: status === 429 || status >= 500 ? 'later' : 'never', reason };
    }
  }
}
