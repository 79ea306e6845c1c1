// A machine that joins, as the page shows it: added there, let in by a person, looked at, copied, thrown out.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { on, once } from "node:events";
import { chmodSync, cpSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";

import { violations } from "../../edge/web/dev/axe.mjs";
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

/** Waits until a program has said something that fits. */
async function says({ child, ...one }, pattern) {
  const signal = AbortSignal.timeout(30_000);
  for await (const [bytes] of on(child.stderr, "data", { signal, close: ["end"] })) {
    one.said += bytes;
    const found = pattern.exec(one.said)?.[0];
    if (found !== undefined) return found;
  }
  throw new Error(`it never said ${pattern}:\n${one.said}`);
}

/** `chatcode-gateway enroll` on a machine of its own, until it shows the fingerprint of its key. */
async function enroll(name) {
  const token = await installation.cli("gateway", "token", "--approval", "--label", "site=attic");
  const { core } = JSON.parse(await installation.cli("admin", "status", "--json"));
  const one = gateway(name, "enroll", "--core", core, "--name", name);
  one.child.stdin.end(token);
  return { ...one, key: await says(one, /SHA256:\S{43}/u) };
}

/** Everybody can use what the page shows now. */
async function everybody(page) {
  assert.deepEqual(await violations(page), []);
}

/** A machine of its own that has joined and is linked. */
async function joined(name) {
  const token = await installation.cli("gateway", "token", "--name", name);
  const { core } = JSON.parse(await installation.cli("admin", "status", "--json"));
  const enrollment = gateway(name, "enroll", "--core", core);
  enrollment.child.stdin.end(token);
  assert.deepEqual(await enrollment.exit, [0, null], enrollment.said);
  return gateway(name, "run");
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
  await everybody(page);
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
  await everybody(page);
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
  await page.context().close();
});

test("tokens that are out are listed without their secrets, follow the command line, and are taken back by the keyboard", async () => {
  const page = await open("dark", { width: 1280, height: 800 });
  await page.keyboard.press("Control+Shift+P");
  await page.keyboard.type("join tokens");
  await page.keyboard.press("Enter");
  await page.locator(id("tokens-none")).waitFor();
  await everybody(page);
  const secret = (await installation.cli("gateway", "token", "--uses", "3", "--ttl", "2h", "--from", "192.0.2.0/24", "--approval", "--label", "site=shed")).trim();
  const token = page.locator(id("token"));
  await token.waitFor();
  const shown = await token.innerText();
  assert.match(shown, /Any machine/u);
  assert.match(shown, /3 of 3 uses left · ends in (2 h|1 h 59 min) · asks for approval · only from 192\.0\.2\.0\/24 · site=shed/u);
  assert.match(shown, /by admin [0-9a-f]{8}/u);
  const beyond = secret.indexOf(await token.getAttribute("data-token")) + (await token.getAttribute("data-token")).length + 1;
  assert.ok(beyond > 8 && secret.length > beyond + 40, "the token begins with its id");
  assert.ok(!(await page.content()).includes(secret.slice(beyond, beyond + 12)), "its secret is nowhere in the page");
  await everybody(page);

  // Somebody else takes it back, and makes another.
  await installation.cli("gateway", "token-revoke", await token.getAttribute("data-token"));
  await page.locator(id("tokens-none")).waitFor();
  const other = (await installation.cli("gateway", "token", "--name", "late")).trim();
  await token.filter({ hasText: "late" }).waitFor();
  await page.locator(id("token-take-back")).focus();
  await page.keyboard.press("Enter");
  await page.locator(id("token-question")).getByText("Keep it").and(page.locator(":focus")).waitFor();
  await page.screenshot({ path: join(PICTURES, "token-question.png") });
  await everybody(page);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.locator(id("tokens-none")).waitFor();
  await page.locator("#tokens-title:focus").waitFor();
  assert.doesNotMatch(await installation.cli("gateway", "tokens"), /late/u);
  const { core } = JSON.parse(await installation.cli("admin", "status", "--json"));
  const enrollment = gateway("late", "enroll", "--core", core);
  enrollment.child.stdin.end(other);
  assert.deepEqual(await enrollment.exit, [77, null], "it lets nobody in any more");
  await page.context().close();
});

test("a machine's details tell its link, certificate and programs, and it is thrown out from there", async () => {
  await joined("barn");
  const page = await open("light", { width: 390, height: 844 });
  await page.locator(id("list-toggle")).click();
  const barn = page.locator(`${id("machine")}[data-online="true"]`).filter({ hasText: "barn" });
  await barn.locator(id("machine-open")).click();
  const facts = page.locator(id("machine-facts"));
  await facts.waitFor();
  const told = await facts.innerText();
  assert.match(told, /Linked for \d+ s/u);
  assert.match(told, /Good for 23 h \d+ min more\s+until /u);
  assert.match(told, /Version 0\.1\.0/u);
  await page.screenshot({ path: join(PICTURES, "machine-phone.png") });
  await everybody(page);
  await page.locator(id("machine-revoke")).click();
  await page.getByText("Keep it").and(page.locator(":focus")).waitFor();
  await everybody(page);
  await page.locator(id("revoke-confirm")).click();
  await page.locator(id("revoke")).waitFor({ state: "detached" });
  await page.locator(id("list-toggle")).click();
  await page.locator(id("machine")).filter({ hasText: "barn" }).getByText("revoked").waitFor();
  await page.context().close();
});

test("a copied identity is told in the page until a person acknowledges it, and told again when it comes again", async () => {
  await joined("mill");
  const page = await open("dark", { width: 1280, height: 800 });
  const mill = page.locator(`${id("machine")}[data-online="true"]`).filter({ hasText: "mill" });
  await mill.waitFor();
  const alarm = mill.locator(id("machine-alarm"));
  cpSync(join(installation.folder, "mill/identity"), join(installation.folder, "copy/identity"), { recursive: true });
  chmodSync(join(installation.folder, "copy"), 0o700);
  const copy = async () => {
    const one = gateway("copy", "run");
    await says(one, /another live machine uses this/u);
    one.child.kill("SIGKILL");
    await one.exit;
  };
  await copy();
  await alarm.click();
  const told = page.locator(id("alarm"));
  assert.match(await told.innerText(), /calls itself “.+” came from 127\.0\.0\.1:\d+ with the key of this one/u);
  await page.screenshot({ path: join(PICTURES, "copied.png") });
  await everybody(page);
  await page.locator(id("alarm-acknowledge")).click();
  await told.waitFor({ state: "detached" });
  await page.getByText("Close", { exact: true }).and(page.locator(":focus")).waitFor();
  await alarm.waitFor({ state: "detached" });
  assert.doesNotMatch(await installation.cli("gateway", "ls"), /two machines/u);

  await copy();
  await told.waitFor();
  assert.match(await installation.cli("gateway", "ls"), /two machines/u);
  await installation.cli("gateway", "acknowledge", "mill");
  await told.waitFor({ state: "detached" });
  await page.context().close();
});
