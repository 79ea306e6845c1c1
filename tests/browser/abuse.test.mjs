// What strangers write stays text: names, titles, addresses and output of programs, in every face that shows them (threats T20, T24, T25).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { browser, enter, id, newSession, shows, signIn, start } from "./installation.mjs";

const EVIL = `<img src=x onerror="window.harmed=1">`;
const SCRIPT = `"><script>window.harmed=1</script>`;

let installation;
let chromium;

before(async () => {
  [installation, chromium] = await Promise.all([start(undefined, { env: { CHATCODE_EDGE_SIGN_IN_PER_MINUTE: "600" } }), browser()]);
});

after(async () => {
  await chromium?.close();
  await installation?.stop();
});

/** A page on which nothing harmful may happen, and what did. */
async function watched(options = {}) {
  const context = await chromium.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("dialog", (dialog) => {
    wrong.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("request", (request) => {
    if (new URL(request.url()).pathname === "/x") wrong.push(`asked for ${request.url()}`);
  });
  const isUnharmed = async (where) => {
    assert.equal(await page.evaluate(() => window.harmed), undefined, where);
    assert.equal(await page.locator('img[src="x"], script:not([src])').count(), 0, where);
    assert.deepEqual(wrong, [], where);
  };
  return { context, page, isUnharmed };
}

test("t20 names of sessions, people, teams, tokens and guests are text in every face", async () => {
  await installation.cli("admin", "people", "add", EVIL);
  await installation.cli("admin", "teams", "add", SCRIPT);
  await installation.cli("admin", "api-tokens", "create", EVIL, "--person", "Owner", "--role", "viewer");
  const { context, page, isUnharmed } = await watched();
  await signIn(page, (await installation.cli("login-url")).trim());
  await newSession(page, { name: EVIL, command: "bash --norc" });
  assert.equal(await page.locator(id("tab")).innerText(), EVIL);
  await isUnharmed("the list and the tabs");
  await page.locator(id("directory-open")).click();
  await page.locator(id("person")).filter({ hasText: EVIL }).locator(id("person-open")).click();
  await page.locator(id("person-details")).waitFor();
  await page.locator(id("person")).filter({ has: page.locator("b", { hasText: /^Owner$/ }) }).locator(id("person-open")).click();
  await page.locator(id("api-token")).filter({ hasText: EVIL }).waitFor();
  await page.locator(id("directory-teams")).click();
  await page.locator(id("team")).filter({ hasText: SCRIPT }).waitFor();
  await isUnharmed("people and teams");
  await page.keyboard.press("Escape");
  await page.locator(id("directory")).waitFor({ state: "detached" });
  await page.locator(id("audit-open")).click();
  await page.locator(id("audit")).getByText("person.created").first().click();
  await isUnharmed("the audit");
  await page.keyboard.press("Escape");
  await page.locator(id("audit")).waitFor({ state: "detached" });

  await page.locator(id("share-open")).click();
  await page.locator(id("share-make")).click();
  const link = await page.locator(id("share-link")).inputValue();
  const guest = await watched();
  await guest.page.goto(link);
  assert.equal(await guest.page.locator(id("coming-session")).innerText(), EVIL);
  await guest.page.locator(id("coming-name")).fill(EVIL);
  await guest.page.locator(id("coming-enter")).click();
  await guest.page.locator(`${id("screen")}[data-attached="true"]`).waitFor();
  await page.locator(id("share-guest")).filter({ hasText: `${EVIL} (guest)` }).waitFor();
  await guest.isUnharmed("the page of guests");
  await isUnharmed("those who are here");
  await guest.context.close();
  await context.close();
});

test("t21 titles and output of a program are text, and answer nothing that was not asked", async () => {
  const { context, page, isUnharmed } = await watched();
  await signIn(page, (await installation.cli("login-url")).trim());
  await newSession(page, { name: "hostile", command: "bash --norc" });
  await enter(page, `printf '\\033]0;<img src=x onerror=window.harmed=1>\\007\\033]2;<script>window.harmed=1</script>\\007'; printf '<img src=x onerror="window.harmed=1">\\n'; printf '\\033]8;;javascript:window.harmed=1\\007pres%s-here\\033]8;;\\007\\n' s; printf '\\033[21t\\033]52;c;?\\007'; echo o''ver`);
  await shows(page, "over");
  await page.locator(`${id("tab")}[title*="<script>"]`).waitFor();
  const link = await page.locator(".xterm-rows").getByText("press-here").first().boundingBox();
  await page.mouse.click(link.x + link.width / 2, link.y + link.height / 2);
  await isUnharmed("titles, output and links");
  await enter(page, "echo st''ill");
  const text = await shows(page, "still");
  assert.ok(!/\]52;c;|\]l<|window\.harmed=1<\/script>\s*\n.*\$/.test(text.slice(text.indexOf("over"))), "nothing was typed into the shell by what it printed");
  await context.close();
});

test("t13 what stands in the address leads nowhere else", async () => {
  const { context, page, isUnharmed } = await watched();
  await signIn(page, (await installation.cli("login-url")).trim());
  const origin = new URL(page.url()).origin;
  for (const address of [
    "/?next=https://evil.example/", "/?redirect=//evil.example", "/#login=//evil.example", "/#mail=https://evil.example", "/#share=../../evil",
    "/#device=%3Cscript%3E", "/auth/callback/works?code=a&state=//evil.example&next=//evil.example", "/auth/callback/works?error=%3Cimg%20src%3Dx%3E",
    "/s/0a1b2c3d-0000-4000-8000-000000000000?next=//evil.example", "/s/..%2f..%2fevil", "//evil.example/", "/\\evil.example",
  ]) {
    await page.goto(`${origin}${address}`).catch(() => undefined);
    await page.waitForLoadState();
    assert.equal(new URL(page.url()).origin, origin, address);
    await isUnharmed(address);
  }
  await context.close();
});
