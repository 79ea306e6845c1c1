// Signing in by what comes from elsewhere: a real OpenID provider, and mails of a real mail server.

import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { agree, CLIENT, post, provider } from "./counterparts.mjs";
import { browser, id, signIn, start } from "./installation.mjs";

const PEOPLE = {
  ada: { email: "ada@example.org", email_verified: true, name: "Ada", groups: ["ops"] },
  eve: { email: "eve@example.org", email_verified: false, name: "Eve" },
  cy: { email: "cy@other.example", email_verified: true, name: "Cy" },
};
const MAIL = { user: "chatcode", password: "a password of the tests" };

let installation;
let chromium;
let works;
let mail;
let context;
let page;
let faults;

before(async () => {
  const folder = mkdtempSync(join(tmpdir(), "ccb"));
  [works, mail, chromium] = await Promise.all([provider(PEOPLE), post(join(folder, "post"), MAIL), browser()]);
  writeFileSync(join(folder, "client.secret"), `${CLIENT.secret}\n`, { mode: 0o600 });
  const providers = `[{id="works", name="Example Works", issuer="${works.issuer}", client_id="${CLIENT.id}", client_secret_file="${join(folder, "client.secret")}", scopes=["openid", "email", "profile", "groups"], trust_email=true, groups_claim="groups"}]`;
  const post_ = `{server="localhost", port=${mail.port}, user="${MAIL.user}", password_file="${mail.passwordFile}", from="chatcode <chatcode@example.org>"}`;
  const env = {
    CHATCODE_CORE_SIGN_IN: `{providers=${providers}, mail=${post_}}`,
    // All of a test's browsers come from one address.
    CHATCODE_EDGE_SIGN_IN_PER_MINUTE: "600",
    SSL_CERT_FILE: mail.roots,
  };
  installation = await start(folder, { env });
  works.for(installation.origin);
  const admin = (...words) => installation.cli("admin", ...words);
  for (const name of ["Ada", "Eve", "Bob"]) await admin("people", "add", name, "--email", `${name.toLowerCase()}@example.org`);
  await admin("teams", "add", "Operators", "--external-group", "works:ops");
  await admin("roles", "give", "operator", "--team", "Operators");
});

after(async () => {
  await chromium?.close();
  await installation?.stop();
  await Promise.all([works?.stop(), mail?.stop()]);
});

beforeEach(async () => {
  faults = [];
  ({ context, page } = await visitor());
});

afterEach(async () => {
  await context.close();
  assert.deepEqual(faults, [], "the page has no fault of its own");
});

/** A browser of its own. */
async function visitor() {
  const own = await chromium.newContext({ viewport: { width: 1280, height: 800 } });
  const first = await own.newPage();
  const ours = () => first.url().startsWith(installation.origin);
  first.on("pageerror", (error) => ours() && faults.push(error.message));
  first.on("console", (message) => {
    if (ours() && message.text().includes("Content Security Policy")) faults.push(message.text());
  });
  return { context: own, page: first };
}

const state = (value) => `${id("sign-in-state")}[data-state="${value}"]`;
const arrival = (kind) => `${id("arrival")}[data-kind="${kind}"]`;
const text = (on, name) => on.locator(id(name)).innerText();

/** Goes to the provider from the sign-in page. */
async function goTo(on) {
  await on.goto(installation.origin);
  await on.locator(id("sign-in-provider")).click();
}

/** Who the page says is signed in. */
async function who(on) {
  await on.locator(state("signed-in")).waitFor();
  return await on.evaluate(async () => {
    const answer = await fetch("/chatcode.v1.Accounts/WhoAmI", {
      method: "POST",
      headers: { "content-type": "application/grpc-web+proto", "x-grpc-web": "1" },
      body: new Uint8Array(5),
    });
    return new TextDecoder().decode(await answer.arrayBuffer());
  });
}

