import headless from "@xterm/headless";
import type { Terminal as PageTerminal } from "@xterm/xterm";
import { describe, expect, it } from "vitest";

import { CLIPBOARD_BYTES } from "../link/limits";
import { mend } from "./mend.mjs";
import { WholeCharacters } from "./whole";

/** The rows of a terminal of 10 columns and 3 rows after bytes and other sizes. */
async function shown(pieces: (string | Uint8Array | [number, number])[], mended = true): Promise<string[]> {
  const terminal = new headless.Terminal({ cols: 10, rows: 3, allowProposedApi: true });
  if (mended) mend(terminal as unknown as PageTerminal);
  for (const piece of pieces) {
    if (Array.isArray(piece)) terminal.resize(...piece);
    else await new Promise<void>((resolve) => terminal.write(piece, resolve));
  }
  const { active } = terminal.buffer;
  const rows = [0, 1, 2].map((y) => active.getLine(active.baseY + y)?.translateToString(true) ?? "");
  terminal.dispose();
  return rows;
}

describe("xterm.js, mended", () => {
  it.each(["L", "M", "S", "T", "I", "Z"])("a count beyond all reason ends at once: CSI %s", async (final) => {
    const rows = await shown([`one\r\ntwo\r\n\x1b[1;1H\x1b[2147483647${final}`, "\x1b[3;1Hafter"]);
    expect(rows[2]).toBe("after");
  });

  it("a character is repeated, but not without end", async () => {
    expect(await shown(["ab\x1b[3b"])).toEqual(["abbbb", "", ""]);
    expect(await shown(["\x1b[Hz\x1b[2147483647b", "\x1b[2J\x1b[Hafter"])).toEqual(["after", "", ""]);
  });

  it("sane counts do what they say", async () => {
    expect(await shown(["1\r\n2\r\n3\x1b[1;1H\x1b[1L"])).toEqual(["", "1", "2"]);
    expect(await shown(["1\r\n2\r\n3\x1b[1;1H\x1b[2M"])).toEqual(["3", "", ""]);
  });

  it("the screen can be erased up to its last cell", async () => {
    const rows = await shown(["one\x1b[3;10H\x1b[1J", "\x1b[Hafter"]);
    expect(rows[0]).toBe("after");
  });
});

/** What a terminal takes of strings: the data of each OSC 4 and 52 and DCS q, by its length. */
async function taken(...pieces: string[]): Promise<number[]> {
  const terminal = new headless.Terminal({ allowProposedApi: true });
  mend(terminal as unknown as PageTerminal);
  const lengths: number[] = [];
  const take = (data: string): boolean => lengths.push(data.length) > 0;
  for (const number of [4, 52]) terminal.parser.registerOscHandler(number, take);
  terminal.parser.registerDcsHandler({ final: "q" }, take);
  for (const piece of pieces) await new Promise<void>((resolve) => terminal.write(piece, resolve));
  terminal.dispose();
  return lengths;
}

describe("xterm.js, mended: long strings", () => {
  const most = 64 * 1024;

  it.each([["\x1b]4;", "\x07"], ["\x1bPq", "\x1b\\"]])("one of more than 64 KiB has no effect, and the next has: %j", async (start, end) => {
    const string = (text: string): string => start + text + end;
    expect(await taken(string("x".repeat(most)))).toEqual([most]);
    expect(await taken(string("x".repeat(most + 1)), string("y"))).toEqual([1]);
    expect(await taken(start + "x".repeat(most), `x${"x".repeat(most)}`, end, string("y"))).toEqual([1]);
    expect(await taken(string("é".repeat(most / 2)))).toEqual([most / 2]);
    expect(await taken(string("é".repeat(most / 2 + 1)))).toEqual([]);
  });

  it("the clipboard may be longer, as long as it takes", async () => {
    const longest = "c;".length + Math.ceil(CLIPBOARD_BYTES / 3) * 4;
    expect(await taken(`\x1b]52;${"x".repeat(longest)}\x07`)).toEqual([longest]);
    expect(await taken(`\x1b]52;${"x".repeat(longest + 1000)}\x07`)).toEqual([]);
  });
});

