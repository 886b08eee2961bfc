// Where the page starts: connects at once and joins the viewer to its input devices.

import { findElements } from './elements.js';
import { Gamepads } from './gamepads.js';
import { Keyboard } from './keyboard.js';
import { Login } from './login.js';
import { Pointer } from './pointer.js';
import { findObstacle } from './support.js';
import { Viewer } from './viewer.js';

/** Owns every listener; the page lives as long as its window, so nothing aborts it. */
const { signal } = new AbortController();

const elements = findElements();
const viewer = new Viewer(
  elements,
  {
    loginNeeded: () => login.ask(),
    padsAvailable: (available) => gamepads.setAvailable(available),
    padRumbled: (message) => gamepads.rumble(message),
  },
  signal,
);
const login = new Login(elements, () => viewer.handle({ type: 'start' }), signal);
const keyboard = new Keyboard(
  { send: (message) => viewer.send(message), isActive: () => viewer.isStreaming },
  signal,
);
const pointer = new Pointer(
  elements.stage,
  {
    send: (message) => viewer.send(message),
    sendMotion: (message) => viewer.sendMotion(message),
    isActive: () => viewer.isStreaming,
    box: () => viewer.picture.box,
    scale: () => viewer.picture.scale,
    isControlDown: () => keyboard.isDown('ControlLeft') || keyboard.isDown('ControlRight'),
  },
  signal,
);

const gamepads = new Gamepads(
  {
    send: (message) => viewer.sendPad(message),
    isActive: () => viewer.isStreaming,
    notify: (text) => viewer.notify(text),
  },
  signal,
);

/** What is held is let go: the releases happen where this window does not see them. */
function releaseAll() {
  const [keys, buttons] = [keyboard.forget(), pointer.forget()];
  if (keys || buttons) viewer.send({ type: 'releaseAll' });
  gamepads.release();
}

function start() {
  const obstacle = findObstacle();
  if (obstacle !== null) viewer.handle({ type: 'impossible', reason: obstacle });
  else {
    viewer.prepare();
    if (!login.useFragment()) viewer.handle({ type: 'start' });
  }
}

window.addEventListener('blur', releaseAll, { signal });
document.addEventListener(
  'visibilitychange',
  () => {
    if (document.hidden) releaseAll();
    else viewer.handle({ type: 'wakeUp' });
  },
  { signal },
);
window.addEventListener('online', () => viewer.handle({ type: 'wakeUp' }), { signal });
window.addEventListener('hashchange', () => login.useFragment(), { signal });
window.addEventListener('pagehide', () => viewer.handle({ type: 'stop' }), { signal });
window.addEventListener(
  'pageshow',
  (event) => {
    if (event.persisted) viewer.handle({ type: 'start' });
  },
  { signal },
);

// For whoever looks into why a connection is as it is: `await lumen.report()` in the console.
Object.assign(window, { lumen: { report: () => viewer.report() } });

start();
