// The requests the page makes to its server, each with every answer it can get.

/**
 * @typedef {{ type: 'ok' } | { type: 'wrong' } | { type: 'tooMany', seconds: number }
 *   | { type: 'unavailable', reason: string }} LoginOutcome
 * @typedef {{ type: 'ok', hostname: string } | { type: 'loginNeeded' }
 *   | { type: 'unavailable' }} SessionOutcome
 */

const PATIENCE = 5000;

/**
 * @param {string} token
 * @returns {Promise<LoginOutcome>}
 */
export async function logIn(token) {
  try {
    const response = await fetch('/login', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token }),
      signal: AbortSignal.timeout(PATIENCE),
    });
    if (response.ok) return { type: 'ok' };
    if (response.status === 429) {
      return { type: 'tooMany', seconds: Number(response.headers.get('Retry-After')) || 1 };
    }
    if (response.status === 503) return { type: 'unavailable', reason: await response.text() };
    return { type: 'wrong' };
  } catch {
    return { type: 'unavailable', reason: 'The server cannot be reached.' };
  }
}

/** @returns {Promise<SessionOutcome>} */
export async function fetchSession() {
  try {
    const response = await fetch('/api/session', { signal: AbortSignal.timeout(PATIENCE) });
    if (response.status === 401) return { type: 'loginNeeded' };
    if (!response.ok) return { type: 'unavailable' };
    /** @type {unknown} */
    const session = await response.json();
    const named = typeof session === 'object' && session !== null && 'hostname' in session;
    return { type: 'ok', hostname: named ? String(session.hostname) : '' };
  } catch {
    return { type: 'unavailable' };
  }
}
