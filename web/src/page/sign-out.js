// The sign-out button, shown where somebody has signed in.

import { signOut } from './server.js';

/** @import { Elements } from './elements.js' */

/** @typedef {{ signedOut: () => void, failed: (reason: string) => void }} SignOutHandlers */

export class SignOut {
  #button;
  #handlers;

  /**
   * @param {Elements} elements
   * @param {SignOutHandlers} handlers
   * @param {AbortSignal} signal
   */
  constructor(elements, handlers, signal) {
    this.#button = elements.signOutButton;
    this.#handlers = handlers;
    this.#button.addEventListener('click', () => void this.#signOut(), { signal });
  }

  async #signOut() {
    this.#button.disabled = true;
    const outcome = await signOut();
    this.#button.disabled = false;
    if (outcome.type === 'ok') this.#handlers.signedOut();
    else this.#handlers.failed(`You are still signed in. ${outcome.reason}`);
  }
}
