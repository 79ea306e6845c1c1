// How people sign in: passkeys of a browser's own authenticator, passwords, and what each of them is refused.

import assert from "node:assert/strict";
import { after, before, beforeEach, afterEach, test } from "node:test";

import { browser, enter, id, newSession, shows, signIn, start } from "./installation.mjs";

const PASSWORD = "correct horse battery";
const AUTHENTICATOR = {
  protocol: "ctap2",
  transport: "internal",
  hasResidentKey: true,
  hasUserVerification: true,
  isUserVerified: true,
  automaticPresenceSimulation: true,
};

// All of a test's browsers come from one address.
const SETTINGS = { CHATCODE_CORE_SIGN_IN: "{passwords=true}", CHATCODE_EDGE_SIGN_IN_PER_MINUTE: "600" };

let installation;
let chromium;
let context;
let page;
let keys;
let faults;

before(async () => {
  [installation, chromium] = await Promise.all([start(undefined, { env: SETTINGS }), browser()]);
  await installation.cli("admin", "people", "update", "Owner", "--email", "owner@example.org");
});

after(async () => {
  await chromium?.close();
  await installation?.stop();
});

beforeEach(async () => {
  ({ context, page, keys, faults } = await visitor());
});

afterEach(async () => {
  await context.close();
  assert.deepEqual(faults, [], "the page has no fault of its own");
});

/** A browser of its own, with an authenticator; `inFields`: which answers in fields of the page, too, and at once. */
async function visitor({ inFields = false } = {}) {
  const own = await chromium.newContext({ viewport: { width: 1280, height: 800 } });
  if (!inFields) await own.addInitScript(() => (PublicKeyCredential.isConditionalMediationAvailable = () => Promise.resolve(false)));
  const first = await own.newPage();
  const wrong = [];
  first.on("pageerror", (error) => wrong.push(error.message));
  first.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) wrong.push(message.text());
  });
  const cdp = await own.newCDPSession(first);
  await cdp.send("WebAuthn.enable");
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options: AUTHENTICATOR });
  const send = (method, more = {}) => cdp.send(`WebAuthn.${method}`, { authenticatorId, ...more });
  return { context: own, page: first, keys: send, faults: wrong };
}

const isSignedIn = (where = page) => where.locator(`${id("sign-in-state")}[data-state="signed-in"]`).waitFor();
const isSignedOut = (where = page) => where.locator(`${id("sign-in-state")}[data-state="signed-out"][data-methods="known"]`).waitFor();
const refused = async (words, where = page) => await where.locator(id("sign-in-refused")).filter({ hasText: words }).waitFor();

async function signOut() {
  await page.locator(id("sign-out")).click();
  await isSignedOut();
}

async function openAccount() {
  await page.locator(id("account-open")).click();
  await page.locator(`${id("browser")}[data-current="true"]`).waitFor();
}

/** Signs in by a new link and takes the offer of a passkey, or adds one at the account. */
async function withPasskey() {
  await signIn(page, (await installation.cli("login-url")).trim());
  await openAccount();
  const before = await page.locator(id("identity")).count();
  await page.locator(id("passkey-add")).click();
  await page.locator(id("identity")).nth(before).waitFor();
  await page.keyboard.press("Escape");
  await page.locator(id("account")).waitFor({ state: "detached" });
}

/** Removes all that the owner signs in by but the newest. */
async function onlyNewest() {
  await openAccount();
  for (let left = await page.locator(id("identity")).count(); left > 1; left -= 1) {
    await page.locator(id("identity-remove")).first().click();
    await page.locator(id("identity-confirm")).click();
    await page.locator(id("identity")).nth(left - 1).waitFor({ state: "detached" });
  }
}

test("a passkey is offered after a link, and from then on it is one click and a touch, and none after a reload", async () => {
  await signIn(page, (await installation.cli("login-url")).trim());
  await page.locator(id("passkey-offer-add")).click();
  await page.locator(id("passkey-offer")).waitFor({ state: "detached" });
  const { credentials } = await keys("getCredentials");
  assert.equal(credentials.length, 1);
  assert.equal(credentials[0].isResidentCredential, true);
  assert.equal(credentials[0].rpId, "localhost");
  await openAccount();
  assert.equal(await page.locator(`${id("identity")}[data-kind="passkey"]`).count(), 1);
  await page.keyboard.press("Escape");
  await signOut();

  await page.locator(id("sign-in-passkey")).click();
  await isSignedIn();
  await page.reload();
  await isSignedIn();
  assert.equal(await page.locator(id("passkey-offer")).count(), 0, "who has one is asked no more");
  await openAccount();
  await page.locator(id("identity")).filter({ hasText: /used \d+ s ago/ }).waitFor();
});

