// The parts of index.html that the page's modules work on.

/**
 * @template {HTMLElement} T
 * @param {string} selector
 * @param {new () => T} type
 * @returns {T}
 */
function required(selector, type) {
  const element = document.querySelector(selector);
  if (element instanceof type) return element;
  throw new Error(`The page has no ${selector}.`);
}

export function findElements() {
  return {
    root: document.documentElement,
    stage: required('#stage', HTMLElement),
    microphoneButton: required('#microphone-button', HTMLButtonElement),
    microphoneControl: required('#microphone-control', HTMLElement),
    microphoneSign: required('#microphone-sign', HTMLElement),
    pictures: /** @type {const} */ ([
      required('video:nth-of-type(1)', HTMLVideoElement),
      required('video:nth-of-type(2)', HTMLVideoElement),
    ]),
    login: required('#login', HTMLFormElement),
    loginToken: required('#login-token', HTMLInputElement),
    loginError: required('#login-error', HTMLElement),
    loginButton: required('#login button', HTMLButtonElement),
    signIn: required('#sign-in', HTMLFormElement),
    signInAccount: required('#sign-in-account', HTMLElement),
    signInName: required('#sign-in-name', HTMLInputElement),
    signInPassword: required('#sign-in-password', HTMLInputElement),
    signInQuestions: required('#sign-in-questions', HTMLElement),
    signInError: required('#sign-in-error', HTMLElement),
    signInButton: required('#sign-in button[type="submit"]', HTMLButtonElement),
    signInProviderButton: required('#sign-in-provider', HTMLButtonElement),
    signInHint: required('#sign-in-hint', HTMLElement),
    signInTokenButton: required('#sign-in-token', HTMLButtonElement),
    report: required('#report', HTMLElement),
    reportButton: required('#report-button', HTMLButtonElement),
    reportLines: required('#report ul', HTMLUListElement),
    signIns: required('#sign-ins', HTMLElement),
    signInsList: required('#sign-ins ul', HTMLUListElement),
    signOutButton: required('#sign-out', HTMLButtonElement),
    sound: required('#sound', HTMLAudioElement),
    soundButton: required('#sound-button', HTMLButtonElement),
    soundControl: required('#sound-control', HTMLElement),
    soundNotice: required('#sound-notice', HTMLButtonElement),
    soundVolume: required('#sound-volume', HTMLInputElement),
    status: required('#status', HTMLElement),
    statusText: required('#status-text', HTMLElement),
    statusAction: required('#status-action', HTMLButtonElement),
  };
}

/** @typedef {ReturnType<typeof findElements>} Elements */
