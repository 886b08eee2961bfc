// The forms by which somebody logs in: the one that asks for the access token, and where accounts of the machine
// sign in that for their passwords. Also where a browser arrives that was away at an identity provider.

import { parseName, reasonFor } from '../core/provider.js';
import { SignIn, errand } from './sign-in.js';
import { fetchSession, logIn, requestLogin, waysIn } from './server.js';

/** @import { Refusal } from '../core/refusal.js' */
/** @import { Elements } from './elements.js' */

export class Login {
  #elements;
  #loggedIn;
  #signIn;
  /** Why somebody who came back from an identity provider is asked again. */
  #unsaid = '';

  /**
   * @param {Elements} elements
   * @param {() => void} loggedIn
   * @param {AbortSignal} signal
   */
  constructor(elements, loggedIn, signal) {
    this.#elements = elements;
    this.#loggedIn = loggedIn;
    this.#signIn = new SignIn(elements, loggedIn, () => this.#askForToken(''), signal);
    elements.login.addEventListener('submit', (event) => this.#submitted(event), { signal });
  }

  /** Asks for whatever lets somebody in here. */
  ask(error = '') {
    void this.#ask(error);
  }

  /**
   * Goes on with the attempt of a browser that is back from an identity provider.
   * @param {string} query with which it came
   */
  async cameBack(query) {
    const attempt = errand.take();
    if (attempt === null) {
      // Whoever is signed in already sees the desktop.
      this.#unsaid = 'This window has not begun that attempt to sign in, or it is over. Begin again.';
      this.#loggedIn();
      return;
    }
    const outcome = await requestLogin({ attempt, returned: query });
    if (outcome.type === 'ok') this.#signIn.accepted(outcome.said);
    else if (outcome.type === 'asked') this.#signIn.asked(outcome.question);
    else void this.#ask(outcome.reason, (name) => reasonFor(query, outcome, name));
  }

  /**
   * @param {string} error
   * @param {(provider: string) => string} reason the same, when it is known what the provider is called
   */
  async #ask(error, reason = () => error) {
    // A page that was let in from the start has not heard yet how others are.
    if (!waysIn.isKnown) await fetchSession();
    error = reason(parseName(waysIn.provider)) || this.#unsaid;
    this.#unsaid = '';
    if (waysIn.proxy && this.#elements.login.hidden) this.#signIn.askProxy(error);
    else if (waysIn.password && this.#elements.login.hidden) this.#signIn.ask(error);
    else this.#askForToken(error);
  }

  /** @param {string} error */
  #askForToken(error) {
    const { login, loginToken, loginError } = this.#elements;
    loginError.textContent = error;
    if (!login.hidden) return;
    login.hidden = false;
    loginToken.focus();
  }

  /**
   * Asks for another token, or offers to try this one again.
   * @param {string} token
   * @param {Refusal} refusal
   */
  refused(token, refusal) {
    // A token that could not be checked is worth another try, so the form keeps it.
    this.#elements.loginToken.value = refusal.type === 'wrong' ? '' : token;
    this.#signIn.hide();
    this.#askForToken(refusal.reason);
  }

  /** @param {SubmitEvent} event */
  #submitted(event) {
    event.preventDefault();
    void this.#tryToken(tokenOf(this.#elements.loginToken.value));
  }

  /** @param {string} token */
  async #tryToken(token) {
    const { loginToken, loginButton } = this.#elements;
    loginButton.disabled = true;
    const outcome = await logIn(token);
    loginButton.disabled = false;
    if (outcome.type !== 'ok') {
      this.refused(token, outcome);
      return;
    }
    loginToken.value = '';
    this.#loggedIn();
  }
}

/**
 * @param {string} pasted a token, or the whole address that contains it
 * @returns {string}
 */
function tokenOf(pasted) {
  const trimmed = pasted.trim();
  const marker = trimmed.indexOf('#token=');
  return marker === -1 ? trimmed : trimmed.slice(marker + '#token='.length);
}
