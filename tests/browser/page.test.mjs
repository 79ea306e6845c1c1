// What a person does with the page, in a real browser, against the real chain.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { PICTURES, browser, enter, id, newSession, screen, shows, signIn, start } from "./installation.mjs";

let installation;
let chromium;
let context;
let page;
let faults;

before(async () => {
  [installation, chromium] = await Promise.all([start(), browser()]);
});

after(async () => {
  await chromium?.close();
  await installation?.stop();
});

beforeEach(async () => {
  context = await chromium.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "dark" });
  page = await context.newPage();
  faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) faults.push(message.text());
  });
  const url = (await installation.cli("login-url")).trim();
  await signIn(page, url);
});

afterEach(async () => {
  await context.close();
  assert.deepEqual(faults, [], "the page has no fault of its own");
});

test("a shell runs what is typed, and the secret of the URL is gone from it", async () => {
  assert.equal(new URL(page.url()).hash, "");
  await newSession(page, { name: "hello" });
  await enter(page, "echo sum=$((40 + 2))");
  await shows(page, "sum=42");
  await page.screenshot({ path: join(PICTURES, "page-dark.png") });
});

test("a sign-in URL works once", async () => {
  const url = (await installation.cli("login-url")).trim();
  const [first, second] = await Promise.all([chromium.newContext(), chromium.newContext()]);
  await signIn(await first.newPage(), url);
  const late = await second.newPage();
  await late.goto(url);
  await late.locator(`${id("sign-in-state")}[data-state="signed-out"]`).waitFor();
  await Promise.all([first.close(), second.close()]);
});

test("after a reload the same shell is there with all that it printed", async () => {
  await newSession(page, { name: "reload" });
  await enter(page, "kept=still-here; echo before-reload");
  await shows(page, /^before-reload$/m);
  await page.reload();
  await shows(page, /^before-reload$/m);
  await enter(page, "echo $kept");
  await shows(page, /^still-here$/m);
});

test("a full-screen program fills the screen, follows its size, and leaves no trace", async () => {
  await newSession(page, { name: "full" });
  await enter(page, "seq 1 200 > many; echo mar''ker; less many");
  const before = (await shows(page, /^1\n2\n3$/m)).split("\n").length;
  await page.setViewportSize({ width: 900, height: 500 });
  await page.waitForFunction(
    ([selector, rows]) => document.querySelectorAll(selector).length < rows,
    [`${id("pane")}[data-active="true"] .xterm-rows > div`, before],
  );
  await shows(page, /many|:/);
  await page.keyboard.press("q");
  await shows(page, /^marker$/m);
  await enter(page, "stty size");
  const size = /^(\d+) (\d+)$/m.exec(await shows(page, /^\d+ \d+$/m));
  const rows = (await screen(page)).split("\n").length;
  assert.equal(Number(size[1]), rows, "the shell knows the size that the page shows");
});

test("a second window looks on, and types after it took over", async () => {
  await newSession(page, { name: "shared" });
  await enter(page, "echo first-window");
  await shows(page, /^first-window$/m);
  const second = await context.newPage();
  await second.goto(installation.origin);
  await second.locator(id("session")).filter({ hasText: "shared" }).first().click();
  await shows(second, /^first-window$/m);
  await second.locator(id("take-over")).waitFor();
  await second.locator(id("take-over")).click();
  await second.locator(id("you-type")).waitFor();
  await enter(second, "echo second-window");
  await shows(page, /^second-window$/m);
  await page.locator(id("read-only")).waitFor();
});

test("a session is renamed and ended from the page", async () => {
  await newSession(page, { name: "old-name" });
  const row = page.locator(id("session")).filter({ hasText: "old-name" });
  await row.hover();
  await row.locator(id("rename")).click();
  await page.locator(id("rename-field")).fill("new-name");
  await page.keyboard.press("Enter");
  const renamed = page.locator(id("session")).filter({ hasText: "new-name" });
  await renamed.waitFor();
  await page.locator(id("tab")).filter({ hasText: "new-name" }).waitFor();
  await renamed.hover();
  await renamed.locator(id("end")).click();
  await page.locator(id("end-confirm")).click();
  await page.locator(id("exited")).waitFor();
});

test("what is pasted arrives as it was, and what is selected is copied", async () => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: installation.origin });
  await newSession(page, { name: "clipboard", command: "cat" });
  await page.evaluate(() => navigator.clipboard.writeText("pasted-text"));
  await page.locator(`${id("pane")}[data-active="true"] .xterm-helper-textarea`).focus();
  await page.keyboard.press("Control+Shift+V");
  await page.keyboard.press("Enter");
  await shows(page, /^pasted-text\npasted-text$/m);
  const line = await page.locator(`${id("pane")}[data-active="true"] .xterm-rows > div`).nth(1).boundingBox();
  await page.mouse.dblclick(line.x + 20, line.y + line.height / 2);
  await page.evaluate(() => navigator.clipboard.writeText(""));
  await page.keyboard.press("Control+Shift+C");
  await page.waitForFunction(async () => (await navigator.clipboard.readText()).startsWith("pasted"));
});

test("a hostile program can neither type, nor script the page, nor set the clipboard", async () => {
  await newSession(page, { name: "hostile", command: "cat -v" });
  await newSession(page, { name: "attack" });
  const attack = [
    "\\033]0;<img src=x onerror=alert(1)>\\007",
    "\\033]52;c;ZXZpbA==\\007",
    "\\033]8;;javascript:alert(1)\\033\\\\click\\033]8;;\\033\\\\",
  ].join("");
  await enter(page, `printf '${attack}'; echo do''ne`);
  await shows(page, /done$/m);
  assert.equal(await page.locator("img[src=x]").count(), 0);
});

test("over the sudden death of each part the page says what is down, keeps what is typed, and comes back", async () => {
  await newSession(page, { name: "broken" });
  await enter(page, "echo be''fore");
  await shows(page, /^before$/m);
  for (const role of ["edge", "core", "gateway"]) {
    const down = page.locator(`${id("status")}:not([data-down=""])`).waitFor();
    await installation.kill(role);
    await down;
    await enter(page, `echo aft''er-${role}`);
    const text = await shows(page, new RegExp(`^after-${role}$`, "m"));
    assert.equal(text.split(`\nafter-${role}\n`).length, 2, "typed once");
  }
});

test("the page is usable on a phone and in light colours", async () => {
  const phone = await chromium.newContext({
    viewport: { width: 390, height: 800 },
    colorScheme: "light",
    hasTouch: true,
    isMobile: true,
  });
  const small = await phone.newPage();
  await signIn(small, (await installation.cli("login-url")).trim());
  await small.screenshot({ path: join(PICTURES, "page-phone.png") });
  await small.locator(id("list-toggle")).click();
  await small.locator(id("session")).filter({ hasText: "hello" }).first().click();
  await small.locator(id("key-row")).waitFor();
  await small.screenshot({ path: join(PICTURES, "page-phone-terminal.png") });
  await phone.close();
});
