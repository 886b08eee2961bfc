// What both drivers are for the Rust tests: one JSON command a line in, one JSON answer a line out.
//
// A command is `{"do": NAME, ...}`; its answer is `{"value": ...}` or `{"error": "..."}`. Commands
// are carried out one after the other.

import { createInterface } from 'node:readline';

async function carryOut(commands, line) {
  const command = JSON.parse(line);
  try {
    const value = await commands[command.do](command);
    // Answers of the browser itself (a response, nothing) are of no use to the tests.
    const plain = command.do === 'goTo' || command.do === 'reload' || command.do === 'screenshot';
    return { value: plain ? null : (value ?? null) };
  } catch (error) {
    return { error: error.message };
  }
}

/** Serves these commands until `quit`, or until nobody can ask any more, and ends browser and process. */
export async function serve(commands) {
  let ends = false;
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await carryOut(commands, line))}\n`);
    ends = JSON.parse(line).do === 'quit';
    if (ends) break;
  }
  if (!ends) await commands.quit();
  process.exit(0);
}