describe("xterm.js, mended: what is saved and what is cut", () => {
  it("a saved cursor is a place of the screen, however much scrolls", async () => {
    expect(await shown(["\x1b[2;3H\x1b7\x1b[3;1H\n\n\x1b8x"])).toEqual(["", "  x", ""]);
    expect(await shown(["\x1b[2;3H\x1b7\x1b[3;1H\n\n\x1b[3J\x1b8x"])).toEqual(["", "  x", ""]);
  });

  it("a saved cursor goes with the text when the screen grows", async () => {
    const rows = await shown(["1\r\n2\r\n3\r\n4\x1b7", [10, 2], [10, 3], "\x1b8x"]);
    expect(rows).toEqual(["2", "3", "4x"]);
  });

  it("a character set comes back with the cursor, and stays until another is chosen", async () => {
    expect(await shown(["\x1b(0\x1b7\x1b(B\x1b8q\x0e\x0fq"])).toEqual(["──", "", ""]);
  });

  it("nothing is kept right of the alternate screen, nor above it", async () => {
    expect(await shown(["\x1b[?1049h\x1b[Habcdefgh", [4, 3], [10, 3]])).toEqual(["abcd", "", ""]);
    expect(await shown([[10, 2], "\x1b[?1049h\x1b[H1\r\n2\r\n3", [10, 3]])).toEqual(["2", "3", ""]);
  });

  it("half a wide character is nowhere", async () => {
    expect(await shown(["日\x1b[2G\x1b[@x"])).toEqual([" x", "", ""]);
    expect(await shown(["\x1b[?1049h\x1b[Habc日", [4, 3], "\x1b[4Gx"])).toEqual(["abcx", "", ""]);
    expect(await shown(["\x1b[?7l\x1b[9G日x"])).toEqual(["         x", "", ""]);
  });

  it("DECALN fills the screen, and nothing above it", async () => {
    const full = ["E".repeat(10), "E".repeat(10), "E".repeat(10)];
    expect(await shown(["\x1b[2;3r\x1b[?6h\x1b#8"])).toEqual(full);
  });
});

describe("the sequence of our own", () => {
  it("puts the cursor behind the last column, and nowhere beyond the screen", async () => {
    expect(await shown(["\x1b]7717;c;10;0\x1b\\x"])).toEqual(["", "x", ""]);
    expect(await shown(["a\x1b]7717;c;12;0\x1b\\x"])).toEqual(["ax", "", ""]);
    expect(await shown(["a\x1b]7717;c;0;3\x1b\\x"])).toEqual(["ax", "", ""]);
  });

  it("says that a row goes on in the next, which then grows with it", async () => {
    expect(await shown(["0123456789\r\n\x1b]7717;w\x1b\\ab\r\n", [20, 3]])).toEqual(["0123456789ab", "", ""]);
  });

  it("empties a cell, and all of a wide character", async () => {
    expect(await shown(["abc\x1b[2G\x1b]7717;e\x1b\\"])).toEqual(["a c", "", ""]);
    expect(await shown(["日c\x1b[2G\x1b]7717;e\x1b\\"])).toEqual(["  c", "", ""]);
  });
});

describe("characters in pieces", () => {
  const text = "a…–“é日😀z";

  it("xterm.js alone loses one that is cut", async () => {
    const bytes = new TextEncoder().encode("…x");
    expect((await shown([bytes.slice(0, 2), bytes.slice(2)], false))[0]).not.toBe("…x");
  });

  it("none is lost wherever the output is cut", () => {
    const bytes = new TextEncoder().encode(text);
    for (let size = 1; size <= bytes.length; size += 1) {
      const whole = new WholeCharacters();
      let seen = "";
      for (let at = 0; at < bytes.length; at += size) {
        seen += new TextDecoder("utf-8", { fatal: true }).decode(whole.take(bytes.subarray(at, at + size)));
      }
      expect(seen).toBe(text);
    }
  });

  it("bytes that are no characters are not held for ever", () => {
    const whole = new WholeCharacters();
    expect(whole.take(Uint8Array.of(0x61, 0x80, 0x80, 0x80, 0x80))).toHaveLength(5);
    expect(whole.take(Uint8Array.of(0xe2))).toHaveLength(0);
    expect(whole.take(Uint8Array.of(0x61))).toEqual(Uint8Array.of(0xe2, 0x61));
    whole.take(Uint8Array.of(0xf0, 0x9f));
    whole.clear();
    expect(whole.take(Uint8Array.of(0x62))).toEqual(Uint8Array.of(0x62));
  });
});
