// Why Firefox finds no path to a desktop on its own machine.
//
// A desktop that only its own machine is to reach has its media socket on loopback. Firefox makes no
// connections there, unless a preference of its own says so, which pages cannot read.

const ADVICE =
  'Firefox makes no connections to its own machine by loopback. Start Lumen with ' +
  '--udp-listen=0.0.0.0, or set media.peerconnection.ice.loopback to true in about:config.';

/**
 * @param {string} answer of the desktop
 * @param {string} userAgent
 * @returns {string | null} what to do if no path is found, null if this is not the reason
 */
export function loopbackAdvice(answer, userAgent) {
  const hosts = [...answer.matchAll(/^a=candidate:\S+ 1 udp \d+ (\S+) \d+ typ host\b/gim)];
  const isLoopback = hosts.length > 0 && hosts.every(([, ip]) => /^(127\.|::1$)/.test(ip ?? ''));
  return isLoopback && userAgent.includes('Firefox/') ? ADVICE : null;
}
