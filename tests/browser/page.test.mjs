// What a person does with the page, in a real browser, against the real chain.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { browser, clipboardHolds, enter, id, newSession, screen, shows, signIn, start } from "./installation.mjs";

let installation;
let chromium;
let context;
let page;
let faults;
let signedIn;

before(async () => {
  [installation, chromium] = await Promise.all([start(), browser()]);
  const first = await chromium.newContext();
  await signIn(await first.newPage(), (await installation.cli("login-url")).trim());
  signedIn = await first.storageState();
  await first.close();
});

after(async () => {
  await chromium?.close();
  await installation?.stop();
});

beforeEach(async () => {
  context = await chromium.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "dark", storageState: signedIn });
  page = await context.newPage();
  faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) faults.push(message.text());
  });
  await signIn(page, installation.origin);
});

afterEach(async () => {
  await context.close();
  assert.deepEqual(faults, [], "the page has no fault of its own");
});

test("a shell runs what is typed, and the secret of the URL is gone from it", async () => {
  // With the cookie it would end the sign-in of the others.
  await context.clearCookies();
  await signIn(page, (await installation.cli("login-url")).trim());
  assert.equal(new URL(page.url()).hash, "");
  await newSession(page, { name: "hello" });
  await enter(page, "echo sum=$((40 + 2))");
  await shows(page, "sum=42");
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

test("a program that wants keys told apart gets Shift+Enter as such, also after a reload, and nobody does after it", async () => {
  await newSession(page, { name: "keys" });
  const told = "do read -rsd u keys; echo told-$i-${keys#?}; done";
  await enter(page, `stty -echo -icanon; printf '\\033[>1u'; echo re''ady; for i in 1 2 3 4; ${told}; printf '\\033[<u'; echo o''ver; read -rsn1 key; echo "last-<$key>"; stty sane`);
  await shows(page, /^ready$/m);
  await page.keyboard.press("Shift+Enter");
  await shows(page, /^told-1-\[13;2$/m);
  await page.keyboard.press("Control+Shift+P");
  await page.locator(id("palette")).waitFor();
  await page.keyboard.press("Escape");
  await page.locator(id("palette")).waitFor({ state: "detached" });
  await page.reload();
  await shows(page, /^told-1-\[13;2$/m);
  await page.keyboard.press("Shift+Enter");
  await shows(page, /^told-2-\[13;2$/m);
  await page.keyboard.press("Control+i");
  await shows(page, /^told-3-\[105;5$/m);
  await page.keyboard.press("Escape");
  await shows(page, /^told-4-\[27$/m);
  await shows(page, /^over$/m);
  await page.keyboard.press("Shift+Enter");
  await shows(page, /^last-<>$/m);
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

test("what is typed right after taking over, far away from the machine, waits for the keyboard and arrives whole", async () => {
  await newSession(page, { name: "far" });
  await enter(page, "echo first-window");
  await shows(page, /^first-window$/m);
  const second = await context.newPage();
  await second.routeWebSocket(/\/api\/ws$/, (near) => {
    const far = near.connectToServer();
    near.onMessage((message) => setTimeout(() => far.send(message), 100));
    far.onMessage((message) => setTimeout(() => near.send(message), 100));
  });
  await second.goto(installation.origin);
  await second.locator(id("session")).filter({ hasText: "far" }).first().click();
  await second.locator(id("take-over")).click();
  await second.keyboard.type("echo one-two-three", { delay: 40 });
  await second.keyboard.press("Enter");
  await shows(page, /^one-two-three$/m);
  assert.match(await screen(page), /echo one-two-three$/m, "no key of it was lost");
});

/** Opens the session in one more window, which looks on. */
async function lookOn(name) {
  const other = await context.newPage();
  await other.goto(installation.origin);
  await other.locator(id("session")).filter({ hasText: name }).first().click();
  await other.locator(id("read-only")).waitFor();
  return other;
}

test("a window that comes later sees at once what was drawn before, in its colours and on the other screen", async () => {
  await newSession(page, { name: "drawn" });
  await enter(page, "clear; printf '\\033[38;2;255;120;60mwarm\\033[0m\\n'; echo re''ady");
  await shows(page, /^ready$/m);
  const second = await lookOn("drawn");
  await shows(second, /^warm\nready$/m);
  const warm = second.locator(`${id("pane")}[data-active="true"] .xterm-rows span`).filter({ hasText: /^warm$/ });
  assert.equal(await warm.evaluate((cell) => getComputedStyle(cell).color), "rgb(255, 120, 60)");

  await enter(page, "printf '\\033[?1049h\\033[2J\\033[5;1Hin fu''ll'; read x; printf '\\033[?1049l'; echo le''ft");
  await shows(page, /^in full$/m);
  const third = await lookOn("drawn");
  const text = await shows(third, /^in full$/m);
  assert.equal(text.split("\n").indexOf("in full"), 4, "where it was drawn");
  assert.doesNotMatch(text, /warm/);
  await enter(page, "");
  for (const each of [page, second, third]) await shows(each, /^warm\nready\n(?:.*\n)+left$/m);
});

test("a colour that a program sets stays over another scheme and a reload, and goes as it is taken back", async () => {
  await newSession(page, { name: "colours" });
  const isShown = (color) =>
    page.waitForFunction(
      ([selector, wanted]) => [...document.querySelectorAll(selector)].some((cell) => cell.textContent === "red" && getComputedStyle(cell).color === wanted),
      [`${id("pane")}[data-active="true"] .xterm-rows span`, color],
    );
  const hasGround = (color) =>
    page.waitForFunction(
      ([selector, wanted]) => getComputedStyle(document.querySelector(selector)).backgroundColor === wanted,
      [`${id("pane")}[data-active="true"] .xterm-scrollable-element`, color],
    );
  await enter(page, "clear; printf '\\033[31mred\\033[m\\n\\033]4;1;#010203\\007\\033]11;#040506\\007'");
  await isShown("rgb(1, 2, 3)");
  await hasGround("rgb(4, 5, 6)");
  await page.emulateMedia({ colorScheme: "light" });
  await page.locator('html[data-scheme="light"]').waitFor();
  await isShown("rgb(1, 2, 3)");
  await page.reload();
  await isShown("rgb(1, 2, 3)");
  await hasGround("rgb(4, 5, 6)");
  await enter(page, "printf '\\033]104\\007\\033]111\\007'");
  await isShown("rgb(179, 57, 43)");
  await hasGround("rgb(253, 251, 245)");
});

test("a window that was too slow for a flood is told what it lacks, and has it once somebody scrolls up or searches", async (t) => {
  await newSession(page, { name: "flood" });
  const second = await lookOn("flood");
  const mark = second.locator(id("skipped"));
  const flood = async (word) => {
    const hangs = second.evaluate(() => {
      const end = performance.now() + 5000;
      while (performance.now() < end);
    });
    await enter(page, `clear; seq 1 500000; echo ${word.slice(0, 2)}''${word.slice(2)}`);
    await shows(page, new RegExp(`^${word}$`, "m"));
    await hangs;
    await shows(second, new RegExp(`^${word}$`, "m"));
    await mark.waitFor();
  };
  const numbers = async () => (await screen(second)).split("\n").filter((row) => /^\d+$/.test(row)).map(Number);

  /** Does what brings the lines, waits until they are there, and tells how long that took; beside other load it may be a second. */
  const brings = async (what, act, there) => {
    const from = performance.now();
    await act();
    await there();
    const took = Math.round(performance.now() - from);
    t.diagnostic(`${what} brought the lines in ${took} ms`);
    assert.ok(took < 5000, `${what} brought the lines in ${took} ms`);
  };

  await flood("over");
  await second.locator(`${id("pane")}[data-active="true"] .xterm-screen`).hover();
  await brings("scrolling up", () => second.mouse.wheel(0, -200), () => mark.waitFor({ state: "detached" }));
  const seen = await numbers();
  assert.ok(seen.at(-1) > 499_950, `it stays where the person looked: ${seen.at(-1)}`);
  await second.keyboard.press("Shift+PageUp");
  await second.keyboard.press("Shift+PageUp");
  await second.waitForFunction(
    ([selector, last]) => [...document.querySelectorAll(selector)].every((row) => Number(row.textContent) < last),
    [`${id("pane")}[data-active="true"] .xterm-rows > div`, seen[0]],
  );
  const above = await numbers();
  assert.deepEqual(above, Array.from(above, (_, i) => above[0] + i), "no line is missing");

  await flood("again");
  await second.keyboard.press("Control+Shift+F");
  const found = second.locator(id("search-count")).filter({ hasText: "1 of 1" });
  await brings("searching", () => second.locator(id("search-field")).fill("495123"), () => found.waitFor());
  await shows(second, /^495123$/m);
  assert.equal(await mark.count(), 0);
});

test("whoever types chooses which of the others types next", async () => {
  await newSession(page, { name: "three" });
  const others = [];
  for (const count of [1, 2]) {
    const other = await context.newPage();
    await other.goto(installation.origin);
    await other.locator(id("session")).filter({ hasText: "three" }).first().click();
    await other.locator(id("read-only")).waitFor();
    await page.locator(`${id("presence")} .person-chip`).nth(count - 1).waitFor();
    others.push(other);
  }
  // In the order of their coming.
  const choice = page.locator(id("hand-over"));
  assert.equal(await choice.locator("option:not([disabled])").count(), 2);
  await choice.selectOption({ index: 2 });
  await others[1].locator(id("you-type")).waitFor();
  await others[0].locator(id("read-only")).waitFor();
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
  // The keyboard is the terminal's again.
  await page.waitForFunction(() => document.activeElement?.closest(".xterm") !== null);
  await renamed.hover();
  await renamed.locator(id("end")).click();
  await page.locator(id("end-confirm")).click();
  await page.locator(id("exited")).waitFor();
});

test("when a shell has ended its last line is in view", async () => {
  await newSession(page, { name: "last-line" });
  await enter(page, "seq 1 100; exit");
  const bar = await page.locator(id("exited")).boundingBox();
  await page.waitForFunction(
    ([selector, top]) => document.querySelector(selector).getBoundingClientRect().bottom <= top,
    [`${id("pane")}[data-active="true"] .xterm-screen`, bar.y],
  );
  await shows(page, /^100$/m);
});

test("a shell that crashed is started again, and its tab goes on with it", async () => {
  await newSession(page, { name: "again", restart: "after a crash" });
  await enter(page, "kill -9 $$");
  await page.locator(`${id("session")}[data-current="true"] .session-detail`, { hasText: "restarted once" }).waitFor();
  await page.locator(id("exited")).waitFor({ state: "detached" });
  await page.locator(`${id("pane")}[data-active="true"] ${id("screen")}[data-attached="true"]`).waitFor();
  await enter(page, "echo back=$((40 + 2))");
  await shows(page, "back=42");
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
  await clipboardHolds(page, "pasted-text");
});

test("a paste of ten megabytes arrives whole, and one that is too large not in part", async () => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: installation.origin });
  await newSession(page, { name: "paste" });
  const line = "0123456789abcde\n";
  const lines = 625_000;
  const paste = async (times) => {
    await page.evaluate(([line, times]) => navigator.clipboard.writeText(line.repeat(times)), [line, times]);
    await page.keyboard.press("Control+Shift+V");
  };
  // Brackets as a program asks for them: 6 bytes before and after.
  await enter(page, `clear; stty raw -echo; printf '\\033[?2004h'; head -c ${line.length * lines + 12} | md5sum; printf '\\033[?2004l'; stty sane; echo o''ver`);
  await page.waitForFunction(() => document.querySelector('[data-testid="pane"][data-active="true"] .xterm-rows')?.textContent.trim() === "");
  await paste(lines * 2);
  await page.locator(id("input-notice")).filter({ hasText: "nothing of it was sent" }).waitFor();
  await paste(lines);
  await page.locator(id("paste-going")).waitFor();
  const sum = createHash("md5").update(`\x1b[200~${line.replace("\n", "\r").repeat(lines)}\x1b[201~`).digest("hex");
  await shows(page, new RegExp(`^${sum} {2}-$`, "m"));
  await shows(page, /over$/m);
  await page.locator(id("paste-going")).waitFor({ state: "detached" });
});

test("a hostile program can neither script the page, nor set the clipboard, nor open what is no web link", async () => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: installation.origin });
  page.on("dialog", (dialog) => {
    faults.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await newSession(page, { name: "attack" });
  await page.evaluate(() => navigator.clipboard.writeText("mine"));
  const attack = [
    "\\033]0;<img src=x onerror=alert(1)>\\007",
    "\\033]52;c;ZXZpbA==\\007",
    "\\033]8;;javascript:alert(2)\\033\\\\evil-link\\033]8;;\\033\\\\ ",
    "\\033]8;;http://localhost:9/\\033\\\\good-link\\033]8;;\\033\\\\",
  ].join("");
  await enter(page, `clear; printf '${attack}\\n'; echo do''ne`);
  await shows(page, /^done$/m);
  assert.equal(await page.locator("img").count(), 0);
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "mine");

  const opened = [];
  context.on("page", (other) => opened.push(other));
  await clickOn("evil-link");
  const good = context.waitForEvent("page");
  await clickOn("good-link");
  await good;
  assert.equal(opened.length, 1, "only the web link opens a page");
});

/** Does what the palette calls so. */
async function command(name) {
  await page.keyboard.press("Control+Shift+P");
  await page.locator(id("palette")).waitFor();
  await page.keyboard.type(name);
  await page.keyboard.press("Enter");
  await page.locator(id("palette")).waitFor({ state: "detached" });
}

test("a program writes the clipboard only as the person lets it, and never by what it printed before", async () => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: installation.origin });
  const offer = page.locator(id("clipboard-offer"));
  const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
  const holds = (text) => clipboardHolds(page, text);
  const copies = async (...texts) => {
    const sequences = texts.map((text) => `\\033]52;c;${Buffer.from(text).toString("base64")}\\007`);
    await enter(page, `clear; printf '${sequences.join("")}'; echo do''ne`);
    await shows(page, /^done$/m);
  };
  await newSession(page, { name: "writer" });
  await page.evaluate(() => navigator.clipboard.writeText("mine"));
  await copies("unwanted");
  assert.deepEqual([await clipboard(), await offer.count()], ["mine", 0]);

  await command("clipboard: ask");
  await copies("an older one", "two\nlines");
  assert.match(await offer.innerText(), /writer[^]*9 characters[^]*two ↵ lines/);
  assert.equal(await clipboard(), "mine");
  await page.locator(id("clipboard-copy")).click();
  await holds("two\nlines");
  await offer.waitFor({ state: "detached" });
  await copies("by keyboard");
  await offer.waitFor();
  await command("copy what the program offers");
  await holds("by keyboard");
  await offer.waitFor({ state: "detached" });

  await command("clipboard: always");
  await copies("at once");
  await holds("at once");
  await page.evaluate(() => navigator.clipboard.writeText("mine"));
  await page.reload();
  await shows(page, /^done$/m);
  assert.equal(await clipboard(), "mine");
  await copies("the choice is kept");
  await holds("the choice is kept");
});

test("a program's questions are answered once, however many look on, and never about the clipboard", async () => {
  await newSession(page, { name: "queries" });
  await enter(page, "echo re''ady");
  await shows(page, /^ready$/m);
  const second = await context.newPage();
  await second.goto(installation.origin);
  await second.locator(id("session")).filter({ hasText: "queries" }).first().click();
  await second.locator(id("read-only")).waitFor();
  await shows(second, /^ready$/m);
  const questions = "\\033[c\\033[6n\\033[5n\\033]52;c;?\\007\\033[21t";
  // Whatever comes as input within two seconds is printed.
  await enter(page, `clear; stty -icanon -echo min 0 time 20; printf '${questions}'; echo "[$(cat -v)]"; stty sane; echo do''ne`);
  const text = (await shows(page, /^done$/m)).replaceAll("\n", "");
  assert.match(text, /\[\^\[\[\?[\d;]+c\^\[\[\d+;\d+R\^\[\[0n\]done/, "each answered once, and nothing else");
  await shows(second, /^done$/m);
  assert.equal(await second.locator(id("input-notice")).count(), 0, "no page even tried");
});

const PARTS = [
  ["edge", "edge"],
  ["core", "core"],
  ["gateway", "machine"],
];

/** From here on the page notes each part that it says is down, for however short a time. */
async function watchBlame() {
  await page.locator(`${id("status")}[data-down=""]`).waitFor();
  await page.evaluate((selector) => {
    const wire = document.querySelector(selector);
    window.accused = [];
    window.watching?.disconnect();
    window.watching = new MutationObserver(() => window.accused.push(wire.dataset.down));
    window.watching.observe(wire, { attributeFilter: ["data-down"] });
  }, id("status"));
}

/** The parts that the page said are down since `watchBlame`. */
async function blamed() {
  return [...new Set(await page.evaluate(() => window.accused))].filter(Boolean);
}

test("over the sudden death of each part the page says what is down, keeps what is typed, and loses no output", async () => {
  await newSession(page, { name: "broken" });
  for (const [role, hop] of PARTS) {
    await enter(page, "clear; stty -echo; for i in $(seq 200); do printf '%d;' $i; sleep 0.03; done; stty echo; echo en''d");
    await shows(page, /;12;/);
    await watchBlame();
    await installation.signal(role, "SIGKILL");
    await page.waitForFunction(() => window.accused.some(Boolean));
    await enter(page, `echo aft''er-${role}`);
    const text = await shows(page, new RegExp(`^after-${role}$`, "m"));
    // A core that is back has to wait for the machine, and the page says that too.
    assert.equal((await blamed())[0], hop);
    assert.equal(text.split(`after-${role}\n`).length, 2, "typed once");
    const numbers = /((?:\d+;)+)end/.exec(text.replaceAll("\n", ""))[1].split(";").slice(0, -1).map(Number);
    assert.deepEqual(numbers, Array.from({ length: 200 }, (_, i) => i + 1), "each number once");
  }
});

test("while a part hangs the page names that part and no other, and goes on when it does", async () => {
  await newSession(page, { name: "hung" });
  for (const [role, hop] of PARTS) {
    await enter(page, `clear; echo be''fore-${role}`);
    await shows(page, new RegExp(`^before-${role}$`, "m"));
    await watchBlame();
    await installation.signal(role, "SIGSTOP");
    try {
      await page.locator(`${id("status")}[data-down="${hop}"]`).waitFor({ timeout: 60_000 });
      assert.deepEqual(await blamed(), [hop]);
    } finally {
      await installation.signal(role, "SIGCONT");
    }
    await page.locator(`${id("status")}[data-down=""]`).waitFor({ timeout: 60_000 });
    await enter(page, `echo aft''er-${role}`);
    await shows(page, new RegExp(`^after-${role}$`, "m"));
  }
});

test("a fresh sign-in in another tab ends the one before, and the first tab goes on with it", async () => {
  await newSession(page, { name: "renewed" });
  await enter(page, "echo be''fore");
  await shows(page, /^before$/m);
  const second = await context.newPage();
  await signIn(second, (await installation.cli("login-url")).trim());
  await page.bringToFront();
  await page.locator(`${id("pane")}[data-active="true"] ${id("screen")}[data-attached="true"]`).waitFor();
  await enter(page, "echo aft''er");
  await shows(page, /^after$/m);
  assert.equal(await page.locator(id("sign-in-state")).getAttribute("data-state"), "signed-in");
  signedIn = await context.storageState();
});

test("signing out says when it did not work, and works when it is tried again", async () => {
  // This sign-in is the test's own: the others go on with theirs.
  await context.clearCookies();
  await signIn(page, (await installation.cli("login-url")).trim());
  await page.route("**/api/sign-out", (route) => route.abort());
  await page.locator(id("sign-out")).click();
  await page.locator(id("failure")).filter({ hasText: "Not signed out yet" }).waitFor();
  await page.unroute("**/api/sign-out");
  await page.locator(id("failure-again")).click();
  await page.locator(`${id("sign-in-state")}[data-state="signed-out"]`).waitFor();
  await page.reload();
  await page.locator(`${id("sign-in-state")}[data-state="signed-out"]`).waitFor();
});

/** Clicks on this text of the terminal in front. */
async function clickOn(text) {
  const row = page.locator(`${id("pane")}[data-active="true"] .xterm-rows > div`).filter({ hasText: text }).first();
  const at = (await row.innerText()).indexOf(text) + text.length / 2;
  const [box, screenBox] = await Promise.all([row.boundingBox(), page.locator(`${id("pane")}[data-active="true"] .xterm-screen`).boundingBox()]);
  const columns = Number(await page.locator(`${id("pane")}[data-active="true"] ${id("screen")}`).getAttribute("data-cols"));
  const [x, y] = [box.x + (at * screenBox.width) / columns, box.y + box.height / 2];
  await page.mouse.move(x - 3, y);
  await page.mouse.move(x, y);
  await page.mouse.click(x, y);
}
