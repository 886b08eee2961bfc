// What this browser lacks, said before anything is tried.

const BROWSERS = 'Chrome, Chromium, Edge or Safari';

/** @returns {string | null} what is missing and what to do about it, null when nothing is */
export function findObstacle() {
  if (!('RTCPeerConnection' in window)) {
    return `This browser has no WebRTC, or it is switched off. Use a current ${BROWSERS}.`;
  }
  const video = RTCRtpReceiver.getCapabilities?.('video');
  const hasH264 = video?.codecs.some((codec) => codec.mimeType.toLowerCase() === 'video/h264');
  // Without the list the offer is tried; the desktop refuses one it has no codec for.
  if (video && !hasH264) {
    return `This browser cannot decode H.264 video. Use ${BROWSERS}, or in Firefox switch on the OpenH264 plugin.`;
  }
  return null;
}

/** @returns {'mac' | 'windows' | 'other'} whose habits the keyboard has */
export function keyboardPlatform() {
  const name = navigator.platform.toLowerCase();
  if (/^(mac|iphone|ipad)/.test(name)) return 'mac';
  return name.startsWith('win') ? 'windows' : 'other';
}
