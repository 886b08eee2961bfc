// How the page reaches the relay: converts the gateway's message for RTCPeerConnection.

/**
 * @typedef {{ urls: string[], username: string, credential: string }} RelayServer
 * @typedef {'udp' | 'tcp' | 'tls'} RelayWay
 * @typedef {{ relayOnly: boolean, way: RelayWay | null }} PathWish
 */

/** @type {readonly RelayWay[]} */
const WAYS = ['udp', 'tcp', 'tls'];

/**
 * @param {unknown} value of a message's `relay`
 * @returns {RelayServer | null} null when there is no relay, or in an unknown format
 */
export function parseRelay(value) {
  if (typeof value !== 'object' || value === null) return null;
  const { urls, username, credential } = /** @type {Record<string, unknown>} */ (value);
  if (!Array.isArray(urls) || !urls.every((url) => typeof url === 'string')) return null;
  if (typeof username !== 'string' || typeof credential !== 'string') return null;
  return { urls, username, credential };
}

/**
 * Inserts the hostname of the page where the server left it open.
 *
 * @param {RelayServer} relay
 * @param {string} hostname as in `location.hostname`
 * @returns {RelayServer}
 */
export function placeRelay(relay, hostname) {
  const bare = hostname.replace(/^\[|\]$/g, '');
  const host = bare.includes(':') ? `[${bare}]` : bare;
  return { ...relay, urls: relay.urls.map((url) => url.replace(/^(turns?:)\*/, `$1${host}`)) };
}

/**
 * @param {string} url
 * @returns {RelayWay} its transport (RFC 7065: "turns" is TLS, "turn" is UDP unless stated otherwise)
 */
export function wayOf(url) {
  if (url.startsWith('turns:')) return 'tls';
  return url.includes('transport=tcp') ? 'tcp' : 'udp';
}

/**
 * @param {RelayServer | null} relay
 * @param {PathWish} wish
 * @returns {RelayServer[]} to be used as `iceServers`
 */
export function serversFor(relay, { way }) {
  if (relay === null) return [];
  const urls = relay.urls.filter((url) => way === null || wayOf(url) === way);
  return urls.length === 0 ? [] : [{ ...relay, urls }];
}

/**
 * The path that the page's address asks for: `?relay=only` uses only the relay, `?relay=tcp` only one
 * transport to it. For trying a path, and for tests.
 *
 * @param {string} search as in `location.search`
 * @returns {PathWish}
 */
export function wishedPath(search) {
  const wish = new URLSearchParams(search).get('relay');
  const way = WAYS.find((known) => known === wish) ?? null;
  return { relayOnly: wish === 'only' || way !== null, way };
}
