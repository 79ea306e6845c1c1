// An owner manages people at the page: lets somebody in, gives and takes, shuts out; and nobody takes the last owner away.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { violations } from "../../edge/web/dev/axe.mjs";
import { browser, id, newSession, signIn, start } from "./installation.mjs";

let installation;
let chromium;
let context;
let page;
let others;
let faults;

before(async () => {
  [installation, chromium] = await Promise.all([start(undefined, { env: { CHATCODE_EDGE_SIGN_IN_PER_MINUTE: "600" } }), browser()]);
});

after(async () => {
  await chromium?.close();
  await installation?.stop();
});

beforeEach(async () => {
  [others, faults] = [[], []];
  context = await chromium.newContext({ viewport: { width: 1280, height: 800 } });
  page = await tab(context);
  await signIn(page, (await installation.cli("login-url")).trim());
});

afterEach(async () => {
  for (const each of [context, ...others]) await each.close();
  assert.deepEqual(faults, [], "the pages have no faults of their own");
});

async function tab(where) {
  const made = await where.newPage();
  made.on("pageerror", (error) => faults.push(error.message));
  made.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) faults.push(message.text());
  });
  return made;
}

async function otherBrowser(options = {}) {
  const made = await chromium.newContext({ viewport: { width: 1000, height: 700 }, ...options });
  others.push(made);
  return await tab(made);
}

async function openDirectory(where = page) {
  await where.locator(id("directory-open")).click();
  await where.locator(id("people-list")).waitFor();
}

const person = (name) => page.locator(id("person")).filter({ has: page.locator("b", { hasText: new RegExp(`^${name}$`) }) });

async function add(name, email = "") {
  await page.locator(id("person-add")).click();
  await page.locator(id("person-name")).fill(name);
  await page.locator(id("person-email")).fill(email);
  await page.locator(id("person-create")).click();
  await person(name).locator(id("person-details")).waitFor();
}

/** Lets the person whose details are open in by a link, in a browser of their own. */
async function letIn(name) {
  const theirs = await otherBrowser();
  await signIn(theirs, await invited(name));
  return theirs;
}

/** A new one-time URL for the person whose details are open. */
async function invited(name) {
  const link = person(name).locator(id("person-link"));
  const before = (await link.count()) === 0 ? "" : await link.inputValue();
  await person(name).locator(id("person-invite")).click();
  await link.waitFor();
  const deadline = Date.now() + 30_000;
  for (;;) {
    const url = await link.inputValue();
    if (url !== before) return url;
    if (Date.now() > deadline) throw new Error("no other link was made");
    await page.waitForTimeout(20);
  }
}

test("somebody is added, let in by a link, sees what they are given, and nothing when it is taken", async () => {
  await newSession(page, { name: "build", command: "cat" });
  await openDirectory();
  await add("Ada", "ada@example.org");
  assert.deepEqual(await violations(page), []);
  const ada = await letIn("Ada");
  await ada.locator(id("nothing-given")).waitFor();
  assert.equal(await ada.locator(id("session")).count(), 0, "without a role nothing is seen");
  assert.equal(await ada.locator(id("directory-open")).count(), 0, "who manages nobody has no list of people");

  const row = person("Ada");
  await row.locator(id("role-choice")).selectOption({ label: "operator" });
  const machine = await row.locator(`${id("role-where")} option`).nth(1).innerText();
  await row.locator(id("role-where")).selectOption({ label: machine });
  await row.locator(id("role-give")).click();
  await row.locator(`${id("role")}[data-role="operator"]`).filter({ hasText: machine }).waitFor();
  await ada.locator(id("session")).filter({ hasText: "build" }).waitFor();

  assert.deepEqual(await violations(page), []);
  await row.locator(id("way-sign-out")).click();
  await ada.locator(`${id("sign-in-state")}[data-state="signed-out"]`).waitFor();
  await row.locator(id("way-session")).waitFor({ state: "detached" });
  await signIn(ada, await invited("Ada"));
  await ada.locator(id("session")).filter({ hasText: "build" }).waitFor();

  await row.locator(id("role-take")).click();
  await row.locator(id("role")).waitFor({ state: "detached" });
  await ada.locator(id("nothing-given")).waitFor();
  assert.equal(await ada.locator(id("session")).count(), 0, "what was seen is not shown any more");

  await row.locator(id("person-suspend")).click();
  await page.locator(`${id("person")}[data-suspended="true"]`).waitFor();
  await ada.locator(`${id("sign-in-state")}[data-state="signed-out"]`).waitFor();
  await row.locator(id("person-suspend")).click();
  await page.locator(`${id("person")}[data-suspended="true"]`).waitFor({ state: "detached" });

  await row.locator(id("person-edit")).click();
  await row.locator(id("person-name")).fill("Ada L.");
  await row.locator(id("person-save")).click();
  await person("Ada L\\.").locator(id("person-remove")).click();
  await page.locator(id("person-confirm")).click();
  await person("Ada L\\.").waitFor({ state: "detached" });
});

