// Says whether a snapshot brings an empty xterm.js to the state that it is
// of. One case in each line of standard input, one answer in each line of
// standard output; `tests/differential` is the other end.
//
// A case: {cols, rows, scrollback, blink, before, snapshot, after}.
// `before` and `after` are lists of operations: base64 text (a write) or
// [cols, rows] (a resize). Terminal A gets `before` and `after`; terminal B,
// of the size at the cut, gets `snapshot` and `after`. They are compared at the cut and at the end. The answer:
// {differences: [at most 10 sentences]}, or {thrown: "by A, so nothing is known"}.
//
// {widths: true} asks for the width of every character instead, as one string of digits.

import { createInterface } from "node:readline";

import { differences } from "./compare.mjs";
import { Terminal, Unicode11Addon } from "./library.mjs";
import { KeyFlags } from "../../../../edge/web/src/terminal/key-flags.mjs";
import { mend } from "../../../../edge/web/src/terminal/mend.mjs";
import { ProgramColours } from "../../../../edge/web/src/terminal/program-colours.mjs";

/** More at once would be cut by xterm.js itself, also within a character. */
const WRITE_LIMIT = 65_536;
const LAST_CHARACTER = 0x10ffff;

/** A terminal with the options of the page (edge/web/src/terminal/screen.ts). */
class Fed {
  #held = Buffer.alloc(0);

  constructor({ cols, rows, scrollback, blink }) {
    this.terminal = new Terminal({
      allowProposedApi: true,
      cols,
      cursorBlink: blink,
      cursorStyle: "bar",
      logLevel: "off",
      rows,
      scrollback,
    });
    mend(this.terminal);
    this.keyFlags = new KeyFlags(this.terminal);
    this.colours = new ProgramColours(this.terminal);
    this.terminal.loadAddon(new Unicode11Addon());
    this.terminal.unicode.activeVersion = "11";
  }

  play(operations) {
    for (const operation of operations) {
      if (typeof operation === "string") this.write(Buffer.from(operation, "base64"));
      else this.terminal.resize(operation[0], operation[1]);
    }
  }

  /** Never ends within a character: the decoder of xterm.js loses some of those, and the page does the same. */
  write(data) {
    const bytes = this.#held.length === 0 ? data : Buffer.concat([this.#held, data]);
    let from = 0;
    while (from < bytes.length) {
      const to = from + wholeCharacters(bytes.subarray(from, from + WRITE_LIMIT));
      if (to === from) break;
      this.terminal._core._inputHandler.parse(bytes.subarray(from, to));
      from = to;
    }
    this.#held = Buffer.from(bytes.subarray(from));
  }

  get held() {
    return this.#held.toString("hex");
  }

  get size() {
    return { cols: this.terminal.cols, rows: this.terminal.rows };
  }

  dispose() {
    this.terminal.dispose();
  }
}

/** The length of `bytes` without an unfinished character at the end. */
function wholeCharacters(bytes) {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back];
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf8 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

function judge(test) {
  const direct = new Fed(test);
  let restored;
  try {
    try {
      direct.play(test.before);
    } catch (error) {
      return { thrown: String(error) };
    }
    restored = new Fed({ ...test, ...direct.size });
    restored.write(Buffer.from(test.snapshot, "base64"));
    const atCut = differences(direct, restored, true);
    if (atCut.length > 0) return { differences: atCut };

    try {
      direct.play(test.after);
    } catch (error) {
      return { thrown: String(error) };
    }
    restored.play(test.after);
    return { differences: differences(direct, restored, false) };
  } catch (error) {
    return { differences: [`B threw: ${String(error)}`] };
  } finally {
    direct.dispose();
    restored?.dispose();
  }
}

function widths() {
  const fed = new Fed({ cols: 2, rows: 1, scrollback: 0, blink: false });
  const unicode = fed.terminal._core.unicodeService;
  let digits = "";
  for (let code = 0; code <= LAST_CHARACTER; code += 1) digits += unicode.wcwidth(code);
  fed.dispose();
  return { widths: digits };
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const asked = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(asked.widths ? widths() : judge(asked))}\n`);
}