test("a passkey that is chosen in the field of the address signs in", async () => {
  await context.close();
  ({ context, page, keys, faults } = await visitor({ inFields: true }));
  await withPasskey();
  const asked = page.waitForRequest("**/api/sign-in");
  await page.locator(id("sign-out")).click();
  // The field is offered and answered without a click; the authenticator touches itself.
  assert.ok("passkey" in JSON.parse((await asked).postData()));
  await isSignedIn();
});

test("an offer that was turned down is not made again here", async () => {
  await onlyLink();
  await page.locator(id("passkey-offer-not")).click();
  await page.locator(id("passkey-offer")).waitFor({ state: "detached" });
  await page.goto((await installation.cli("admin", "people", "invite", "Nora")).trim());
  await isSignedIn();
  await openAccount();
  assert.equal(await page.locator(id("passkey-offer")).count(), 0);
});

/** Signs somebody in who has nothing but links. */
async function onlyLink() {
  await installation.cli("admin", "people", "add", "Nora");
  await signIn(page, (await installation.cli("admin", "people", "invite", "Nora")).trim());
}

test("an act that needs a proof asks for a touch and goes on by itself", async () => {
  await withPasskey();
  await openAccount();
  const all = await page.locator(id("identity")).count();
  await page.locator(id("passkey-add")).click();
  // This authenticator has one of this account already; the words are the page's.
  await page.locator(id("refused")).filter({ hasText: /already/i }).waitFor();

  // The core's own clock would take five minutes; its refusal is played, all else is real.
  const old = Buffer.from("grpc-status: 7\r\nchatcode-code: step_up_required\r\n");
  const head = Buffer.from([0x80, 0, 0, 0, old.length]);
  const answer = { status: 200, contentType: "application/grpc-web+proto", body: Buffer.concat([head, old]) };
  await page.route("**/chatcode.v1.Fleet/CreateToken", (route) => route.fulfill(answer), { times: 1 });
  await page.keyboard.press("Escape");
  await page.locator(id("add-machine-open")).click();
  const rotated = page.waitForResponse("**/api/sign-in");
  await page.locator(id("add-machine-make")).click();
  await page.locator(id("prove-passkey")).click();
  await page.locator(id("add-machine-token")).waitFor();
  const { same_person: samePerson } = JSON.parse((await rotated).request().postData());
  assert.equal(samePerson, true);
  await page.locator(id("prove")).waitFor({ state: "detached" });
  await page.keyboard.press("Escape");
  await isSignedIn();
  await openAccount();
  assert.equal(await page.locator(id("identity")).count(), all);
  assert.ok(await page.locator(id("browsers")).isVisible());
});

test("a passkey whose counter goes back is refused", async () => {
  await withPasskey();
  await signOut();
  await page.locator(id("sign-in-passkey")).click();
  await isSignedIn();
  await signOut();
  const { credentials } = await keys("getCredentials");
  assert.ok(credentials[0].signCount > 0, "it counts");
  await keys("removeCredential", { credentialId: credentials[0].credentialId });
  await keys("addCredential", { credential: { ...credentials[0], signCount: 0 } });
  await page.locator(id("sign-in-passkey")).click();
  await refused("a copy of it has been used");
});

test("a password signs in, a wrong one and an unknown account do not, and are told alike", async () => {
  await signIn(page, (await installation.cli("login-url")).trim());
  await openAccount();
  await page.locator(id("password-open")).click();
  await page.locator(id("password-field")).fill("owner@example.org");
  await page.locator(id("password-set")).click();
  await page.locator(id("refused")).filter({ hasText: "easy to guess" }).waitFor();
  await page.locator(id("password-field")).fill(PASSWORD);
  await page.locator(id("password-set")).click();
  await page.locator(`${id("identity")}[data-kind="password"]`).waitFor();
  await page.keyboard.press("Escape");
  await signOut();

  const fill = async (email, password) => {
    await page.locator(id("sign-in-email")).fill(email);
    await page.locator(id("sign-in-password")).fill(password);
    await page.locator(id("sign-in-submit")).click();
  };
  await fill("owner@example.org", "wrong horse battery");
  await refused("address or password is wrong");
  await fill("nobody@example.org", PASSWORD);
  await refused("address or password is wrong");
  await fill("owner@example.org", PASSWORD);
  await isSignedIn();
});