/** The whole way to the provider and back in this browser, but for the last step: the address that it is sent back to. */
async function sentBack(on, name) {
  await on.goto(installation.origin);
  let next = await on.evaluate(async () => {
    const doing = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ method: "provider", id: "works" }) };
    return (await (await fetch("/api/sign-in/begin", doing)).json()).provider;
  });
  const steps = { maxRedirects: 0 };
  for (let step = 0; step < 10; step += 1) {
    if (new URL(next).pathname === "/auth/callback/works") return next;
    let answer = await on.context().request.get(next, steps);
    if (answer.status() === 200) answer = await on.context().request.post(next, { ...steps, form: { prompt: "login", login: name, password: "any" } });
    next = new URL(answer.headers().location, next).href;
  }
  throw new Error(`the provider sends nobody back: ${next}`);
}

async function refused(on, url) {
  await on.goto(url);
  await on.locator(arrival("refused")).waitFor();
  assert.equal(new URL(on.url()).pathname + new URL(on.url()).search, "/", "nothing of it stays in the address");
  return await text(on, "arrival-refused");
}

async function ask(on, address) {
  await on.goto(installation.origin);
  await on.locator(id("mail-address")).fill(address);
  await on.locator(id("mail-send")).click();
  return await text(on, "mail-sent");
}

const linkOf = (one) => /http\S+#mail=\S+/.exec(one.text)[0];
const codeOf = (one) => /^\s*(\d{4} \d{4})\s*$/m.exec(one.text)[1];

test("a person whom an administrator added comes in by their company's provider, with the team of their group", async () => {
  await goTo(page);
  await agree(page, "ada");
  assert.match(await who(page), /Ada/);
  assert.equal(new URL(page.url()).pathname + new URL(page.url()).search, "/", "code and state are gone from the address");
  const teams = await installation.cli("admin", "teams", "list", "--json");
  const people = (await installation.cli("admin", "people", "list", "--json")).trim().split("\n").map((line) => JSON.parse(line));
  const ada = people.find(({ name, display_name }) => (name ?? display_name) === "Ada");
  assert.ok(teams.includes(ada.id), `${teams} has ${ada.id}`);
});

test("an answer of the provider counts once, and only in the browser that asked", async () => {
  const url = await sentBack(page, "ada");
  const other = await visitor();
  assert.match(await refused(other.page, url), /another browser/);
  const changed = new URL(url);
  changed.searchParams.set("state", `${changed.searchParams.get("state").slice(0, -1)}_`);
  // The other browser has begun a sign-in of its own.
  await goTo(other.page);
  await other.page.locator('input[name="login"]').waitFor();
  assert.match(await refused(other.page, url), /another sign-in or another browser/);
  await other.context.close();

  await page.goto(url);
  assert.match(await who(page), /Ada/);
  await page.context().clearCookies({ name: /^__Host-chatcode-[0-9a-f]{8}$/ });
  assert.match(await refused(page, url), /begin again/);

  const wrong = new URL(await sentBack(page, "ada"));
  wrong.searchParams.set("state", changed.searchParams.get("state"));
  assert.match(await refused(page, wrong.href), /another sign-in or another browser/);
});

test("an address that the provider has not verified, and one of nobody, are refused in the same words", async () => {
  const words = [];
  for (const name of ["eve", "cy"]) {
    const other = await visitor();
    await goTo(other.page);
    await agree(other.page, name);
    await other.page.locator(arrival("refused")).waitFor();
    words.push(await text(other.page, "arrival-refused"));
    await other.page.locator(id("arrival-leave")).click();
    await other.page.locator(state("signed-out")).waitFor();
    await other.context.close();
  }
  assert.equal(words[0], words[1]);
  assert.match(words[0], /^No account here is linked/);
});

test("who says no at the provider is told so, and no address of the answer leads elsewhere", async () => {
  assert.match(await refused(page, `${installation.origin}/auth/callback/works?error=access_denied&error_description=Call+0900&state=x`), /did not let you in\. It was refused there/);
  assert.match(await refused(page, `${installation.origin}/auth/callback/works?next=https://attacker.test/`), /without an answer/);
  assert.equal(new URL(page.url()).origin, installation.origin);
});

