import headless from "@xterm/headless";
import type { Terminal as PageTerminal } from "@xterm/xterm";
import { describe, expect, it } from "vitest";

import { swallowQueries } from "./queries";

/** Every question that a program may ask a terminal. */
const QUESTIONS = {
  "primary attributes": "\x1b[c",
  "secondary attributes": "\x1b[>c",
  "tertiary attributes": "\x1b[=c",
  status: "\x1b[5n",
  cursor: "\x1b[6n",
  "cursor, private": "\x1b[?6n",
  "ansi mode": "\x1b[4$p",
  "private mode": "\x1b[?2004$p",
  setting: "\x1bP$qm\x1b\\",
  capability: "\x1bP+q544e\x1b\\",
  foreground: "\x1b]10;?\x1b\\",
  background: "\x1b]11;?\x07",
  "cursor colour": "\x1b]12;?\x07",
  palette: "\x1b]4;1;?\x07",
  keyboard: "\x1b[?u",
  version: "\x1b[>q",
};
/** Those that nobody answers. */
const NEVER = {
  title: "\x1b[21t",
  "text size": "\x1b[18t",
  "window size": "\x1b[14t",
  "read clipboard": "\x1b]52;c;?\x07",
  "write clipboard": "\x1b]52;c;ZXZpbA==\x07",
};

async function answers(bytes: string): Promise<string> {
  const terminal = new headless.Terminal({ allowProposedApi: true });
  swallowQueries(terminal as unknown as PageTerminal);
  let answered = "";
  terminal.onData((text) => (answered += text));
  await new Promise<void>((resolve) => terminal.write(bytes, resolve));
  terminal.dispose();
  return answered;
}

interface Colour {
  type: number;
  index: number;
  color?: number[];
}
const REPORT = 0;

/** What the terminal makes of a colour sequence. */
async function colours(bytes: string): Promise<Colour[]> {
  const terminal = new headless.Terminal({ allowProposedApi: true });
  swallowQueries(terminal as unknown as PageTerminal);
  const seen: Colour[] = [];
  const inside = terminal as unknown as { _core: { _inputHandler: { onColor: (listen: (events: Colour[]) => void) => void } } };
  inside._core._inputHandler.onColor((events) => seen.push(...events));
  await new Promise<void>((resolve) => terminal.write(bytes, resolve));
  terminal.dispose();
  return seen;
}

describe("terminal queries", () => {
  it.each(Object.entries({ ...QUESTIONS, ...NEVER }))("%s: the page is silent, the holder answers", async (_, question) => {
    expect(await answers(question)).toBe("");
  });

  it("everything at once types nothing, and colours still work", async () => {
    const all = Object.values({ ...QUESTIONS, ...NEVER }).join("text\r\n");
    expect(await answers(`${all}\x1b]11;#123456\x07`)).toBe("");
  });

  it("colours that are set beside a question are set, and the question is not answered", async () => {
    const set = (index: number, ...color: number[]): Colour => ({ type: 1, index, color });
    expect(await colours("\x1b]4;1;#102030;2;?;3;#405060\x1b\\")).toEqual([set(1, 16, 32, 48), set(3, 64, 80, 96)]);
    expect(await colours("\x1b]10;?;#102030;?\x07")).toEqual([set(257, 16, 32, 48)]);
    expect(await colours("\x1b]11;#102030;?\x07")).toEqual([set(257, 16, 32, 48)]);
    expect(await colours("\x1b]12;#102030;?\x07")).toEqual([set(258, 16, 32, 48)]);
  });

  it.each(["4;1;?", "4;?;?", "4;1;?;2", "10;?;?;?", "11;?;?", "12;?", "4;1;?;1;rgb:f/8/0"])("OSC %s reports nothing", async (osc) => {
    expect((await colours(`\x1b]${osc}\x07`)).filter(({ type }) => type === REPORT)).toEqual([]);
  });
});
