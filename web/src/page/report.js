// The connection report: made on request, shown in a small panel.

import { directWorks, reportLines, usedPath, usedPicture } from '../core/report.js';
import { log } from '../util/log.js';
import { probe } from './probe.js';

/** @import { Size } from '../core/letterbox.js' */
/** @import { RelayServer } from '../core/relay.js' */
/** @import { Report, Stats, TriedPath } from '../core/report.js' */
/** @import { Elements } from './elements.js' */
/** @import { SignIns } from './sign-ins.js' */

/**
 * @typedef {{ stats: () => Promise<Stats[]>, readonly relayOnly: boolean,
 *   readonly picture: { readonly desktop: Size | null },
 *   askRelay: () => Promise<RelayServer | null> }} ReportSources
 */

/** Most transports that are tested; no server names more. */
const MAX_WAYS = 6;

export class ReportPanel {
  #elements;
  #sources;
  #signIns;
  /** @type {Promise<Report> | null} */
  #pending = null;

  /**
   * @param {Elements} elements
   * @param {ReportSources} sources
   * @param {SignIns} signIns
   */
  constructor(elements, sources, signIns) {
    this.#elements = elements;
    this.#sources = sources;
    this.#signIns = signIns;
  }

  /** Tests all paths; concurrent callers get the same report. */
  make() {
    this.#pending ??= this.#make().finally(() => {
      this.#pending = null;
    });
    return this.#pending;
  }

  async toggle() {
    const { report } = this.#elements;
    report.hidden = !report.hidden;
    if (report.hidden) return;
    this.#show(['Testing every path…']);
    void this.#signIns.refresh();
    try {
      this.#show(reportLines(await this.make()));
    } catch (error) {
      log('warn', 'cannot make the connection report', { error });
      this.#show(['The paths could not be tested.']);
    }
  }

  /** @param {string[]} lines */
  #show(lines) {
    const items = lines.map((line) => {
      const item = document.createElement('li');
      item.textContent = line;
      return item;
    });
    this.#elements.reportLines.replaceChildren(...items);
  }

  /** @returns {Promise<Report>} */
  async #make() {
    const stats = await this.#sources.stats();
    const used = usedPath(stats);
    const paths = [this.#direct(stats)];
    // Each transport is tested with its own credentials, because credentials allow only one
    // allocation.
    for (let way = 0; way < MAX_WAYS; way += 1) {
      const relay = await this.#sources.askRelay();
      const url = relay?.urls[way];
      if (relay === null || url === undefined) break;
      paths.push(await probe({ ...relay, urls: [url] }));
    }
    const { desktop } = this.#sources.picture;
    const picture = usedPicture(stats, await this.#sources.stats(), desktop);
    return { used, picture, paths };
  }

  /**
   * @param {Stats[]} stats
   * @returns {TriedPath}
   */
  #direct(stats) {
    const path = { name: /** @type {const} */ ('direct UDP'), url: null, millis: null };
    if (directWorks(stats)) return { ...path, works: true, reason: '' };
    if (this.#sources.relayOnly) {
      return { ...path, works: null, reason: 'This page was opened to use only the relay.' };
    }
    const reason = 'The desktop did not answer over UDP; a firewall or NAT is in between.';
    return { ...path, works: false, reason };
  }
}
