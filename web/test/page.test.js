import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

const web = new URL('../', import.meta.url);
const page = readFileSync(new URL('index.html', web), 'utf8');
const modules = readdirSync(new URL('src/', web), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.js'))
  .map((name) => `/src/${name}`);

test('index.html preloads every module, so that none waits for another', () => {
  for (const module of modules) assert.ok(page.includes(`"${module}"`), module);
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
