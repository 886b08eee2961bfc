// The list of sign-ins in the connection report: where else somebody is signed in, each with a button that
// ends it.

import { describeSignIn, parseSignIns } from '../core/sign-ins.js';
import { askSignedIn } from './server.js';

/** @import { SignIn } from '../core/sign-ins.js' */
/** @import { Elements } from './elements.js' */

export class SignIns {
  #elements;
  #failed;

  /**
   * @param {Elements} elements
   * @param {(reason: string) => void} failed
   */
  constructor(elements, failed) {
    this.#elements = elements;
    this.#failed = failed;
  }

  /** Shows the list as it is; none where nobody has to sign in. */
  async refresh() {
    const { signIns, signInsList, signOutButton } = this.#elements;
    signIns.hidden = true;
    if (signOutButton.hidden) return;
    const outcome = await askSignedIn('api/sign-ins');
    if (outcome.type !== 'ok') return;
    const items = parseSignIns(outcome.answer).map((signIn) => this.#item(signIn));
    signInsList.replaceChildren(...items);
    signIns.hidden = items.length === 0;
  }

  /** @param {SignIn} signIn */
  #item(signIn) {
    const item = document.createElement('li');
    const text = document.createElement('span');
    text.textContent = describeSignIn(signIn);
    item.append(text);
    if (signIn.own) return item;
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = 'Sign out';
    button.setAttribute('aria-label', `Sign out: ${text.textContent}`);
    button.addEventListener('click', () => void this.#end(signIn, button));
    item.append(button);
    return item;
  }

  /**
   * @param {SignIn} signIn
   * @param {HTMLButtonElement} button
   */
  async #end(signIn, button) {
    button.disabled = true;
    const outcome = await askSignedIn('api/sign-ins/revoke', { id: signIn.id });
    // One that is not there any more has ended, which is what was wanted.
    if (outcome.type !== 'ok') this.#failed(`That sign-in may not have ended. ${outcome.reason}`);
    await this.refresh();
  }
}
