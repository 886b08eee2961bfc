// The JSON messages of the signalling WebSocket.

/**
 * @typedef {{ type: 'answer', sdp: string }
 *   | { type: 'closed', reason: string, retry: boolean }} GatewayMessage
 */

/** @param {string} sdp */
export function offerMessage(sdp) {
  return JSON.stringify({ type: 'offer', sdp });
}

/**
 * @param {string} candidate
 * @returns {string | null} null for a candidate that is of no use to the desktop
 */
export function candidateMessage(candidate) {
  // An empty one says "no more". Names under .local hide the address behind multicast DNS, which
  // the desktop does not ask; it learns the address from the first packet.
  if (candidate === '' || candidate.split(' ')[4]?.endsWith('.local')) return null;
  // WebRTC over TCP is not offered by the desktop.
  if (candidate.split(' ')[2]?.toLowerCase() !== 'udp') return null;
  return JSON.stringify({ type: 'candidate', candidate });
}

/**
 * @param {unknown} text
 * @returns {GatewayMessage | null} null when it is no message this page knows
 */
export function parseGatewayMessage(text) {
  const message = parseObject(text);
  if (message?.['type'] === 'answer' && typeof message['sdp'] === 'string') {
    return { type: 'answer', sdp: message['sdp'] };
  }
  if (message?.['type'] === 'closed') {
    const reason = typeof message['reason'] === 'string' ? message['reason'] : '';
    return { type: 'closed', reason, retry: message['retry'] === true };
  }
  return null;
}

/**
 * @param {unknown} text
 * @returns {Record<string, unknown> | null}
 */
function parseObject(text) {
  if (typeof text !== 'string') return null;
  try {
    /** @type {unknown} */
    const value = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isRecord(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
