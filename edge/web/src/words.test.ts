import { describe, expect, it } from "vitest";

import { isWebLink } from "./terminal/links";
import { cleanPaste, pasteRisk } from "./terminal/paste";
import { bytesText, commandText, commandWords, dateText, displaySafe, latencyText, momentText, spanText } from "./words";

describe("words", () => {
  it("numbers read as people say them", () => {
    expect([1, 999, 1200, 98_765, 1_234_567].map(bytesText)).toEqual(["1 byte", "999 bytes", "1.2 kB", "99 kB", "1.2 MB"]);
    expect([0, 0.34, 12.2, 1300].map(latencyText)).toEqual(["<0.1 ms", "0.3 ms", "12 ms", "1.3 s"]);
    expect([900, 61_000, 3_600_000, 7_500_000, 200_000_000].map(spanText)).toEqual(["0 s", "1 min", "1 h", "2 h 5 min", "2 d"]);
  });

  it("every time is by the hours that the reader's own clocks show, and names another year", () => {
    const then = Date.UTC(2024, 5, 15, 12);
    const halves = new Intl.DateTimeFormat(undefined, { hour: "numeric" }).resolvedOptions().hour12 === true;
    for (const text of [dateText(then), momentText(then, then)]) expect(/[AP]M/u.test(text)).toBe(halves);
    expect(momentText(then, then)).not.toContain("2024");
    expect(momentText(then, Date.UTC(2026, 5, 15, 12))).toContain("2024");
  });

  it("a command line becomes words as a shell reads quotes", () => {
    expect(commandWords(`sh -c 'echo "a b"' x\\ y ""`)).toEqual(["sh", "-c", 'echo "a b"', "x y", ""]);
    expect(commandWords("  ")).toEqual([]);
    expect(commandWords("echo 'open")).toBeUndefined();
    expect(commandText(["sh", "-c", "a b"])).toBe("sh -c 'a b'");
  });

  it("shown text never steers or deceives", () => {
    expect(displaySafe("a\u001b[2J\u202eb")).toBe("a\ufffd[2J\ufffdb");
    expect(displaySafe("🙂🙂🙂", 2)).toBe("🙂🙂");
  });
});

describe("paste", () => {
  it("can never close its brackets or press a key", () => {
    expect(cleanPaste("a\u001b[201~b\u0003c\td\r\ne\u009b1m\u007f")).toBe("a[201~bc\td\r\ne1m");
  });

  it("of several lines asks first unless the program brackets it", () => {
    expect(pasteRisk("one line", false)).toBeUndefined();
    expect(pasteRisk("a\nb\n", false)).toMatchObject({ lines: 2 });
    expect(pasteRisk("a\n", false)).toMatchObject({ lines: 1 });
    expect(pasteRisk("a\nb\n", true)).toBeUndefined();
  });
});

describe("links", () => {
  it("are http and https only, without a name that looks like a host", () => {
    expect(["https://a.b/c", "http://x"].every(isWebLink)).toBe(true);
    expect(["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "https://bank.example@evil.example/", "nonsense"].some(isWebLink)).toBe(false);
  });
});
