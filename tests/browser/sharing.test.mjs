// A session is shared by a link: who has it looks or types, all see who is there, and nobody stays when it is taken back.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { violations } from "../../edge/web/dev/axe.mjs";
import { browser, enter, id, newSession, shows, signIn, start } from "./installation.mjs";

let installation;
let chromium;
let owner;
let page;
let guests;
let faults;

before(async () => {
  const env = { CHATCODE_EDGE_SIGN_IN_PER_MINUTE: "600" };
  [installation, chromium] = await Promise.all([start(undefined, { env }), browser()]);
});

after(async () => {
  await chromium?.close();
  await installation?.stop();
});

beforeEach(async () => {
  [guests, faults] = [[], []];
  owner = await chromium.newContext({ viewport: { width: 1280, height: 800 } });
  page = await tab(owner);
  await signIn(page, (await installation.cli("login-url")).trim());
  await newSession(page, { name: "build", command: "bash --norc" });
});

afterEach(async () => {
  for (const context of [owner, ...guests]) await context.close();
  assert.deepEqual(faults, [], "the pages have no faults of their own");
});

async function tab(context) {
  const made = await context.newPage();
  made.on("pageerror", (error) => faults.push(error.message));
  made.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) faults.push(message.text());
  });
  return made;
}

/** Another browser, which has never been here. */
async function stranger(options = {}) {
  const context = await chromium.newContext({ viewport: { width: 1000, height: 700 }, ...options });
  guests.push(context);
  return await tab(context);
}

/** Makes a link to the session in view. */
async function share({ writer = false, uses = 1, passphrase = "", accounts = false } = {}) {
  await page.locator(id("share-open")).click();
  if (writer) await page.locator(id("share-writer")).check();
  await page.locator(id("share-uses")).fill(String(uses));
  if (passphrase !== "") await page.locator(id("share-passphrase")).fill(passphrase);
  if (accounts) await page.locator(id("share-accounts")).check();
  await page.locator(id("share-make")).click();
  const link = await page.locator(id("share-link")).inputValue();
  assert.match(link, new RegExp(`^${installation.origin ?? "http://localhost:\\d+"}/#share=[\\w-]{43}$`));
  await page.keyboard.press("Escape");
  await page.locator(id("share")).waitFor({ state: "detached" });
  return link;
}

async function comeIn(guest, link, { name = "Bo", passphrase } = {}) {
  await guest.goto(link);
  await guest.locator(id("coming-name")).fill(name);
  if (passphrase !== undefined) await guest.locator(id("coming-passphrase")).fill(passphrase);
  await guest.locator(id("coming-enter")).click();
}

const isIn = (guest) => guest.locator(`${id("screen")}[data-attached="true"]`).waitFor();
const refused = (guest, words) => guest.locator(id("coming-refused")).filter({ hasText: words }).waitFor();

test("who has a link comes in with a name, looks, and is seen by all; and is out within a second when it is taken back", async () => {
  await enter(page, "echo seen by al''l");
  await shows(page, "seen by all");
  const link = await share();
  await page.locator(`${id("share-open")}[data-links="1"]`).filter({ hasText: "Shared" }).waitFor();

  const guest = await stranger();
  await guest.goto(link);
  await guest.locator(`${id("coming")}[data-state="asked"]`).waitFor();
  assert.deepEqual(await violations(guest), []);
  assert.ok(!guest.url().includes("share="), "the secret is out of the address");
  assert.equal(await guest.locator(id("coming-session")).innerText(), "build");
  assert.equal(await guest.locator(id("coming-role")).innerText(), "look");
  await comeIn(guest, link);
  await isIn(guest);
  await shows(guest, "seen by all");
  assert.deepEqual(await violations(guest), []);
  assert.match(new URL(guest.url()).pathname, /^\/s\/[0-9a-f-]{36}$/);
  assert.match(await guest.locator(id("guest-terms")).innerText(), /shared by Owner, until .*; you may look$/);
  await guest.locator(id("read-only")).waitFor();
  assert.equal(await guest.locator(id("machines")).count(), 0, "a guest sees no machines");
  await page.locator(id("presence")).filter({ hasText: "Bo (guest)" }).waitFor();
  await guest.locator(".xterm-helper-textarea").focus();
  await guest.keyboard.type("echo no''t mine\n");
  await enter(page, "echo mi''ne");
  await shows(guest, "mine");
  assert.ok(!(await shows(page, "mine")).includes("not mine"), "who may look does not type");

  await guest.reload();
  await isIn(guest);
  await shows(guest, "mine");
  await page.locator(id("share-open")).click();
  await page.locator(id("share-guest")).filter({ hasText: "Bo (guest)" }).waitFor();
  assert.deepEqual(await violations(page), []);
  const cut = guest.locator(`${id("line-note")}[data-code="UNAUTHENTICATED"]`).filter({ hasText: "taken back" });
  const begun = Date.now();
  await page.locator(id("share-revoke")).click();
  await page.locator(id("share-item")).waitFor({ state: "detached" });
  await cut.waitFor();
  assert.ok(Date.now() - begun < 5000, "at once, the page's own pause before it says so included");
  await page.keyboard.press("Escape");
  await page.locator(`${id("share-open")}[data-links="0"]`).waitFor();
  await guest.reload();
  await guest.locator(id("guest-out")).filter({ hasText: "ask for another one" }).waitFor();
  const late = await stranger();
  await late.goto(link);
  await refused(late, "does not count");
});

