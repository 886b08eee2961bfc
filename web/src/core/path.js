// How a lost path to the desktop is found again: a state machine that takes what ICE says and the time,
// and returns what to do.
//
// ICE goes on checking a path that has become silent, and finds it again by itself when the network is
// back. A restart makes both sides look for others as well, because this browser may be in another
// network meanwhile. It is offered at once and repeated now and then; neither costs the connection
// anything. The connection is given up only when the desktop has forgotten it.

/** A restart that was answered, and has led to no path after this many milliseconds, is repeated. */
export const RESTART_PATIENCE = 4000;
/** ICE reports a lost path after a few seconds of silence. The desktop forgets a connection after
 * fifteen; this many milliseconds after the report it has. */
export const PATH_PATIENCE = 15_000;

/**
 * @typedef {{ name: 'found' } | { name: 'sought', since: number, restartAt: number }} State
 * What ICE says of the path, or the page, which gets no pictures over one that ICE finds good.
 * @typedef {{ type: 'lost' } | { type: 'found' } | { type: 'doubted' } | { type: 'tick' }} Event
 * @typedef {'restart' | 'giveUp'} Action
 */

export class Path {
  /** @type {State} */
  #state = { name: 'found' };

  /** Whether a path is sought. */
  get isSought() {
    return this.#state.name === 'sought';
  }

  /** When to send `tick`, null when nothing is waited for. */
  get deadline() {
    if (this.#state.name === 'found') return null;
    return Math.min(this.#state.restartAt, this.#state.since + PATH_PATIENCE);
  }

  /**
   * @param {Event} event
   * @param {number} now milliseconds
   * @returns {Action[]}
   */
  handle(event, now) {
    switch (event.type) {
      case 'lost':
        return this.isSought ? [] : this.#restart(now, now);
      case 'found':
        this.#state = { name: 'found' };
        return [];
      case 'doubted':
        // Whether there is a path, ICE decides.
        return this.isSought ? [] : ['restart'];
      case 'tick':
        return this.#tick(now);
    }
  }

  /**
   * @param {number} now
   * @returns {Action[]}
   */
  #tick(now) {
    const state = this.#state;
    if (state.name === 'found') return [];
    if (now >= state.since + PATH_PATIENCE) {
      this.#state = { name: 'found' };
      return ['giveUp'];
    }
    return now >= state.restartAt ? this.#restart(state.since, now) : [];
  }

  /**
   * @param {number} since
   * @param {number} now
   * @returns {Action[]}
   */
  #restart(since, now) {
    this.#state = { name: 'sought', since, restartAt: now + RESTART_PATIENCE };
    return ['restart'];
  }
}
