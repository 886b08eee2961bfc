// Modifiers: what an input event reports about them, and the corrections when the held keys disagree.
//
// A release can get lost (through a screenshot, a shortcut of the system, a dialogue), and a key can
// have gone down before the page had the focus. Every keyboard and mouse event reports the active
// modifiers and is believed: held but unreported modifiers are released, reported but not held ones
// are pressed. The exceptions:
// - An event of a modifier's own key says nothing about that modifier, because systems differ in
//   whether they report the state before or after it.
// - A key is a modifier by its effect, and then also by its position. Where the viewer has moved
//   Control to Caps Lock, that key may be held while Control is reported, and no other is pressed for
//   it. If it has another effect (Compose, a fifth level), no report is about it.
// - AltRight is Alt on some layouts and AltGr on others: either report matches it.
// - In some browsers Windows reports AltGr as Control and Alt, too: while AltGr is down, nothing is
//   known about those two.
// - Firefox on macOS reports Option as AltGr, too: that report is ignored.
// - Firefox before 118 reports the logo key as `OS`.

/** @import { Platform } from './locks.js' */

/**
 * @typedef {'alt' | 'altGraph' | 'control' | 'meta' | 'shift'} Modifier
 * @typedef {ReadonlySet<Modifier>} Modifiers
 * @typedef {{ altKey: boolean, ctrlKey: boolean, metaKey: boolean, shiftKey: boolean,
 *   getModifierState: (name: string) => boolean }} ReportingEvent any keyboard or mouse event
 */

/** @type {Readonly<Record<string, readonly Modifier[]>>} */
const BY_CODE = Object.freeze({
  AltLeft: ['alt'],
  AltRight: ['alt', 'altGraph'],
  ControlLeft: ['control'],
  ControlRight: ['control'],
  MetaLeft: ['meta'],
  MetaRight: ['meta'],
  OSLeft: ['meta'],
  OSRight: ['meta'],
  ShiftLeft: ['shift'],
  ShiftRight: ['shift'],
});

/** @type {Readonly<Record<string, Modifier>>} */
const BY_KEY = Object.freeze({
  Alt: 'alt',
  AltGraph: 'altGraph',
  Control: 'control',
  Meta: 'meta',
  OS: 'meta',
  Shift: 'shift',
});

/** The key to press for a modifier whose own key was not seen. @type {Readonly<Record<Modifier, string>>} */
const STAND_IN = Object.freeze({
  alt: 'AltLeft',
  altGraph: 'AltRight',
  control: 'ControlLeft',
  meta: 'MetaLeft',
  shift: 'ShiftLeft',
});

/** @type {Modifiers} */
const NONE = new Set();

/**
 * @param {string} code
 * @param {string} key
 * @returns {Modifiers} the modifiers that the key is; none for an ordinary key
 */
export function modifiersOfKey(code, key) {
  const kind = Object.hasOwn(BY_KEY, key) ? BY_KEY[key] : undefined;
  return kind === undefined ? NONE : new Set([...modifiersOfCode(code), kind]);
}

/**
 * @param {string} code
 * @returns {Modifiers} the modifiers that a key at this position usually is
 */
export function modifiersOfCode(code) {
  return new Set(Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : []);
}

/**
 * @param {ReportingEvent} event
 * @param {Platform} platform
 * @returns {Modifiers}
 */
export function modifiersOf(event, platform) {
  /** @type {Set<Modifier>} */
  const reported = new Set();
  if (event.altKey) reported.add('alt');
  if (event.getModifierState('AltGraph') && platform !== 'mac') reported.add('altGraph');
  if (event.ctrlKey) reported.add('control');
  if (event.metaKey || event.getModifierState('OS')) reported.add('meta');
  if (event.shiftKey) reported.add('shift');
  return reported;
}

/**
 * The changes that make the held keys agree with the report of an event.
 *
 * @param {Modifiers} reported
 * @param {ReadonlyMap<string, Modifiers>} held codes of the held keys, with the modifiers that they are
 * @param {Platform} platform
 * @param {Modifiers} [silent] modifiers about which the event says nothing
 * @returns {{ release: string[], press: string[] }} codes
 */
export function corrections(reported, held, platform, silent = NONE) {
  const unknown = new Set(silent);
  const altGraph = reported.has('altGraph') || (held.has('AltRight') && reported.has('alt'));
  if (platform === 'windows' && altGraph) unknown.add('control').add('alt');
  const release = [...held]
    .filter(([, kinds]) => kinds.size > 0 && !meet(kinds, reported) && !meet(kinds, unknown))
    .map(([code]) => code);
  const kept = [...held].filter(([code]) => !release.includes(code)).map(([, kinds]) => kinds);
  const press = [...reported]
    .filter((modifier) => !unknown.has(modifier) && !kept.some((kinds) => kinds.has(modifier)))
    // Where AltGr is also reported as Alt, one key is enough.
    .filter((modifier) => modifier !== 'alt' || !reported.has('altGraph'))
    .map((modifier) => STAND_IN[modifier]);
  return { release, press };
}

/**
 * @param {Modifiers} some
 * @param {Modifiers} others
 */
function meet(some, others) {
  return [...some].some((modifier) => others.has(modifier));
}
