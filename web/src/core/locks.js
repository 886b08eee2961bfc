// Derives from a key event which lock keys of the viewer's keyboard are on.
//
// The desktop's lock keys follow, so that a key types the same there as here. ScrollLock has no state
// in the desktop's keymaps and is a key like any other.

/**
 * @typedef {{ caps: boolean, num: boolean }} Locks
 * @typedef {'chromeos' | 'mac' | 'windows' | 'other'} Platform whose habits the keyboard has
 * @typedef {{ code: string, key: string, shiftKey: boolean,
 *   getModifierState: (name: string) => boolean }} ReportedKey as a `KeyboardEvent` has it
 */

const LOCK_KEYS = Object.freeze(['CapsLock', 'NumLock']);

/** On these, the key between Enter and the digits is not Num Lock, and the pad always types digits. */
const WITHOUT_NUM_LOCK = Object.freeze(['chromeos', 'mac']);

/** The keys of the numeric pad that Num Lock affects. */
const TWOFOLD = /^Numpad([0-9]|Decimal)$/;

/** Names of the actions of those keys when they do not type. */
const NAVIGATION = Object.freeze([
  'ArrowDown',
  'ArrowLeft',
  'ArrowRight',
  'ArrowUp',
  'Clear',
  'Delete',
  'End',
  'Home',
  'Insert',
  'PageDown',
  'PageUp',
]);

/**
 * @param {ReportedKey} event a key that goes down
 * @param {Platform} platform
 * @returns {Locks | null} null for a lock key itself: some systems report the state before it,
 *   on others the one after it
 */
export function locksOf(event, platform) {
  if (LOCK_KEYS.includes(event.code) || LOCK_KEYS.includes(event.key)) return null;
  return { caps: event.getModifierState('CapsLock'), num: hasNum(event, platform) };
}

/**
 * On the numeric pad the typed key is the most reliable evidence. Windows, for example, releases
 * Shift before it reports Shift and a digit as an arrow, but does not reverse Num Lock.
 *
 * @param {ReportedKey} event
 * @param {Platform} platform
 */
function hasNum(event, platform) {
  if (TWOFOLD.test(event.code)) {
    // The desktop types a digit if exactly one of Num Lock and Shift is on.
    if (event.key.length === 1) return !event.shiftKey;
    if (NAVIGATION.includes(event.key)) return event.shiftKey;
  }
  return WITHOUT_NUM_LOCK.includes(platform) || event.getModifierState('NumLock');
}
