// What the status line says. Nothing while all is well.

/** @import { State } from './session.js' */
/** @import { DesktopState } from './input-codec.js' */

/**
 * @typedef {{ text: string, tone: 'quiet' | 'busy' | 'error', action: 'retry' | null }} Status
 * @typedef {{ session: State, everStreamed: boolean, desktop: DesktopState,
 *   notice: string, complaint: string, now: number }} Situation
 */

/** @type {Status} */
const QUIET = Object.freeze({ text: '', tone: 'quiet', action: null });

/**
 * @param {Situation} situation
 * @returns {Status}
 */
export function describe({ session, everStreamed, desktop, notice, complaint, now }) {
  switch (session.name) {
    case 'idle':
    case 'login':
      return complaint === '' ? QUIET : error(complaint);
    case 'attempting':
      return busy(everStreamed ? 'Reconnecting…' : 'Connecting…');
    case 'waiting':
      return { ...busy(waitingText(session, everStreamed, now)), action: 'retry' };
    case 'failed':
      return { ...error(session.reason), action: 'retry' };
    case 'streaming':
      if (desktop !== 'running') return describeDesktop(desktop);
      return complaint === '' ? { ...QUIET, text: notice } : error(complaint);
  }
}

/**
 * @param {{ until: number, reason: string }} waiting
 * @param {boolean} everStreamed
 * @param {number} now
 */
function waitingText({ until, reason }, everStreamed, now) {
  const seconds = Math.ceil((until - now) / 1000);
  const verb = everStreamed ? 'Reconnecting' : 'Connecting';
  // Short waits would make the line flicker.
  if (seconds <= 1) return `${verb}…`;
  return `${reason} ${verb} in ${seconds} s…`.trimStart();
}

/**
 * @param {Exclude<DesktopState, 'running'>} desktop
 * @returns {Status}
 */
function describeDesktop(desktop) {
  switch (desktop) {
    case 'compositorRestarting':
      return busy('The desktop is restarting…');
    case 'mediaRestarting':
      return busy('The picture is restarting…');
  }
}

/**
 * @param {string} text
 * @returns {Status}
 */
function busy(text) {
  return { text, tone: 'busy', action: null };
}

/**
 * @param {string} text
 * @returns {Status}
 */
function error(text) {
  return { text, tone: 'error', action: null };
}
