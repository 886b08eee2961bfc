// The access token: taken from the address, or asked for.

import { logIn } from './server.js';

/** @import { Elements } from './elements.js' */
/** @import { LoginOutcome } from './server.js' */

export class Login {
  #elements;
  #loggedIn;

  /**
   * @param {Elements} elements
   * @param {() => void} loggedIn
   * @param {AbortSignal} signal
   */
  constructor(elements, loggedIn, signal) {
    this.#elements = elements;
    this.#loggedIn = loggedIn;
    elements.login.addEventListener('submit', (event) => this.#submitted(event), { signal });
  }

  /**
   * Uses the token in the address's fragment and takes it out of the address, so that it does not
   * stay in the history.
   * @returns {boolean} whether there was one
   */
  useFragment() {
    const token = new URLSearchParams(location.hash.slice(1)).get('token');
    if (token === null || token === '') return false;
    history.replaceState(null, '', location.pathname + location.search);
    void this.#tryToken(token);
    return true;
  }

  /** Asks for a token. */
  ask(error = '') {
    const { login, loginToken, loginError } = this.#elements;
    loginError.textContent = error;
    if (!login.hidden) return;
    login.hidden = false;
    loginToken.focus();
  }

  /** @param {SubmitEvent} event */
  #submitted(event) {
    event.preventDefault();
    void this.#tryToken(tokenOf(this.#elements.loginToken.value));
  }

  /** @param {string} token */
  async #tryToken(token) {
    const { login, loginToken, loginButton } = this.#elements;
    loginButton.disabled = true;
    const outcome = await logIn(token);
    loginButton.disabled = false;
    if (outcome.type === 'ok') {
      login.hidden = true;
      loginToken.value = '';
      this.#loggedIn();
      return;
    }
    // What could not be judged is worth another try: the form keeps it.
    loginToken.value = outcome.type === 'wrong' ? '' : token;
    this.ask(errorText(outcome));
  }
}

/**
 * @param {string} pasted a token, or the whole address with the token in it
 * @returns {string}
 */
function tokenOf(pasted) {
  const trimmed = pasted.trim();
  const marker = trimmed.indexOf('#token=');
  return marker === -1 ? trimmed : trimmed.slice(marker + '#token='.length);
}

/**
 * @param {LoginOutcome} outcome
 * @returns {string}
 */
function errorText(outcome) {
  switch (outcome.type) {
    case 'ok':
      return '';
    case 'wrong':
      return 'This token is wrong or has expired.';
    case 'tooMany':
      return `Too many attempts. Try again in ${outcome.seconds} s.`;
    case 'unavailable':
      return outcome.reason;
  }
}