test("an answer counts only in the browser that was asked", async () => {
  await withPasskey();
  await signOut();
  let stolen;
  await page.route("**/api/sign-in", async (route) => {
    stolen = route.request().postData();
    await route.abort();
  });
  await page.locator(id("sign-in-passkey")).click();
  await refused("the edge does not answer");
  const other = await visitor();
  await other.page.goto(installation.origin);
  await isSignedOut(other.page);
  const tried = await other.page.evaluate(async (body) => {
    const headers = { "content-type": "application/json" };
    await fetch("/api/sign-in/begin", { method: "POST", headers, body: '{"method":"passkey"}' });
    const answer = await fetch("/api/sign-in", { method: "POST", headers, body });
    return [answer.status, (await answer.json()).code];
  }, stolen);
  assert.deepEqual(tried, [401, "bad_token"]);
  await other.context.close();
  await page.unroute("**/api/sign-in");
  await page.locator(id("sign-in-passkey")).click();
  await isSignedIn();
});

test("a link of somebody else changes nothing until that is said, and then nothing of before stays open", async () => {
  await installation.cli("admin", "people", "add", "Bob");
  await installation.cli("admin", "roles", "give", "viewer", "--person", "Bob");
  await signIn(page, (await installation.cli("login-url")).trim());
  await newSession(page, { name: "the owner's" });
  await enter(page, "echo sum=$((40 + 2))");
  await shows(page, "sum=42");
  const beside = await context.newPage();
  await signIn(beside, installation.origin);
  const link = (await installation.cli("admin", "people", "invite", "Bob")).trim();

  await page.goto(link);
  await page.locator(id("others-link")).filter({ hasText: "You are signed in as Owner" }).waitFor();
  await page.locator(id("others-link")).locator("[data-dialog-later]").click();
  await page.locator(id("others-link")).waitFor({ state: "detached" });
  await page.locator(`${id("pane")}[data-active="true"] .xterm-helper-textarea`).focus();
  await enter(page, "echo still=$((40 + 3))");
  await shows(page, "still=43");
  await isSignedIn(beside);

  await page.goto(`${link}&again`);
  await page.locator(id("others-link-take")).click();
  await page.locator(id("instead-of")).filter({ hasText: "Bob’s now. Owner was signed in here before" }).waitFor();
  assert.equal(await page.locator(id("pane")).count(), 0, "the owner's terminal is closed");
  assert.deepEqual(await page.evaluate(() => JSON.parse(sessionStorage.getItem("chatcode.tabs"))), { open: [] });
  await page.locator(id("others-link")).waitFor({ state: "detached" });
  await page.locator(id("machine")).waitFor();
  await isSignedOut(beside);
  await beside.locator(id("sign-in-refused")).filter({ hasText: "Somebody else signed in in this browser" }).waitFor();
  await beside.reload();
  await isSignedIn(beside);
  await beside.locator(id("account-open")).filter({ hasText: "Bob" }).waitFor();
});

test("a page that heard of nothing leaves when its sign-in ends for somebody else's", async () => {
  await installation.cli("admin", "people", "add", "Eve");
  await signIn(page, (await installation.cli("login-url")).trim());
  const link = (await installation.cli("admin", "people", "invite", "Eve")).trim();
  const secret = new URLSearchParams(new URL(link).hash.slice(1)).get("login");
  // By a call of its own, so that no tab tells the others.
  const status = await page.evaluate(async (body) => {
    const answer = await fetch("/api/sign-in", { method: "POST", headers: { "content-type": "application/json" }, body });
    return answer.status;
  }, JSON.stringify({ secret }));
  assert.equal(status, 200);
  await isSignedOut();
  await refused("Somebody else signed in in this browser");
});

test("the account lists browsers and signs them out, and the last way in of an owner stays", async () => {
  await withPasskey();
  const other = await visitor();
  await signIn(other.page, (await installation.cli("login-url")).trim());
  await openAccount();
  const all = await page.locator(id("browser")).count();
  assert.ok(all > 1);
  await page.locator(id("browsers-end")).click();
  await page.locator(id("browser")).nth(1).waitFor({ state: "detached" });
  await isSignedOut(other.page);
  await other.context.close();
  await page.keyboard.press("Escape");
  await page.locator(id("account")).waitFor({ state: "detached" });

  await onlyNewest();
  await page.locator(id("identity-remove")).click();
  await page.locator(id("identity-confirm")).click();
  await page.locator(id("refused")).filter({ hasText: /add another one first/ }).waitFor();
  await page.locator(id("identity-rename")).click();
  await page.locator(id("identity-label")).fill("The last one");
  await page.keyboard.press("Enter");
  await page.locator(id("identity")).filter({ hasText: "The last one" }).waitFor();
});
