// The form in which an account of the machine signs in: name and password at once, as password managers expect
// it, and then whatever else is asked. Where a proxy says whose the browser is, nothing is asked at first, and the
// form is shown only if that does not do, or after somebody has signed out. Where there is an identity provider, a
// button leads there.

import { asks, fieldOf, isForPassword, parseQuestion, parseSaid } from '../core/sign-in.js';
import { Errand, parseName, parseVisit } from '../core/provider.js';
import { requestLogin, waysIn } from './server.js';

/** @import { Prompt, Question } from '../core/sign-in.js' */
/** @import { Elements } from './elements.js' */

/** How long the page does not sign in by itself again, in milliseconds. */
const PAUSE = 10_000;

/** The attempt of this window whose browser is away at an identity provider. */
export const errand = new Errand(new URL('.', document.baseURI).pathname, () => sessionStorage);

export class SignIn {
  #elements;
  #loggedIn;
  /** @type {Question | null} */
  #question = null;
  /** Whether somebody is signed in already, and reads what the machine says to that. */
  #isRead = false;
  /** Whether a proxy says whose the browser is. */
  #byProxy = false;
  /** When the page last tried that by itself. */
  #triedAt = -Infinity;

  /**
   * @param {Elements} elements
   * @param {() => void} loggedIn
   * @param {() => void} askForToken
   * @param {AbortSignal} signal
   */
  constructor(elements, loggedIn, askForToken, signal) {
    this.#elements = elements;
    this.#loggedIn = loggedIn;
    elements.signIn.addEventListener('submit', (event) => this.#submitted(event), { signal });
    const byProvider = () => void this.#leave();
    elements.signInProviderButton.addEventListener('click', byProvider, { signal });
    const byToken = () => {
      this.hide();
      askForToken();
    };
    elements.signInTokenButton.addEventListener('click', byToken, { signal });
  }

  /** @param {string} error why it is shown again, if there is a reason */
  ask(error) {
    this.#byProxy = false;
    this.#open(error);
  }

  /** @param {string} error */
  #open(error) {
    const { signIn, signInError } = this.#elements;
    this.#startAnew();
    signInError.textContent = error;
    if (!signIn.hidden) return;
    signIn.hidden = false;
    this.#focus();
  }

  /**
   * The same where a proxy says whose the browser is. The page signs in by itself, unless it has just done so to no
   * avail; whoever has signed out says when to sign in again.
   * @param {string} error
   */
  askProxy(error) {
    this.#byProxy = true;
    const now = performance.now();
    if (error === '' && now - this.#triedAt > PAUSE) {
      this.#triedAt = now;
      void this.#continue();
      return;
    }
    this.#open(error);
  }

  hide() {
    this.#elements.signIn.hidden = true;
    this.#startAnew();
  }

  /** Forgets what was asked, and whatever was typed but the name. */
  #startAnew() {
    const { signInAccount, signInPassword, signInQuestions, signInButton } = this.#elements;
    if (this.#question !== null) void requestLogin({ attempt: this.#question.attempt });
    this.#question = null;
    signInPassword.value = '';
    signInQuestions.replaceChildren();
    signInAccount.hidden = this.#byProxy;
    // What is hidden must not keep the form from being sent.
    this.#elements.signInName.required = !this.#byProxy;
    this.#isRead = false;
    signInButton.textContent = 'Sign in';
    this.#offerProvider();
  }

