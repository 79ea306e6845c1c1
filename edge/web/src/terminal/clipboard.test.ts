import { describe, expect, it } from "vitest";

import { CLIPBOARD_BYTES } from "../link/limits";
import { clipboardText, ProgramsClipboard, type ClipboardPolicy } from "./clipboard";

const base64 = (text: string | Uint8Array): string => Buffer.from(text).toString("base64");

/** A clipboard that takes a text when it is told to. */
function world(policy: ClipboardPolicy, isInView = true) {
  const asked: string[] = [];
  const writes: { text: string; done: () => void; refuse: () => void }[] = [];
  const clipboard = new ProgramsClipboard({
    policy: () => policy,
    isInView: () => isInView,
    write: (text) => new Promise((resolve, reject) => writes.push({ text, done: resolve, refuse: () => reject(new Error("no click")) })),
    ask: (text) => asked.push(text),
  });
  const written = (): string[] => writes.map(({ text }) => text);
  return { clipboard, asked, writes, written };
}

/** Lets all that was promised happen. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("what a program puts on the clipboard", () => {
  it.each([
    ["c", "hello"],
    ["", "hello"],
    ["s", "größe 端 🙂"],
    ["pc", "two\nlines\tand a tab"],
  ])("selection %j, %j", (selection, text) => {
    expect(clipboardText(`${selection};${base64(text)}`)).toBe(text);
  });

  it("has no control characters but tab and newline", () => {
    expect(clipboardText(`c;${base64("a\x1b[201~b\0c\x7fd\u009be\r\nf\rg\th")}`)).toBe("a[201~bcde\nf\ng\th");
    expect(clipboardText(`c;${base64("\x1b\x07")}`)).toBeUndefined();
  });

  it.each(["c;?", ";?", "c;", "", "c", "c;no base64!", "c;YQ==;YQ==", "0;YQ==", `c;${base64(Uint8Array.of(0xff, 0xfe))}`, `c;${base64(Uint8Array.of(0xe2, 0x82))}`])(
    "%j is nothing to put there",
    (data) => {
      expect(clipboardText(data)).toBeUndefined();
    },
  );

  it("has a largest size", () => {
    expect(clipboardText(`c;${base64("x".repeat(CLIPBOARD_BYTES))}`)).toHaveLength(CLIPBOARD_BYTES);
    expect(clipboardText(`c;${base64("x".repeat(CLIPBOARD_BYTES + 1))}`)).toBeUndefined();
    expect(clipboardText(`c;${base64("x".repeat(CLIPBOARD_BYTES + 3))}`)).toBeUndefined();
  });
});

describe("whether it may", () => {
  const set = `c;${base64("text")}`;

  it("never", () => {
    const { clipboard, asked, writes } = world("never");
    clipboard.set(set);
    expect([asked, writes]).toEqual([[], []]);
  });

  it("ask: the person decides on it", () => {
    const { clipboard, asked, writes } = world("ask");
    clipboard.set(set);
    clipboard.set("c;?");
    clipboard.set("c;no base64!");
    expect([asked, writes]).toEqual([["text"], []]);
  });

  it("always", () => {
    const { clipboard, asked, written } = world("always");
    clipboard.set(set);
    expect([asked, written()]).toEqual([[], ["text"]]);
  });

  it.each(["ask", "always"] as const)("%s: only from the session in view", (policy) => {
    const { clipboard, asked, writes } = world(policy, false);
    clipboard.set(set);
    expect([asked, writes]).toEqual([[], []]);
  });

  it("always, but the browser wants a click: the person decides", async () => {
    const { clipboard, asked, writes } = world("always");
    clipboard.set(set);
    writes[0]?.refuse();
    await settled();
    expect(asked).toEqual(["text"]);
  });

  it("of many at once the first is written, and then the newest", async () => {
    const { clipboard, writes, written } = world("always");
    for (let i = 0; i < 1000; i += 1) clipboard.set(`c;${base64(`text ${i}`)}`);
    expect(written()).toEqual(["text 0"]);
    writes[0]?.done();
    await settled();
    expect(written()).toEqual(["text 0", "text 999"]);
    writes[1]?.done();
    await settled();
    clipboard.set(set);
    expect(written()).toEqual(["text 0", "text 999", "text"]);
  });
});
