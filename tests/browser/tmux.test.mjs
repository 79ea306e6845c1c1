// A session of the machine's own tmux, opened from the page.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { browser, enter, id, shows, signIn, start } from "./installation.mjs";

test("a session of the machine's tmux is offered, opened and typed into, and stays when it is left", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ccb"));
  process.env.TMUX_TMPDIR = folder;
  const tmux = (...args) => execFileSync("tmux", args, { encoding: "utf8" });
  tmux("-f", "/dev/null", "new-session", "-d", "-s", "long-work", "-x", "80", "-y", "24", "PS1='in-tmux> ' bash --norc -i");
  const [installation, chromium] = await Promise.all([start(folder), browser()]);
  try {
    const page = await chromium.newPage();
    await signIn(page, (await installation.cli("login-url")).trim());
    await page.locator(id("new-session")).first().click();
    const offer = page.locator(id("open-tmux"));
    await offer.waitFor();
    assert.match(await offer.innerText(), /long-work\s+1 window/u);
    await offer.click();
    await shows(page, /^in-tmux>/m);
    await enter(page, "echo sum=$((40 + 2))");
    await shows(page, /^sum=42$/m);
    assert.match(tmux("capture-pane", "-p", "-t", "long-work"), /^sum=42$/mu);
    await page.keyboard.press("Control+b");
    await page.keyboard.press("d");
    await shows(page, /detached/u);
    assert.match(tmux("list-sessions"), /^long-work:/mu);
  } finally {
    execFileSync("tmux", ["kill-server"]);
    await chromium.close();
    await installation.stop();
  }
});
