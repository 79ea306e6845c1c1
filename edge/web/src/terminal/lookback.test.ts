import headless from "@xterm/headless";
import type { Terminal as PageTerminal } from "@xterm/xterm";
import { beforeEach, describe, expect, it } from "vitest";

import { Lookback } from "./lookback";

let terminal: headless.Terminal;
let lookback: Lookback;
let host: EventTarget;
/** What was told: whether lines are missing, and that somebody looked for them. */
let told: (boolean | "looked")[];

beforeEach(() => {
  terminal = new headless.Terminal({ allowProposedApi: true, rows: 10, cols: 20 });
  told = [];
  lookback = new Lookback(terminal as unknown as PageTerminal, { lacks: (lacks) => told.push(lacks), lookedBack: () => told.push("looked") });
  host = new EventTarget();
  lookback.open(host as HTMLElement);
});

const write = (text: string): Promise<void> => new Promise((resolve) => terminal.write(text, resolve));
const lines = (count: number): string => Array.from({ length: count }, (_, line) => `line ${line}\r\n`).join("");
const back = (): number => terminal.buffer.normal.baseY - terminal.buffer.normal.viewportY;
const wheel = (deltaY: number): boolean => host.dispatchEvent(Object.assign(new Event("wheel"), { deltaY, deltaMode: 0 }));

async function drawAnew(count: number, skipped: boolean): Promise<void> {
  lookback.begin();
  await write(`\x1bc${lines(count)}`);
  lookback.end(skipped);
}

describe("looking back", () => {
  it("stays at the end when it was there", async () => {
    await write(lines(50));
    await drawAnew(80, false);
    expect(back()).toBe(0);
  });

  it("sees the same lines again when a snapshot brings more of them", async () => {
    await write(lines(50));
    terminal.scrollLines(-15);
    await drawAnew(200, false);
    expect(back()).toBe(15);
  });

  it("says that lines are missing only where somebody could look for them", async () => {
    await drawAnew(5, true);
    await write("\x1b[?1049h");
    await write("\x1b[?1049l");
    await drawAnew(50, false);
    expect(told).toEqual([true, false, true, false]);
  });

  it("goes up by what the wheel turned as soon as there are lines", async () => {
    await drawAnew(5, true);
    wheel(-99);
    wheel(99);
    wheel(-99);
    expect(told).toEqual([true, "looked", "looked"]);
    await drawAnew(50, false);
    expect(back()).toBe(6);
  });

  it("is noticed however somebody scrolls up", async () => {
    await drawAnew(5, true);
    await write(lines(20));
    expect(told).not.toContain("looked");
    terminal.scrollLines(-1);
    expect(told).toContain("looked");
  });

  it("leaves the wheel to a program that wants it", async () => {
    await drawAnew(5, true);
    await write("\x1b[?1000h");
    wheel(-99);
    expect(told).toEqual([true]);
  });
});
