import headless from "@xterm/headless";
import type { Terminal as PageTerminal } from "@xterm/xterm";
import { describe, expect, it } from "vitest";

import { mend } from "./mend.mjs";
import { WholeCharacters } from "./whole";

async function shown(pieces: (string | Uint8Array)[], mended = true): Promise<string[]> {
  const terminal = new headless.Terminal({ cols: 10, rows: 3, allowProposedApi: true });
  if (mended) mend(terminal as unknown as PageTerminal);
  for (const piece of pieces) await new Promise<void>((resolve) => terminal.write(piece, resolve));
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
