// A login of the command line by a device code: the program asks, a person approves at the page, the program says who it is.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { browser, id, PROGRAM, signIn, start } from "./installation.mjs";

let installation;
let chromium;
let context;
let page;
let faults;
let config;

before(async () => {
  [installation, chromium] = await Promise.all([start(undefined, { env: { CHATCODE_EDGE_SIGN_IN_PER_MINUTE: "600" } }), browser()]);
});

after(async () => {
  await chromium?.close();
  await installation?.stop();
});

beforeEach(async () => {
  config = mkdtempSync(join(tmpdir(), "ccl"));
  context = await chromium.newContext({ viewport: { width: 1280, height: 800 } });
  page = await context.newPage();
  faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) faults.push(message.text());
  });
});

afterEach(async () => {
  await context.close();
  rmSync(config, { recursive: true, force: true });
  assert.deepEqual(faults, [], "the page has no fault of its own");
});

/** The command line of a person who has no certificate: a home of their own. */
function program(...words) {
  const env = { PATH: process.env.PATH, HOME: config, XDG_CONFIG_HOME: config, CHATCODE_LOG: "" };
  const child = spawn(PROGRAM, words, { env, stdio: ["ignore", "pipe", "pipe"] });
  const run = { child, out: "", err: "", ended: once(child, "close").then(([code]) => code), wakes: [] };
  for (const [stream, key] of [[child.stdout, "out"], [child.stderr, "err"]]) {
    stream.setEncoding("utf8").on("data", (text) => {
      run[key] += text;
      for (const wake of run.wakes.splice(0)) wake();
    });
  }
  /** Waits until it has said something of this form. */
  run.says = async (pattern) => {
    for (;;) {
      const found = pattern.exec(run.err);
      if (found !== null) return found;
      const more = new Promise((resolve) => run.wakes.push(() => resolve("more")));
      if ((await Promise.race([more, run.ended])) !== "more") throw new Error(`it ended without ${pattern}: ${run.err}`);
    }
  };
  return run;
}

/** Runs it to its end, which must be a good one. */
async function prints(...words) {
  const run = program(...words);
  assert.equal(await run.ended, 0, run.err);
  return run.out;
}

const CODE = /^ {2}([BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4})$/m;

async function approve(code) {
  assert.equal(await page.locator(id("device-code")).inputValue(), code);
  await page.locator(id("device-look")).click();
  await page.locator(id("device-shown")).filter({ hasText: code }).waitFor();
  assert.match(await page.locator(id("device-facts")).innerText(), /chatcode \d.*127\.0\.0\.1.*operator.*30 d/s);
  await page.locator(id("device-approve")).click();
  await page.locator(id("device-decided")).filter({ hasText: "It is let in" }).waitFor();
}

test("a program shows a code, the person compares it at the page and lets it in, and it says who it is until it is logged out", async () => {
  const login = program("login", installation.origin, "--name", "works");
  const [, code] = await login.says(CODE);
  // The address first, signing in after: the question waits for the person.
  await page.goto(`${installation.origin}/#device=${code}`);
  await page.locator(`${id("sign-in-state")}[data-state="signed-out"]`).waitFor();
  await page.locator(id("sign-in-device")).waitFor();
  assert.equal(new URL(page.url()).hash, "", "the code stays in no history");
  await signIn(page, (await installation.cli("login-url")).trim());
  await approve(code);
  assert.equal(await login.ended, 0, login.err);
  assert.match(login.out, /^logged in as Owner \(operator\) at [0-9a-f]{8}, as the context works/);

  const me = JSON.parse(await prints("whoami", "--json"));
  assert.equal(me.name, "Owner");
  assert.equal(me.role, "operator");
  assert.equal(me.context, "works");
  assert.match(me.principal, /^person\/[0-9a-f-]+\/api-token\//);
  assert.equal(JSON.parse(await prints("ls", "--json")).gateways.length, 1);
  const file = join(config, "chatcode/contexts/works.json");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const { token } = JSON.parse(readFileSync(file, "utf8"));
  assert.match(token, /^cc_/);
  assert.ok(!login.out.includes(token) && !login.err.includes(token), "the token is in the file alone");
  const beyond = program("admin", "status");
  assert.equal(await beyond.ended, 77, beyond.err);

  const rows = (await installation.cli("audit", "--json", "--limit", "50")).trim().split("\n").map((row) => JSON.parse(row));
  const row = (action) => rows.find((one) => one.action === action);
  assert.match(row("device.approved").detail, /^operator for 2592000 s, asked from 127\.0\.0\.1 by chatcode/);
  assert.equal(row("api_token.created").principal, row("device.approved").principal);
  assert.ok(!JSON.stringify(rows).includes(token) && !JSON.stringify(rows).includes(code));

  await prints("logout");
  const gone = program("ls", "--context", "works");
  assert.equal(await gone.ended, 2, gone.err);
  const tokens = (await installation.cli("admin", "api-tokens", "list", "--person", "Owner", "--json")).trim().split("\n").map((line) => JSON.parse(line));
  assert.ok(tokens.find(({ id }) => id === me.principal.split("/").at(-1)).revoked_unix_ms > 0);
});

test("who types a wrong code is told so, and a login that is refused at the page says so and ends", async () => {
  const login = program("login", installation.origin);
  const [, code] = await login.says(CODE);
  await signIn(page, (await installation.cli("login-url")).trim());
  await page.goto(`${installation.origin}/#device`);
  await page.locator(id("device-code")).fill("bcdf-ghjk");
  await page.keyboard.press("Enter");
  await page.locator(id("refused")).filter({ hasText: "nothing waits under this code" }).waitFor();
  await page.locator(id("device-code")).fill(code.toLowerCase().replace("-", " "));
  await page.keyboard.press("Enter");
  await page.locator(id("device-shown")).filter({ hasText: code }).waitFor();
  await page.locator(id("device-refuse")).click();
  await page.locator(id("device-decided")).filter({ hasText: "It is refused" }).waitFor();
  assert.equal(await login.ended, 77);
  assert.match(login.err, /refused at the page/);
  const none = program("whoami");
  assert.equal(await none.ended, 78, none.err);
});
