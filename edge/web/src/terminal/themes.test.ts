import { describe, expect, it } from "vitest";

import { terminalTheme, toldTheme } from "./themes";

describe("the theme", () => {
  it.each(["dark", "light"] as const)("that programs are told is the one that is seen: %s", (scheme) => {
    const { foreground, background, cursor } = terminalTheme(scheme);
    const told = Object.values(toldTheme(scheme)).map((colour) => `#${colour.toString(16).padStart(6, "0")}`);
    expect(told).toEqual([foreground, background, cursor]);
  });
});