test("an account is added by its person, and never moves to another", async () => {
  const add = async (on) => {
    await on.locator(id("account-open")).click();
    await on.locator(id("provider-add")).click();
    await agree(on, "cy");
  };
  await signIn(page, (await installation.cli("admin", "people", "invite", "Bob")).trim());
  await add(page);
  await page.locator(arrival("added")).waitFor();
  await page.locator(id("arrival-leave")).click();
  assert.match(await who(page), /Bob/);

  const other = await visitor();
  await signIn(other.page, (await installation.cli("admin", "people", "invite", "Eve")).trim());
  await add(other.page);
  await other.page.locator(arrival("refused")).waitFor();
  await other.page.locator(id("arrival-leave")).click();
  assert.match(await who(other.page), /Eve/, "nobody changed account by it");
  await other.context.close();

  const fresh = await visitor();
  await goTo(fresh.page);
  await agree(fresh.page, "cy");
  assert.match(await who(fresh.page), /Bob/);
  await fresh.context.close();
});

test("a mail's link burns nothing until its click, and signs in once", async () => {
  assert.match(await ask(page, "ada@example.org"), /If we know ada@example.org/);
  const one = await mail.next();
  assert.equal(one.to, "ada@example.org");
  assert.ok(one.html.includes(linkOf(one).replaceAll("&", "&amp;")), one.html);
  assert.ok(linkOf(one).startsWith(`${installation.origin}/#mail=`));
  // As a scanner of mails does: it fetches the address, and even runs the page.
  await fetch(linkOf(one));
  const scanner = await visitor();
  await scanner.page.goto(linkOf(one));
  await scanner.page.locator(arrival("mail")).waitFor();
  await scanner.context.close();

  const tab = await context.newPage();
  await tab.goto(linkOf(one));
  await tab.locator(id("arrival-sign-in")).click();
  assert.match(await who(tab), /Ada/);
  assert.equal(new URL(tab.url()).hash, "");
  const again = await visitor();
  await again.page.goto(linkOf(one));
  await again.page.locator(id("arrival-sign-in")).click();
  assert.match(await text(again.page, "arrival-refused"), /unknown, used or expired/);
  await again.context.close();
});

test("a mail's link in another browser says who asked, and goes on when the person does", async () => {
  await ask(page, "ada@example.org");
  const one = await mail.next();
  const other = await visitor();
  await other.page.goto(linkOf(one));
  await other.page.locator(id("arrival-sign-in")).click();
  assert.match(await text(other.page, "arrival-other"), /another browser: Chrome on Linux, from 127\.0\.0\.1.*ada@example\.org/);
  await other.page.locator(id("arrival-sign-in")).click();
  assert.match(await who(other.page), /Ada/);
  await other.context.close();
});

test("a mail's code counts in the browser that asked, and five wrong ones take it back", async () => {
  const type = async (on, code) => {
    await on.locator(id("mail-code")).fill(code);
    await on.locator(id("mail-code-submit")).click();
  };
  await ask(page, "ada@example.org");
  const first = await mail.next();
  await type(page, codeOf(first));
  assert.match(await who(page), /Ada/);

  const other = await visitor();
  await ask(other.page, "bob@example.org");
  const second = await mail.next();
  const wrong = codeOf(second) === "0000 0000" ? "00000001" : "00000000";
  for (const words of [/4 more/, /3 more/, /2 more/, /1 more/, /unknown, used or expired/]) {
    await type(other.page, wrong);
    await other.page.locator(id("sign-in-refused")).filter({ hasText: words }).waitFor();
  }
  await type(other.page, codeOf(second));
  await other.page.locator(id("sign-in-refused")).filter({ hasText: "unknown, used or expired" }).waitFor();
  await other.context.close();
});

test("an address of nobody gets the same answer, and no mail", async () => {
  const known = await ask(page, "ada@example.org");
  assert.equal((await mail.next()).to, "ada@example.org");
  const other = await visitor();
  const unknown = await ask(other.page, "nobody@example.org");
  assert.equal(unknown.replace("nobody@", "ada@"), known);
  // Mails go out one after the other: had there been one, it would have come before this.
  await ask(other.page, "bob@example.org");
  assert.equal((await mail.next()).to, "bob@example.org");
  assert.equal(mail.count(), 0);
  await other.context.close();
});
