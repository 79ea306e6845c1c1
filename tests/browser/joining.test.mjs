// A machine that joins, as the page shows it: added there, and where a person has to let it in.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";

import { PICTURES, PROGRAM, browser, id, signIn, start } from "./installation.mjs";

let installation;
let chromium;
const children = [];

before(async () => {
  [installation, chromium] = await Promise.all([start(), browser()]);
  mkdirSync(PICTURES, { recursive: true });
});

after(async () => {
  for (const { child } of children) child.kill("SIGKILL");
  await chromium?.close();
  await installation?.stop();
});

/** Starts `chatcode-gateway` on a machine of its own. */
function gateway(folder, ...words) {
  const child = spawn(join(dirname(PROGRAM), "chatcode-gateway"), [...words, "--data-dir", join(installation.folder, folder)]);
  const one = { child, said: "", exit: once(child, "exit") };
  children.push(one);
  child.stderr.on("data", (bytes) => (one.said += bytes));
  return one;
}

/** `chatcode-gateway enroll` on a machine of its own, until it shows the fingerprint of its key. */
async function enroll(name) {
  const token = await installation.cli("gateway", "token", "--approval", "--label", "site=attic");
  const { core } = JSON.parse(await installation.cli("admin", "status", "--json"));
  const one = gateway(name, "enroll", "--core", core, "--name", name);
  one.child.stdin.end(token);
  const deadline = Date.now() + 30_000;
  for (;;) {
    const key = /SHA256:\S{43}/.exec(one.said)?.[0];
    if (key !== undefined) return { ...one, key };
    if (Date.now() > deadline) throw new Error(`no fingerprint came:\n${one.said}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

async function open(colorScheme, viewport) {
  const context = await chromium.newContext({ viewport, colorScheme });
  const page = await context.newPage();
  await signIn(page, (await installation.cli("login-url")).trim());
  return page;
}

test("a machine that waits is shown with its key, and let in by the keyboard", async () => {
  const page = await open("dark", { width: 1280, height: 800 });
  const machine = await enroll("attic-pi");
  const waiting = page.locator(id("waiting-machine"));
  await waiting.waitFor();
  await waiting.focus();
  await page.keyboard.press("Enter");
  await page.locator(id("approval")).waitFor();
  assert.equal((await page.locator(id("fingerprint")).innerText()).trim(), machine.key);
  assert.match(await page.locator(id("approval")).innerText(), /Labels\s+site=attic/u);
  await page.screenshot({ path: join(PICTURES, "approval.png") });
  // From the harmless choice to the last one.
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator(id("approval")).waitFor({ state: "detached" });
  assert.deepEqual(await machine.exit, [0, null]);
  await page.locator(id("waiting")).waitFor({ state: "detached" });
  const shown = page.locator(id("machine")).filter({ hasText: "attic-pi" });
  await shown.waitFor();
  assert.equal(await shown.locator(id("machine-labels")).innerText(), "site=attic");
  await page.screenshot({ path: join(PICTURES, "approved.png") });
  await page.context().close();
});

test("a machine is refused on a phone, and a decision of somebody else is told", async () => {
  const page = await open("light", { width: 390, height: 844 });
  const machine = await enroll("stranger");
  const openList = async () => {
    const workspace = page.locator(id("sign-in-state"));
    if ((await workspace.getAttribute("data-list-open")) !== "true") await page.locator(id("list-toggle")).click();
    // Waits until the list has slid in.
    await page.locator(id("waiting-machine")).hover();
  };
  await page.locator(`${id("list-toggle")}[data-waits="true"]`).waitFor();
  await page.screenshot({ path: join(PICTURES, "waits-phone.png") });
  await openList();
  await page.screenshot({ path: join(PICTURES, "waiting-phone.png") });
  await page.locator(id("waiting-machine")).click();
  await page.locator(id("approval")).waitFor();
  const box = await page.locator(id("approval")).boundingBox();
  assert.ok(box.x >= 0 && box.x + box.width <= 390, "all of it is on the screen");
  await page.screenshot({ path: join(PICTURES, "approval-phone.png") });
  await page.locator(id("refuse")).click();
  assert.deepEqual(await machine.exit, [77, null]);

  const second = await enroll("another");
  await page.locator(`${id("list-toggle")}[data-waits="true"]`).waitFor();
  await openList();
  await page.locator(id("waiting-machine")).click();
  await page.locator(id("approval")).waitFor();
  await installation.cli("gateway", "refuse", second.key);
  await page.locator(id("approval-over")).waitFor();
  assert.ok(await page.locator(id("approve")).isDisabled());
  await page.context().close();
});

test("a machine is added from the page with a token that is copied there, and is there once it runs", async () => {
  const page = await open("light", { width: 1000, height: 720 });
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.locator(id("add-machine-open")).click();
  await page.locator(id("add-machine-name")).fill("shed");
  await page.locator(id("add-machine-make")).click();
  const line = await page.locator(id("add-machine-line")).innerText();
  const core = /--core (\S+)/u.exec(line)?.[1];
  await page.getByLabel("Copy the token").click();
  await page.getByText("Copied").waitFor();
  const token = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(token, await page.locator(id("add-machine-token")).innerText());
  assert.ok(!line.includes(token), "no secret is in the line");

  const enrollment = gateway("shed", "enroll", "--core", core);
  enrollment.child.stdin.end(token);
  assert.deepEqual(await enrollment.exit, [0, null], enrollment.said);
  gateway("shed", "run");
  await page.locator(`${id("add-machine-state")}[data-arrived="true"]`).waitFor();
  assert.match(await page.locator(id("add-machine-state")).innerText(), /shed is here/u);
  await page.screenshot({ path: join(PICTURES, "add-machine.png") });
  await page.locator(id("add-machine-session")).click();
  await page.locator(id("new-session-create")).click();
  await page.locator(`${id("pane")}[data-active="true"] ${id("screen")}[data-attached="true"]`).waitFor();
});
