import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

import * as limits from "../link/limits";
import { files, FOLDER, Player, type Step } from "./vectors";

const OWN = [
  "AUDIT_EMPTY_PAGES",
  "AUDIT_EXPORT_CHARS",
  "AUDIT_PAGE_ROWS",
  "AUDIT_SHOWN_ROWS",
  "CHALLENGE_FRESH_MS",
  "CLIPBOARD_BYTES",
  "PING_MS",
  "RETRY_AFTER_MS",
  "RETRY_AFTER_RANGE_MS",
  "SILENCE_MS",
  "WATCH_SILENCE_MS",
];

/** A step without what is done in it. */
function expected({ tells, fails, takes, sends, unconfirmed, timeout, writer }: Step): Step {
  const all = { tells, fails, takes, sends, unconfirmed, timeout, writer };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

describe.each(files())("as %s says,", (_, vectors) => {
  it.each(vectors)("$name", (vector) => {
    const player = new Player(vector);
    vector.steps.forEach((step, place) => expect(player.play(step), `step ${place}: ${JSON.stringify(step)}`).toEqual(expected(step)));
  });
});

describe("limits", () => {
  it("are the contract's, but for the page's own", () => {
    const contract = JSON.parse(readFileSync(join(FOLDER, "limits.json"), "utf8")) as Record<string, unknown>;
    const page = Object.fromEntries(Object.entries(limits).filter(([name]) => !OWN.includes(name)));
    expect(page).toEqual(contract);
  });
});
