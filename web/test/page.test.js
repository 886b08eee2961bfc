import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

const web = new URL('../', import.meta.url);
const page = readFileSync(new URL('index.html', web), 'utf8');
const modules = readdirSync(new URL('src/', web), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.js'))
  .map((name) => `/src/${name}`);

const IMPORTS = /(?:^(?:import|export) [^;]*?from |\bimport\()'([^']+)'/gm;

/** @param {string} module */
function importsOf(module) {
  const source = readFileSync(new URL(`.${module}`, web), 'utf8');
  return [...source.matchAll(IMPORTS)].map(([, target]) => {
    return new URL(target ?? '', new URL(module, 'file:///')).pathname;
  });
}

/**
 * @param {string} module
 * @param {Set<string>} found
 */
function closureOf(module, found = new Set()) {
  if (found.has(module)) return found;
  found.add(module);
  importsOf(module).forEach((target) => closureOf(target, found));
  return found;
}

test('no address of the page begins at the root, which another page of a proxy may have', () => {
  const manifest = readFileSync(new URL('manifest.webmanifest', web), 'utf8');
  assert.doesNotMatch(page, /(?:href|src)="\//);
  assert.doesNotMatch(manifest, /": "\//);
  for (const module of modules) {
    const source = readFileSync(new URL(`.${module}`, web), 'utf8');
    assert.doesNotMatch(source, /(?:fetch|URL|import)\(\s*['"`]\//, module);
  }
});

test('every module is imported by the page, sooner or later', () => {
  assert.deepEqual([...closureOf('/src/page/main.js')].sort(), modules.sort());
});

test('index.html has no inline script or style, which its policy forbids', () => {
  assert.doesNotMatch(page, /<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=/i);
});

test('core/ imports nothing outside core/', () => {
  for (const module of modules.filter((name) => name.startsWith('/src/core/'))) {
    const source = readFileSync(new URL(`.${module}`, web), 'utf8');
    for (const [, target] of source.matchAll(/from '([^']+)'/g)) {
      assert.match(target ?? '', /^\.\/[a-z-]+\.js$/, module);
    }
  }
});
