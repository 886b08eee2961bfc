// Takes README's picture of the demo desktop: a terminal, the file manager and the open menu.
//
//     node screenshot.mjs ADDRESS FILE
//
// ADDRESS is what `lumen run` printed for a desktop that was just started; nothing else has been done
// in it. It waits for the eye, not for conditions: look at what it made.

import { chromium } from 'playwright-core';

const [address, file] = process.argv.slice(2);
const [width, height] = [1280, 800];
const PAUSE_MS = 2500;

const browser = await chromium.launch({
  executablePath: process.env.LUMEN_TEST_CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless=new', '--disable-gpu', ...(process.getuid() === 0 ? ['--no-sandbox'] : [])],
  ignoreDefaultArgs: ['--headless'],
});
const page = await browser.newPage({ viewport: { width, height } });
const pause = () => page.waitForTimeout(PAUSE_MS);
const click = async (x, y) => {
  await page.mouse.move(x, y);
  await page.mouse.click(x, y, { delay: 50 });
  await pause();
};
const drag = async ([fromX, fromY], [toX, toY]) => {
  await page.mouse.move(fromX, fromY);
  await page.mouse.down();
  await page.mouse.move(toX, toY, { steps: 8 });
  await pause();
  await page.mouse.up();
  await pause();
};

await page.goto(address);
await pause();
await page.keyboard.type('clear; whoami; uname -srm; ls --color /usr\n', { delay: 20 });
await pause();
// The terminal goes to the upper right, the file manager below it, the menu on the left.
await drag([640, 197], [830, 75]);
await click(40, 20);
await page.keyboard.type('thunar file', { delay: 20 });
await pause();
await click(100, 113);
await drag([640, 163], [760, 270]);
await page.keyboard.press('Control+l');
await page.keyboard.type('/usr\n', { delay: 20 });
await pause();
await click(40, 20);
await page.mouse.move(100, 250);
await pause();
await page.screenshot({ path: file });
await browser.close();