test("a team gives its members what it has", async () => {
  await openDirectory();
  await add("Bo");
  const bo = await letIn("Bo");
  await page.locator(id("directory-teams")).click();
  await page.locator(id("team-add")).click();
  await page.locator(id("team-name")).fill("night shift");
  await page.locator(id("team-save")).click();
  await page.locator(id("team-open")).click();
  assert.deepEqual(await violations(page), []);
  const team = page.locator(id("team-details"));
  await team.locator(id("role-choice")).selectOption({ label: "viewer" });
  assert.equal(await team.locator(`${id("role-choice")} option`, { hasText: "owner" }).count(), 0, "owners are persons");
  await team.locator(id("role-give")).click();
  await team.locator(id("role")).filter({ hasText: "viewer" }).waitFor();
  await team.locator(id("member-choice")).selectOption({ label: "Bo" });
  await team.locator(id("member-in")).click();
  await team.locator(id("member")).filter({ hasText: "Bo" }).waitFor();
  assert.deepEqual(await violations(page), []);
  await bo.locator(id("machine")).first().waitFor();
  await team.locator(id("member-out")).click();
  await team.locator(id("member")).waitFor({ state: "detached" });
  await bo.locator(id("machine")).first().waitFor({ state: "detached" });
  await team.locator(id("team-remove")).click();
  await team.locator(id("team-confirm")).click();
  await page.locator(id("team")).waitFor({ state: "detached" });
});

test("a token is made, shown once and revoked; and the last owner stays", async () => {
  await openDirectory();
  await person("Owner").locator(id("person-open")).click();
  const owner = person("Owner");
  await owner.locator(id("api-token-add")).click();
  await owner.locator(id("api-token-name")).fill("nightly");
  await owner.locator(id("api-token-make")).click();
  assert.match(await owner.locator(id("api-token-secret")).inputValue(), /^cc_[\w-]{49}$/);
  await owner.locator(id("api-token")).filter({ hasText: "nightly" }).waitFor();
  await owner.locator(id("api-token-revoke")).click();
  await owner.locator(id("api-token")).waitFor({ state: "detached" });

  await owner.locator(id("role-take")).click();
  await owner.locator(id("refused")).filter({ hasText: "nobody would own" }).waitFor();
  await owner.locator(id("person-suspend")).click();
  await owner.locator(id("refused")).filter({ hasText: "nobody would own" }).first().waitFor();
  await page.locator(id("directory-programs")).click();
  await page.locator(id("program")).first().waitFor();
  assert.deepEqual(await violations(page), []);
});

test("on a phone all of it fits", async () => {
  const phone = await otherBrowser({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  await signIn(phone, (await installation.cli("login-url")).trim());
  await phone.locator(id("list-toggle")).click();
  await openDirectory(phone);
  await phone.locator(id("person-open")).first().click();
  await phone.locator(id("person-details")).waitFor();
  assert.deepEqual(await violations(phone), []);
  assert.ok((await phone.evaluate(() => document.querySelector("dialog[open]").scrollWidth)) <= 360, "nothing sticks out");
});
