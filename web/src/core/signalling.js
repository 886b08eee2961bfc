// The JSON messages of the signalling WebSocket.

import { parseLease } from './lease.js';
import { parseRelay } from './relay.js';

/** @import { Lease } from './lease.js' */
/** @import { RelayServer } from './relay.js' */

/**
 * @typedef {{ type: 'answer', sdp: string, ticket: string }
 *   | { type: 'app', running: boolean, reason: string, startable: boolean }
 *   | { type: 'candidate', candidate: string }
 *   | { type: 'closed', reason: string, retry: boolean }
 *   | { type: 'endsSoon', seconds: number | null }
 *   | { type: 'lease', lease: Lease | null }
 *   | { type: 'loginEnded' }
 *   | { type: 'notice', text: string }
 *   | { type: 'probe', relay: RelayServer | null }
 *   | { type: 'relay', relay: RelayServer | null, restarted: boolean }
 *   | { type: 'welcome', relay: RelayServer | null }} GatewayMessage
 */

/** @param {string} sdp */
export function offerMessage(sdp) {
  return JSON.stringify({ type: 'offer', sdp });
}

/** @param {string} sdp of an existing connection whose path was lost */
export function restartMessage(sdp) {
  return JSON.stringify({ type: 'restart', sdp });
}

/** @param {string} ticket from the answer of the existing connection */
export function resumeMessage(ticket) {
  return JSON.stringify({ type: 'resume', ticket });
}

/** Asks to start the ended app again. */
export function startAppMessage() {
  return JSON.stringify({ type: 'startApp' });
}

/** Asks for an input lease. */
export function leaseMessage() {
  return JSON.stringify({ type: 'lease' });
}

/** Asks for credentials to test one transport to the relay. */
export function probeMessage() {
  return JSON.stringify({ type: 'probe' });
}

/**
 * @param {string} candidate
 * @returns {string | null} null for a candidate that the desktop cannot use
 */
export function candidateMessage(candidate) {
  // An empty candidate marks the end. Names under .local hide the address behind multicast DNS, which
  // the desktop does not query; it learns the address from the first packet.
  if (candidate === '' || candidate.split(' ')[4]?.endsWith('.local')) return null;
  // The desktop does not support WebRTC over TCP.
  if (candidate.split(' ')[2]?.toLowerCase() !== 'udp') return null;
  return JSON.stringify({ type: 'candidate', candidate });
}

/**
 * @param {unknown} text
 * @returns {GatewayMessage | null} null for an unknown message
 */
export function parseGatewayMessage(text) {
  const message = parseObject(text);
  switch (message?.['type']) {
    case 'answer': {
      const { sdp, ticket } = message;
      return typeof sdp === 'string' ? { type: 'answer', sdp, ticket: textOf(ticket) } : null;
    }
    case 'app': {
      const { running, startable } = message;
      const reason = textOf(message['reason']);
      return { type: 'app', running: running === true, reason, startable: startable === true };
    }
    case 'candidate': {
      const { candidate } = message;
      return typeof candidate === 'string' ? { type: 'candidate', candidate } : null;
    }
    case 'closed': {
      return { type: 'closed', reason: textOf(message['reason']), retry: message['retry'] === true };
    }
    case 'endsSoon': {
      const { seconds } = message;
      return { type: 'endsSoon', seconds: typeof seconds === 'number' ? seconds : null };
    }
    case 'lease':
      return { type: 'lease', lease: parseLease(message['lease']) };
    case 'loginEnded':
      return { type: 'loginEnded' };
    case 'notice':
      return { type: 'notice', text: textOf(message['text']) };
    case 'probe':
    case 'welcome':
      return { type: message['type'], relay: parseRelay(message['relay']) };
    case 'relay': {
      const restarted = message['restarted'] === true;
      return { type: 'relay', relay: parseRelay(message['relay']), restarted };
    }
    default:
      return null;
  }
}

/** @param {unknown} value */
function textOf(value) {
  return typeof value === 'string' ? value : '';
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

/**
 * Browsers decode one channel of sound unless their own offer says that they want both
 * (RFC 7587, section 7.1).
 * @param {string} sdp of an offer
 */
export function withStereo(sdp) {
  const [, opus] = /^a=rtpmap:(\d+) opus\/48000\/2\r?$/m.exec(sdp) ?? [];
  if (opus === undefined) return sdp;
  const format = new RegExp(`^(a=fmtp:${opus} (?!.*\\bstereo=).*?)(\r?)$`, 'm');
  return sdp.replace(format, '$1;stereo=1$2');
}
