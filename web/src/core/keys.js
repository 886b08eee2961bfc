// What this page is recognised by, and where it is kept.
//
// A browser may be signed in to several desktops of one address, each in windows of its own. The key of
// each desktop is kept for all windows, which share a login; which desktop a window shows is kept for that
// window, so that a reload or a lost connection never leads it to another desktop. A window without one
// shows the desktop that was signed in to last.

/** @typedef {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>} Store */

export class Keys {
  #path;
  #window;
  #browser;
  /** The desktop of this window. @type {string | null} */
  #desktop = null;
  /** Its key, for a browser that keeps nothing: the login lasts as long as the page. */
  #key = '';

  /**
   * @param {string} path of the page: desktops under several paths of one origin have keys of their own
   * @param {() => Store} window throws where the browser forbids storage
   * @param {() => Store} browser as `window`
   */
  constructor(path, window, browser) {
    this.#path = path;
    this.#window = window;
    this.#browser = browser;
  }

  /** The number of this window's desktop; null if nobody has signed in. */
  get desktop() {
    this.#desktop ??= read(this.#window, this.#place) ?? this.#last();
    return this.#desktop;
  }

  /** Empty for none. Read anew each time: another window may have signed in meanwhile. */
  get current() {
    const { desktop } = this;
    if (desktop === null) return '';
    return read(this.#browser, this.#placeOf(desktop)) ?? this.#key;
  }

  /**
   * @param {string} key begins with the number of its desktop
   * @returns {boolean} whether it outlives the page
   */
  keep(key) {
    const [desktop = ''] = key.split('.', 1);
    this.#desktop = desktop;
    this.#key = key;
    write(this.#window, this.#place, desktop);
    write(this.#browser, this.#place, desktop);
    return write(this.#browser, this.#placeOf(desktop), key);
  }

  /** Forgets the key of this window's desktop, in every window. */
  forget() {
    this.#key = '';
    if (this.desktop !== null) remove(this.#browser, this.#placeOf(this.desktop));
  }

  #last() {
    const last = read(this.#browser, this.#place);
    if (last !== null) write(this.#window, this.#place, last);
    return last;
  }

  get #place() {
    return `lumen-desktop ${this.#path}`;
  }

  /** @param {string} desktop */
  #placeOf(desktop) {
    return `lumen-key ${this.#path} ${desktop}`;
  }
}

/**
 * @param {() => Store} store
 * @param {string} place
 */
function read(store, place) {
  try {
    return store().getItem(place);
  } catch {
    return null;
  }
}

/**
 * @param {() => Store} store
 * @param {string} place
 * @param {string} text
 * @returns {boolean} whether it is kept
 */
function write(store, place, text) {
  try {
    store().setItem(place, text);
    return true;
  } catch {
    // What was there before must not stand for what is not kept.
    remove(store, place);
    return false;
  }
}

/**
 * @param {() => Store} store
 * @param {string} place
 */
function remove(store, place) {
  try {
    store().removeItem(place);
  } catch {
    // Nothing can be there.
  }
}
