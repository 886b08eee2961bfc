// Opens Lumen's page in Chromium as a viewer would, and ends well when a picture has been decoded that has
// something on it.
//
//   node look.mjs ADDRESS SCREENSHOT SECONDS

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const [address, screenshot, seconds] = process.argv.slice(2);
/** An empty desktop has a few colours, even with a bar; letters or a wallpaper have many. */
const ENOUGH = 8;

const patience = Number(seconds) * 1000;

const driver = spawn('node', ['driver.mjs', String(patience)], {
  cwd: new URL('../browser/', import.meta.url),
  stdio: ['pipe', 'pipe', 'inherit'],
});
const answers = createInterface({ input: driver.stdout })[Symbol.asyncIterator]();

async function ask(command) {
  driver.stdin.write(`${JSON.stringify(command)}\n`);
  const { value: line, done } = await answers.next();
  if (done) throw new Error('the browser’s driver ended');
  const { value, error } = JSON.parse(line);
  if (error) throw new Error(`${command.do}: ${error}`);
  return value;
}

/** How many colours a grid over the picture finds, once the desktop has come to rest. */
const COLOURS = `(async () => {
  const until = performance.now() + ${patience};
  const colours = new Set();
  while (performance.now() < until) {
    if (lumenTest.frames.length > 0 && lumenTest.quietMillis() > 1000) {
      colours.clear();
      for (let y = 0.5; y < 54; y++)
        for (let x = 0.5; x < 96; x++)
          colours.add(Object.values(lumenTest.colourAt(x / 96, y / 54)).join());
      if (colours.size >= ${ENOUGH}) break;
    }
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
  return { frames: lumenTest.frames.length, colours: colours.size };
})()`;

try {
  await ask({ do: 'launch' });
  const page = await ask({ do: 'open', url: address, width: 1280, height: 720 });
  const seen = await ask({ do: 'evaluate', page, expression: COLOURS });
  await ask({ do: 'screenshot', page, path: screenshot });
  process.stdout.write(`${seen.frames} frames decoded, ${seen.colours} colours\n`);
  if (seen.colours < ENOUGH) {
    const lines = await ask({ do: 'console', page });
    process.stdout.write(`the page says: ${lines.join('\n')}\n`);
    process.exitCode = 1;
  }
} finally {
  driver.stdin.write('{"do":"quit"}\n');
  driver.stdin.end();
}
