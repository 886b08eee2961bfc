// Which lock keys of the viewer's keyboard are on, from what a key event reports.
//
// The desktop makes its own lock keys follow, so that a key types there what it typed here. ScrollLock
// has no state in the desktop's keymaps and is a key like any other.

/**
 * @typedef {{ caps: boolean, num: boolean }} Locks
 * @typedef {'chromeos' | 'mac' | 'windows' | 'other'} Platform whose habits the keyboard has
 * @typedef {{ code: string, key: string, shiftKey: boolean,
 *   getModifierState: (name: string) => boolean }} ReportedKey as a `KeyboardEvent` has it
 */

const LOCK_KEYS = Object.freeze(['CapsLock', 'NumLock']);

/** These have a key between Enter and the digits that is not Num Lock, and digits always. */
const WITHOUT_NUM_LOCK = Object.freeze(['chromeos', 'mac']);

/** The keys of the numeric pad that Num Lock changes. */
const TWOFOLD = /^Numpad([0-9]|Decimal)$/;

/** Names of what those keys do when they type nothing. */
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
 * @returns {Locks | null} null for a lock key itself: on some systems it reports the state before it,
 *   on others the one after it
 */
export function locksOf(event, platform) {
  if (LOCK_KEYS.includes(event.code) || LOCK_KEYS.includes(event.key)) return null;
  return { caps: event.getModifierState('CapsLock'), num: hasNum(event, platform) };
}

/**
 * On the numeric pad what the key typed is the surest word. Windows, for one, takes Shift back before
 * it reports Shift and a digit as an arrow, and does not take Num Lock back.
 *
 * @param {ReportedKey} event
 * @param {Platform} platform
 */
function hasNum(event, platform) {
  if (TWOFOLD.test(event.code)) {
    // The desktop types a digit if one of Num Lock and Shift is on, and moves the cursor if both are.
    if (event.key.length === 1) return !event.shiftKey;
    if (NAVIGATION.includes(event.key)) return event.shiftKey;
  }
  return WITHOUT_NUM_LOCK.includes(platform) || event.getModifierState('NumLock');
}
