// What an attempt to sign in asks, as the server tells it, and the fields in which a person answers.

/**
 * @typedef {'error' | 'info' | 'secret' | 'visible'} Style
 * @typedef {{ style: Style, text: string }} Prompt
 * @typedef {{ attempt: string, prompts: Prompt[] }} Question
 * @typedef {{ label: string, type: 'password' | 'text',
 *   autocomplete: 'current-password' | 'new-password' | 'one-time-code' | 'off' }} Field
 */

/** As many as the server sends at most. */
const MOST_PROMPTS = 16;
/** @type {readonly unknown[]} */
const STYLES = ['error', 'info', 'secret', 'visible'];

/**
 * @param {unknown} value
 * @returns {Question | null} null if it is none
 */
export function parseQuestion(value) {
  if (typeof value !== 'object' || value === null) return null;
  if (!('attempt' in value) || typeof value.attempt !== 'string') return null;
  if (!('prompts' in value) || !Array.isArray(value.prompts)) return null;
  /** @type {unknown[]} */
  const listed = value.prompts;
  const prompts = listed.filter(isPrompt);
  const legal = prompts.length === listed.length && prompts.length <= MOST_PROMPTS;
  return legal && prompts.some(asks) ? { attempt: value.attempt, prompts } : null;
}

/**
 * What was said when the account was accepted, for example that its password will expire.
 * @param {unknown} value
 * @returns {Prompt[]} empty if that is nothing, or nothing that can be understood
 */
export function parseSaid(value) {
  if (!Array.isArray(value) || value.length > MOST_PROMPTS) return [];
  /** @type {unknown[]} */
  const listed = value;
  const said = listed.filter(isPrompt);
  return said.filter((prompt) => !asks(prompt) && prompt.text.trim() !== '');
}

/**
 * @param {unknown} value
 * @returns {value is Prompt}
 */
function isPrompt(value) {
  if (typeof value !== 'object' || value === null) return false;
  return (
    'style' in value &&
    STYLES.includes(value.style) &&
    'text' in value &&
    typeof value.text === 'string'
  );
}

/**
 * @param {Prompt} prompt
 * @returns {boolean} whether it has an answer
 */
export function asks({ style }) {
  return style === 'secret' || style === 'visible';
}

/**
 * Whether a question is the one that the form has answered beforehand: for the password, and nothing else.
 * @param {Question} question
 */
export function isForPassword({ prompts }) {
  const asked = prompts.filter(asks);
  return asked.length === 1 && asked[0]?.style === 'secret' && !isAboutNew(asked[0].text);
}

/**
 * The field for the answer to a prompt, which password managers recognise. After the password a module that
 * asks for something else wants a code, unless it says that it wants a password.
 * @param {Prompt} prompt
 * @returns {Field}
 */
export function fieldOf({ style, text }) {
  const label = text.trim().replace(/:$/, '');
  const type = style === 'secret' ? 'password' : 'text';
  if (!/pass(word|phrase)/i.test(label)) return { label, type, autocomplete: 'one-time-code' };
  return { label, type, autocomplete: isAboutNew(label) ? 'new-password' : 'current-password' };
}

/** @param {string} text */
function isAboutNew(text) {
  return /\b(new|retype|repeat|again)\b/i.test(text);
}
