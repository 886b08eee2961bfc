// The page's entry point: connects at once and gives the viewer its controls.
//
// The modules imported here, directly and indirectly, are exactly those that the first picture needs:
// the build packs them into one file (`rtc-proc/build/parts.rs`), and more would delay the picture. All
// others are imported when they are needed.

import { findElements } from './elements.js';
import { findObstacle } from './peer.js';
import { logIn } from './server.js';
import { Viewer } from './viewer.js';
import { log } from '../util/log.js';

/** @import { Controls } from './controls.js' */
/** @import { Login } from './login.js' */

/** Owns every listener; the page lives as long as its window, so nothing aborts it. */
const { signal } = new AbortController();

const elements = findElements();
const viewer = new Viewer(
  elements,
  {
    loginNeeded: (reason) => void loginForm().then((form) => form?.ask(reason)),
    answered: () => void controls(),
    settled: () => void controls().then((loaded) => loaded?.rescale()),
    heard: (sound) => void controls().then((loaded) => loaded?.heard(sound)),
    disconnected: () => void controls().then((loaded) => loaded?.disconnected()),
    named: (hostname) => void controls().then((loaded) => loaded?.named(hostname)),
    received: (message) => void controls().then((loaded) => loaded?.received(message)),
    transferred: (data) => void controls().then((loaded) => loaded?.transferred(data)),
    transferRoom: () => void controls().then((loaded) => loaded?.transferRoom()),
  },
  signal,
);

/** @type {Promise<Controls | null> | undefined} */
let loadedControls;
/** @type {Promise<Login | null> | undefined} */
let loadedLogin;

/** Callers meanwhile wait for the same controls, in the order of their calls. */
function controls() {
  loadedControls ??= import('./controls.js')
    .then(({ Controls }) => new Controls(elements, viewer, signal))
    .catch((error) => missing('Keyboard, mouse and gamepads', error));
  return loadedControls;
}

function loginForm() {
  loadedLogin ??= import('./login.js')
    .then(({ Login }) => new Login(elements, loggedIn, signal))
    .catch((error) => missing('The form to log in', error));
  return loadedLogin;
}

/**
 * @param {string} what could not be loaded; a browser may not retry
 * @param {unknown} error
 * @returns {null}
 */
function missing(what, error) {
  log('error', 'cannot load a part of the page', { what, error });
  viewer.complain(`${what} could not be loaded. Reload the page.`);
  return null;
}

/**
 * Uses the token in the fragment of the address and removes it from there, so that it does not remain
 * in the history.
 * @returns {boolean} whether there was one
 */
function useFragment() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token === null || token === '') return false;
  history.replaceState(null, '', location.pathname + location.search);
  void enter(token);
  return true;
}

/**
 * Goes on with what an identity provider has sent this browser back with, and removes it from the address.
 * @returns {boolean} whether there was something
 */
function useReturn() {
  const query = location.search.slice(1);
  const told = new URLSearchParams(query);
  if (!told.has('state') || !(told.has('code') || told.has('error'))) return false;
  history.replaceState(null, '', location.pathname + location.hash);
  void loginForm().then((form) => form?.cameBack(query));
  return true;
}

/** @param {string} token */
async function enter(token) {
  const outcome = await logIn(token);
  if (outcome.type !== 'ok') {
    (await loginForm())?.refused(token, outcome);
    return;
  }
  // Whoever enters the address of another desktop in this window wants to see that one.
  if (outcome.elsewhere && !viewer.isIdle) viewer.handle({ type: 'stop' });
  loggedIn();
}

function loggedIn() {
  elements.login.hidden = true;
  elements.signIn.hidden = true;
  viewer.handle({ type: 'start' });
}

function start() {
  const obstacle = findObstacle();
  if (obstacle !== null) viewer.handle({ type: 'impossible', reason: obstacle });
  else if (useFragment() || useReturn()) viewer.prepare();
  else viewer.handle({ type: 'start' });
}

elements.reportButton.addEventListener(
  'click',
  () => void controls().then((loaded) => loaded?.toggleReport()),
  { signal },
);
document.addEventListener('visibilitychange', () => viewer.visibilityChanged(), { signal });
window.addEventListener('online', () => viewer.handle({ type: 'wakeUp' }), { signal });
window.addEventListener('hashchange', () => useFragment(), { signal });
window.addEventListener('pagehide', () => viewer.handle({ type: 'stop' }), { signal });
window.addEventListener(
  'pageshow',
  (event) => {
    if (event.persisted) viewer.handle({ type: 'start' });
  },
  { signal },
);

// For people who examine a connection: `await lumen.report()` in the console.
Object.assign(window, { lumen: { report: async () => (await controls())?.report() } });

start();