test("a guest who may type takes over, leaves, and the link is used up for others", async () => {
  const link = await share({ writer: true, passphrase: "open the gate" });
  const guest = await stranger();
  await comeIn(guest, link, { passphrase: "open the door" });
  await refused(guest, "passphrase is wrong");
  await guest.locator(id("coming-passphrase")).fill("open the gate");
  await guest.locator(id("coming-enter")).click();
  await isIn(guest);
  await guest.locator(id("take-over")).click();
  await guest.locator(`${id("presence")}[data-writer="true"]`).waitFor();
  await enter(guest, "echo typed by a gue''st");
  await shows(page, "typed by a guest");

  const other = await stranger();
  await comeIn(other, link, { name: "Cy", passphrase: "open the gate" });
  await refused(other, "does not count");

  await guest.locator(id("guest-leave")).click();
  await guest.locator(`${id("guest")}[data-state="left"]`).waitFor();
  await page.locator(id("presence")).waitFor({ state: "detached" });
  await guest.reload();
  await guest.locator(`${id("guest")}[data-state="out"]`).waitFor();
});

test("a link for people with an account sends others to sign in, and brings them back as themselves", async () => {
  await installation.cli("admin", "people", "add", "Ada");
  const invitation = (await installation.cli("admin", "people", "invite", "Ada")).trim();
  const link = await share({ accounts: true });
  const guest = await stranger();
  await guest.goto(link);
  await guest.locator(id("coming-sign-in")).click();
  await guest.locator(`${id("sign-in-state")}[data-state="signed-out"]`).waitFor();
  // In the same tab, as a person does who opens the invitation there.
  const [url] = invitation.match(/http\S+/) ?? [];
  await guest.goto(url);
  await guest.locator(id("coming-as")).filter({ hasText: "You come in as Ada." }).waitFor();
  await guest.locator(id("coming-enter")).click();
  await isIn(guest);
  await page.locator(id("presence")).filter({ hasText: "Ada (guest)" }).waitFor();
  // Her account in another tab sees nothing of it, and stays signed in when she leaves.
  const own = await tab(guest.context());
  await own.goto(new URL("/", guest.url()).href);
  await own.locator(`${id("sign-in-state")}[data-state="signed-in"]`).waitFor();
  assert.equal(await own.locator(id("session")).count(), 0);
  await guest.locator(id("guest-leave")).click();
  await guest.locator(`${id("guest")}[data-state="left"]`).waitFor();
  await own.reload();
  await own.locator(`${id("sign-in-state")}[data-state="signed-in"]`).waitFor();
});

test("on a phone a guest sees the terminal, the terms and the way out", async () => {
  const link = await share({ writer: true });
  const guest = await stranger({ viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true });
  await comeIn(guest, link);
  await isIn(guest);
  for (const part of ["guest-session", "guest-terms", "guest-leave"]) assert.ok(await guest.locator(id(part)).isVisible(), part);
  assert.ok((await guest.evaluate(() => document.documentElement.scrollWidth)) <= 390, "nothing sticks out");
});
