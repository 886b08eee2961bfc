import js from '@eslint/js';

const BROWSER = [
  'AbortController',
  'AbortSignal',
  'DOMException',
  'DataView',
  'ArrayBuffer',
  'HTMLAudioElement',
  'HTMLButtonElement',
  'HTMLElement',
  'HTMLFormElement',
  'HTMLInputElement',
  'HTMLUListElement',
  'HTMLVideoElement',
  'ImageData',
  'MediaStream',
  'PointerEvent',
  'RTCPeerConnection',
  'RTCRtpReceiver',
  'ResizeObserver',
  'TextDecoder',
  'URL',
  'URLSearchParams',
  'WebSocket',
  'cancelAnimationFrame',
  'clearInterval',
  'clearTimeout',
  'console',
  'document',
  'fetch',
  'history',
  'localStorage',
  'sessionStorage',
  'location',
  'matchMedia',
  'navigator',
  'performance',
  'requestAnimationFrame',
  'setInterval',
  'setTimeout',
  'window',
];
const NODE = [
  'AbortController',
  'Buffer',
  'Event',
  'EventTarget',
  'TextDecoder',
  'TextEncoder',
  'URL',
];
const CORE = ['TextDecoder', 'TextEncoder', 'URLSearchParams'];

/** @param {string[]} names */
const readonly = (names) => Object.fromEntries(names.map((name) => [name, 'readonly']));

export default [
  js.configs.recommended,
  {
    rules: {
      'no-console': 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      eqeqeq: 'error',
      'no-eval': 'error',
      'no-implied-eval': 'error',
      'max-lines-per-function': ['error', { max: 80 }],
      'no-restricted-properties': [
        'error',
        ...['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'write'].map((property) => ({
          property,
          message: 'Text becomes nodes by textContent only.',
        })),
      ],
    },
  },
  // core/ knows no DOM: a browser's global there is an undefined name.
  { files: ['src/core/**'], languageOptions: { globals: readonly(CORE) } },
  { files: ['src/page/**', 'src/util/**'], languageOptions: { globals: readonly(BROWSER) } },
  { files: ['test/**', 'eslint.config.js'], languageOptions: { globals: readonly(NODE) } },
  { files: ['test/**'], rules: { 'max-lines-per-function': 'off' } },
];
