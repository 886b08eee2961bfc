// The title of the page: that of the desktop's active window, and the name of its machine.

export class Title {
  #window = '';
  #host = '';

  /** @param {string} title of the active window, perhaps empty */
  setWindow(title) {
    this.#window = title;
    this.#show();
  }

  /** @param {string} name */
  setHost(name) {
    this.#host = name;
    this.#show();
  }

  #show() {
    const parts = [this.#window, this.#host].filter((part) => part !== '');
    document.title = parts.length > 0 ? parts.join(' – ') : 'Lumen';
  }
}
