// The connection report in words: the path in use, what the picture is like, the transports to the
// relay that work, and why others do not.

import { shownSize } from './letterbox.js';

/** @import { Size } from './letterbox.js' */
/** @import { RelayWay } from './relay.js' */

/**
 * @typedef {'direct UDP' | 'relay UDP' | 'relay TCP' | 'relay TLS'} PathName
 * @typedef {{ name: PathName, roundTripMillis: number | null }} UsedPath
 * @typedef {{ name: PathName, url: string | null, works: boolean | null, millis: number | null,
 *   reason: string }} TriedPath
 * @typedef {{ coded: Size, desktop: Size | null, fps: number, quantizer: number | null,
 *   format: string | null }} UsedPicture
 * @typedef {{ used: UsedPath | null, picture: UsedPicture | null, paths: TriedPath[] }} Report
 * @typedef {{ type: string, id: string, [field: string]: unknown }} Stats
 */

/** @type {Record<RelayWay, PathName>} */
const RELAY_NAMES = { udp: 'relay UDP', tcp: 'relay TCP', tls: 'relay TLS' };

/** @param {RelayWay} way */
export function relayName(way) {
  return RELAY_NAMES[way];
}

/**
 * @param {Stats[]} stats of a peer connection
 * @returns {UsedPath | null} null while no path is in use
 */
export function usedPath(stats) {
  const transport = stats.find((one) => one.type === 'transport');
  const chosen = transport?.['selectedCandidatePairId'];
  const pair =
    stats.find((one) => one.type === 'candidate-pair' && one.id === chosen) ??
    stats.find((one) => one.type === 'candidate-pair' && one['nominated'] === true);
  if (pair === undefined) return null;
  const local = stats.find((one) => one.id === pair['localCandidateId']);
  const seconds = pair['currentRoundTripTime'];
  return {
    name: nameOf(local),
    roundTripMillis: typeof seconds === 'number' ? Math.round(seconds * 10_000) / 10 : null,
  };
}

/**
 * @param {Stats[]} before stats of a peer connection
 * @param {Stats[]} after the same some time later
 * @param {Size | null} desktop
 * @returns {UsedPicture | null} what the pictures in between were like, or all if there were none; null
 *   before the first
 */
export function usedPicture(before, after, desktop) {
  const video = after.find((one) => one.type === 'inbound-rtp' && one['kind'] === 'video');
  const decoded = Number(video?.['framesDecoded'] ?? 0);
  if (video === undefined || decoded === 0) return null;
  const earlier = before.find((one) => one.id === video.id);
  const since = Number(earlier?.['framesDecoded'] ?? 0);
  const start = earlier !== undefined && since < decoded ? earlier : null;
  const sum = video['qpSum'];
  const codec = after.find((one) => one.type === 'codec' && one.id === video['codecId']);
  const pictures = decoded - (start === null ? 0 : since);
  return {
    coded: { width: Number(video['frameWidth']), height: Number(video['frameHeight']) },
    desktop,
    // A still picture has no rate.
    fps: Number(video['framesPerSecond'] ?? 0),
    quantizer:
      typeof sum === 'number' ? Math.round((sum - Number(start?.['qpSum'] ?? 0)) / pictures) : null,
    format: formatName(codec?.['mimeType']),
  };
}

/**
 * @param {unknown} mimeType such as `video/H264`
 * @returns {string | null} the format's name for people
 */
function formatName(mimeType) {
  const [, name] = typeof mimeType === 'string' ? mimeType.split('/') : [];
  return name === 'H264' ? 'H.264' : (name ?? null);
}

/**
 * @param {Stats[]} stats of a peer connection
 * @returns {boolean} whether a check without the relay was ever answered
 */
export function directWorks(stats) {
  return stats.some((one) => {
    if (one.type !== 'candidate-pair' || one['state'] !== 'succeeded') return false;
    const local = stats.find((other) => other.id === one['localCandidateId']);
    return local?.['candidateType'] !== 'relay';
  });
}

/**
 * @param {Stats | undefined} local candidate
 * @returns {PathName}
 */
function nameOf(local) {
  if (local?.['candidateType'] !== 'relay') return 'direct UDP';
  const way = local['relayProtocol'];
  return way === 'tcp' || way === 'tls' ? RELAY_NAMES[way] : RELAY_NAMES.udp;
}

/**
 * What an `icecandidateerror` means (RFC 8489, section 14.8, RFC 8656, section 19, and 701, which
 * WebRTC adds for a server that cannot be reached).
 *
 * @param {number} code
 * @param {RelayWay} way
 */
export function errorSentence(code, way) {
  switch (code) {
    case 401:
    case 438:
    case 441:
      return 'The relay does not accept the credentials.';
    case 403:
      return 'The relay forbids it.';
    case 486:
      return 'This viewer has used up its quota at the relay.';
    case 508:
      return 'The relay is full.';
    case 701:
      return UNREACHABLE[way];
    default:
      return `The relay refused with error ${code}.`;
  }
}

/** @type {Record<RelayWay, string>} */
const UNREACHABLE = {
  udp: 'No answer over UDP; a firewall on the way may block it.',
  tcp: 'No connection over TCP; a firewall or proxy on the way may block the port.',
  tls: 'No secure connection; the port may be blocked, or the certificate is not trusted.',
};

/** @param {RelayWay} way */
export function silenceSentence(way) {
  return UNREACHABLE[way];
}

/**
 * The report as lines of text.
 *
 * @param {Report} report
 * @returns {string[]}
 */
export function reportLines({ used, picture, paths }) {
  const first = used === null ? 'Not connected.' : `Connected by ${used.name}${roundTrip(used)}.`;
  const second = picture === null ? [] : [pictureLine(picture)];
  return [first, ...second, ...paths.map(pathLine)];
}

/** @param {UsedPicture} picture */
function pictureLine({ coded, desktop, fps, quantizer, format }) {
  const isWhole = desktop === null || shownSize(coded, desktop) !== desktop;
  const sizes = `${coded.width}×${coded.height}`;
  const size = isWhole ? sizes : `${sizes} instead of ${desktop.width}×${desktop.height}`;
  const coarse = quantizer === null ? '' : `, quantizer ${quantizer}`;
  const how = format === null ? '' : `, ${format}`;
  const moving = fps > 0 ? `${Math.round(fps)} a second` : 'still';
  const reason = isWhole ? '' : ' The network carries no more.';
  return `Picture: ${size}${how}, ${moving}${coarse}.${reason}`;
}

/** @param {UsedPath} used */
function roundTrip({ roundTripMillis }) {
  return roundTripMillis === null ? '' : `, ${roundTripMillis} ms round trip`;
}

/** @param {TriedPath} path */
function pathLine({ name, works, millis, reason }) {
  if (works === null) return `${name}: not tried. ${reason}`.trimEnd();
  if (works) return millis === null ? `${name}: works.` : `${name}: works, ready in ${millis} ms.`;
  return `${name}: does not work. ${reason}`.trimEnd();
}
