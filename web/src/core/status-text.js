// The text of the status line, which is empty while all is well.

/** @import { Trouble } from './decoding.js' */
/** @import { State } from './session.js' */
/** @import { DesktopState } from './input-codec.js' */

/**
 * @typedef {'retry' | 'startApp'} Offer the action offered to the viewer
 * @typedef {{ text: string, tone: 'quiet' | 'busy' | 'error', action: Offer | null }} Status
 * @typedef {{ reason: string, startable: boolean }} AppEnd how the app has ended
 * @typedef {{ session: State, everStreamed: boolean, desktop: DesktopState, app: AppEnd | null,
 *   endsAt: number | null, pathLost: boolean, trouble: Trouble | null, notice: string, complaint: string,
 *   now: number }} Situation `endsAt`: when the desktop ends, unless somebody acts
 */

/** @type {Status} */
const QUIET = Object.freeze({ text: '', tone: 'quiet', action: null });

const SEEKING = 'Looking for another path…';

/**
 * @param {Situation} situation
 * @returns {Status}
 */
export function describe(situation) {
  const { session, everStreamed, desktop, app, endsAt } = situation;
  const { pathLost, trouble, notice, complaint, now } = situation;
  switch (session.name) {
    case 'idle':
    case 'login':
      return complaint === '' ? QUIET : error(complaint);
    case 'attempting':
      return busy(`${troubleText(trouble)} ${verb(everStreamed)}…`.trimStart());
    case 'waiting':
      return { ...busy(waitingText(session, everStreamed, now)), action: 'retry' };
    case 'failed':
      return { ...error(session.reason), action: 'retry' };
    case 'streaming':
      if (pathLost) return busy(`The connection is interrupted. ${SEEKING}`);
      if (endsAt !== null) return error(endText(endsAt - now));
      if (desktop !== 'running') return describeDesktop(desktop);
      if (app !== null) {
        return { ...error(notice || app.reason), action: app.startable ? 'startApp' : null };
      }
      if (trouble !== null) return busy(`${troubleText(trouble)} ${remedy(trouble)}`.trimEnd());
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
  // Showing short waits would make the line flicker.
  if (seconds <= 1) return `${verb(everStreamed)}…`;
  return `${reason} ${verb(everStreamed)} in ${seconds} s…`.trimStart();
}

/** @param {number} left milliseconds */
function endText(left) {
  const seconds = Math.max(Math.ceil(left / 1000), 0);
  return `Nobody uses this desktop: it ends in ${seconds} s. Press a key or move the pointer to keep it.`;
}

/** @param {boolean} everStreamed */
function verb(everStreamed) {
  return everStreamed ? 'Reconnecting' : 'Connecting';
}

/**
 * @param {Trouble | null} trouble
 * @returns {string} a sentence, or an empty string
 */
export function troubleText(trouble) {
  switch (trouble) {
    case null:
      return '';
    case 'missed':
      return 'A picture is missing.';
    case 'lost':
    case 'astray':
      return 'The picture does not arrive.';
    case 'tooLarge':
      return 'This browser does not decode a picture of this size.';
    case 'undecodable':
      return 'This browser could not decode the picture.';
    case 'unreceived':
      return 'The picture never arrived.';
  }
}

/** @param {Trouble} trouble */
function remedy(trouble) {
  switch (trouble) {
    case 'missed':
    case 'lost':
      return 'Asking for another…';
    case 'astray':
      return SEEKING;
    case 'tooLarge':
      return 'Asking for a smaller one…';
    default:
      return '';
  }
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