  #offerProvider() {
    const { signInProviderButton, signInHint } = this.#elements;
    const name = parseName(waysIn.provider);
    signInHint.textContent = `${name === '' ? 'With' : 'Or with'} your account on this machine.`;
    signInProviderButton.textContent = `Sign in with ${name}`;
    signInProviderButton.hidden = name === '';
    signInProviderButton.disabled = false;
  }

  /** Goes to the identity provider, from which the browser comes back to another load of this page. */
  async #leave() {
    const { signInProviderButton, signInError } = this.#elements;
    signInProviderButton.disabled = true;
    signInError.textContent = '';
    const outcome = await requestLogin({ provider: true });
    const visit = outcome.type === 'asked' ? parseVisit(outcome.question) : null;
    if (visit !== null && errand.keep(visit.attempt)) {
      location.assign(visit.url);
      return;
    }
    signInProviderButton.disabled = false;
    if (visit !== null) {
      void requestLogin({ attempt: visit.attempt });
      signInError.textContent = 'This browser stores nothing, so it could not come back from there.';
    } else if (outcome.type === 'asked' || outcome.type === 'ok') {
      signInError.textContent = 'The server answers something that this page does not understand.';
    } else {
      signInError.textContent = outcome.reason;
    }
  }

  #focus() {
    const { signInButton, signInName, signInPassword, signInQuestions } = this.#elements;
    const first = signInQuestions.querySelector('input');
    if (first !== null) first.focus();
    else if (this.#byProxy) signInButton.focus();
    else if (signInName.value === '') signInName.focus();
    else signInPassword.focus();
  }

  /** @param {SubmitEvent} event */
  #submitted(event) {
    event.preventDefault();
    if (this.#isRead) this.#enter();
    else void this.#continue();
  }

  async #continue() {
    const { signInButton, signInError } = this.#elements;
    signInButton.disabled = true;
    signInError.textContent = '';
    const outcome = await (this.#question === null ? this.#begin() : this.#answer(this.#question));
    signInButton.disabled = false;
    if (outcome.type === 'ok') {
      this.accepted(outcome.said);
    } else if (outcome.type === 'asked') {
      this.asked(outcome.question);
    } else {
      // The attempt is over, whatever the reason.
      this.#question = null;
      this.#open(outcome.reason);
      this.#focus();
    }
  }

  /**
   * Somebody is signed in.
   * @param {unknown} told what the machine says to that
   */
  accepted(told) {
    this.#question = null;
    const said = parseSaid(told);
    if (said.length > 0) this.#tell(said);
    else this.#enter();
  }

  #enter() {
    this.hide();
    this.#loggedIn();
  }

  /**
   * Shows what the machine says to somebody who is signed in, until it has been read.
   * @param {Prompt[]} said
   */
  #tell(said) {
    const { signInAccount, signInPassword, signInQuestions, signInButton } = this.#elements;
    signInPassword.value = '';
    signInAccount.hidden = true;
    signInQuestions.replaceChildren(...said.flatMap(({ text }) => message(text)));
    this.#elements.signInProviderButton.hidden = true;
    this.#elements.signIn.hidden = false;
    this.#isRead = true;
    signInButton.textContent = 'Continue';
    signInButton.focus();
  }

  /** Sends the name, and the password if that is all that is asked. */
  async #begin() {
    if (this.#byProxy) return await requestLogin({ proxy: true });
    const { signInName, signInPassword } = this.#elements;
    const outcome = await requestLogin({ account: signInName.value.trim() });
    const question = outcome.type === 'asked' ? parseQuestion(outcome.question) : null;
    if (question === null || !isForPassword(question)) return outcome;
    const { attempt } = question;
    return await requestLogin({ attempt, answers: [signInPassword.value] });
  }

  /** @param {Question} question */
  #answer({ attempt }) {
    const inputs = [...this.#elements.signInQuestions.querySelectorAll('input')];
    return requestLogin({ attempt, answers: inputs.map(({ value }) => value) });
  }

  /**
   * Something more is asked.
   * @param {unknown} told
   */
  asked(told) {
    const { signInAccount, signInPassword, signInQuestions, signInError } = this.#elements;
    const question = parseQuestion(told);
    if (question === null) {
      signInError.textContent = 'The server asks something that this page does not understand.';
      return;
    }
    this.#question = question;
    signInPassword.value = '';
    signInAccount.hidden = true;
    const parts = question.prompts.map((prompt, number) => {
      return asks(prompt) ? questionField(prompt, number) : message(prompt.text);
    });
    signInQuestions.replaceChildren(...parts.flat());
    this.#elements.signInProviderButton.hidden = true;
    this.#elements.signIn.hidden = false;
    this.#focus();
  }
}

/**
 * @param {import('../core/sign-in.js').Prompt} prompt
 * @param {number} number
 */
function questionField(prompt, number) {
  const { label, type, autocomplete } = fieldOf(prompt);
  const input = document.createElement('input');
  const id = `sign-in-answer-${number}`;
  Object.assign(input, { id, type, autocomplete, maxLength: 256, spellcheck: false });
  const named = document.createElement('label');
  named.htmlFor = id;
  named.textContent = label;
  return [named, input];
}

/** @param {string} text */
function message(text) {
  const paragraph = document.createElement('p');
  paragraph.textContent = text.trim();
  return [paragraph];
}
