// Tests one transport to the relay with a peer connection that has no other end.

import { errorSentence, relayName, silenceSentence } from '../core/report.js';
import { wayOf } from '../core/relay.js';

/** @import { RelayServer } from '../core/relay.js' */
/** @import { TriedPath } from '../core/report.js' */

/** A transport without an address after this many milliseconds does not work. */
const PATIENCE = 5000;

/**
 * @param {RelayServer} relay with one address
 * @returns {Promise<TriedPath>}
 */
export async function probe(relay) {
  const url = relay.urls[0] ?? '';
  const way = wayOf(url);
  const connection = new RTCPeerConnection({ iceServers: [relay], iceTransportPolicy: 'relay' });
  const listeners = new AbortController();
  const start = performance.now();
  try {
    /** @type {Promise<number | null>} the error's code, null for success */
    const outcome = new Promise((resolve) => {
      const { signal } = listeners;
      let code = 701;
      connection.addEventListener(
        'icecandidate',
        ({ candidate }) => {
          if (candidate === null) resolve(code);
          else if (candidate.candidate !== '') resolve(null);
        },
        { signal },
      );
      connection.addEventListener(
        'icecandidateerror',
        (event) => {
          code = event.errorCode;
        },
        { signal },
      );
      const timer = setTimeout(() => resolve(code), PATIENCE);
      signal.addEventListener('abort', () => clearTimeout(timer));
    });
    connection.createDataChannel('probe');
    await connection.setLocalDescription();
    const code = await outcome;
    const millis = Math.round(performance.now() - start);
    const name = relayName(way);
    if (code === null) return { name, url, works: true, millis, reason: '' };
    const reason = code === 701 ? silenceSentence(way) : errorSentence(code, way);
    return { name, url, works: false, millis: null, reason };
  } finally {
    listeners.abort();
    connection.close();
  }
}
