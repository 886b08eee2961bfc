// The sound control in words: what it shows, and what the viewer has chosen.

/**
 * `available`: whether the desktop sends sound; `blocked`: whether the browser refuses to play it before
 * the viewer has clicked or pressed a key.
 * @typedef {{ volume: number, muted: boolean }} SoundChoice
 * @typedef {SoundChoice & { available: boolean, blocked: boolean }} SoundState
 * @typedef {{ visible: boolean, icon: 'on' | 'off' | 'blocked', label: string, notice: string,
 *   level: number }} SoundView
 */

/** @type {SoundChoice} */
export const FIRST_CHOICE = { volume: 1, muted: false };

/**
 * @param {string | null} text that {@link storedChoice} made, or anything
 * @returns {SoundChoice}
 */
export function parseChoice(text) {
  try {
    const { volume, muted } = JSON.parse(text ?? '');
    if (typeof volume !== 'number' || typeof muted !== 'boolean') return FIRST_CHOICE;
    return volume >= 0 && volume <= 1 ? { volume, muted } : FIRST_CHOICE;
  } catch {
    return FIRST_CHOICE;
  }
}

/** @param {SoundChoice} choice */
export function storedChoice({ volume, muted }) {
  return JSON.stringify({ volume, muted });
}

/**
 * The button was pressed. Whoever unmutes wants to hear something.
 * @param {SoundChoice} choice
 * @returns {SoundChoice}
 */
export function toggled({ volume, muted }) {
  const silent = muted || volume === 0;
  return { volume: silent && volume === 0 ? FIRST_CHOICE.volume : volume, muted: !silent };
}

/**
 * The slider was moved.
 * @param {number} percent
 * @returns {SoundChoice}
 */
export function movedTo(percent) {
  const volume = Math.min(Math.max(percent, 0), 100) / 100;
  return { volume, muted: volume === 0 };
}

/**
 * @param {SoundState} state
 * @returns {SoundView}
 */
export function describeSound({ available, blocked, volume, muted }) {
  const silent = muted || volume === 0;
  const level = muted ? 0 : Math.round(volume * 100);
  if (!available) return { visible: false, icon: 'off', label: '', notice: '', level };
  if (silent) return { visible: true, icon: 'off', label: 'Unmute the desktop', notice: '', level };
  if (blocked) {
    const notice = 'The browser blocks sound until you click here or press a key.';
    return { visible: true, icon: 'blocked', label: 'Hear the desktop', notice, level };
  }
  return { visible: true, icon: 'on', label: 'Mute the desktop', notice: '', level };
}
