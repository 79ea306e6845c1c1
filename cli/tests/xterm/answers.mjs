// Says what xterm.js answers to output, and what reaches the clipboard. One
// case in each line of standard input, {raw, passed}: output as bytes, each a
// character, and what was left of it; one answer in each line of standard output:
// {raw, passed}, each {told: [what it answered or wrote to a clipboard], shown: the rows and the cursor}.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../../edge/web/package.json", import.meta.url));
const { Terminal } = require("@xterm/headless");

const [COLS, ROWS] = [20, 6];
const REPORTS = ["getWinSizePixels", "getWinPosition", "getCellSizePixels", "getScreenSizePixels", "getWinSizeChars", "getScreenSizeChars", "getWinTitle", "getIconTitle"];

function play(bytes) {
  const terminal = new Terminal({
    allowProposedApi: true,
    cols: COLS,
    rows: ROWS,
    logLevel: "off",
    windowOptions: Object.fromEntries(REPORTS.map((name) => [name, true])),
  });
  const told = [];
  terminal.onData((data) => told.push(data));
  terminal.onBinary((data) => told.push(data));
  const input = terminal._core._inputHandler;
  // The headless build leaves answers about colours and pixels to whoever holds it.
  input.onColor((requests) => told.push(...requests.filter(({ type }) => type === 0).map(({ index }) => `colour ${index}`)));
  input.onRequestWindowsOptionsReport((type) => told.push(`window ${type}`));
  for (const number of [52, 5522]) terminal.parser.registerOscHandler(number, (text) => told.push(`OSC ${number} ${text}`) > 0);
  terminal.parser.registerOscHandler(1337, (text) => text.startsWith("Copy") && told.push(`OSC 1337 ${text}`) > 0);
  terminal.parser.registerDcsHandler({ intermediates: "+", final: "q" }, (text) => told.push(`XTGETTCAP ${text}`) > 0);
  input.parse(Buffer.from(bytes, "latin1"));
  const { active } = terminal.buffer;
  const shown = [`${active.cursorX} ${active.cursorY}`];
  for (let row = 0; row < active.length; row += 1) shown.push(active.getLine(row).translateToString(true));
  terminal.dispose();
  return { told, shown };
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const { raw, passed } = JSON.parse(line);
  process.stdout.write(`${JSON.stringify({ raw: play(raw), passed: play(passed) })}\n`);
}
