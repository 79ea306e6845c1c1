// Pictures of every state of the page, by a headless Chromium against the
// mock: `node dev/shots.mjs [name...]`, after `npm run build`. Into shots/. Each state has to be accessible too.

import { spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

import { settled, violations } from "./axe.mjs";

const web = dirname(dirname(fileURLToPath(import.meta.url)));
const port = 4390;
const origin = `http://localhost:${port}`;
const wanted = process.argv.slice(2);
mkdirSync(join(web, "shots"), { recursive: true });

const mock = spawn(process.execPath, ["--import", "tsx", join(web, "dev/mock.ts")], { cwd: web, env: { ...process.env, PORT: String(port) } });
mock.stderr.on("data", (data) => process.stderr.write(data));
await new Promise((resolve) => mock.stdout.once("data", resolve));
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });

const id = (name) => `[data-testid="${name}"]`;
const visible = (page, name) => page.locator(`${id(name)}:visible`).first();
const fault = (query) => fetch(`${origin}/dev/fault?${query}`, { method: "POST" });

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "dark", ...options });
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") process.stdout.write(`  console: ${message.text()}\n`);
  });
  page.on("pageerror", (error) => process.stdout.write(`  page error: ${error.message}\n`));
  return page;
}

async function signIn(page) {
  await page.goto(`${origin}/#login=dev`);
  await page.waitForSelector(`${id("sign-in-state")}[data-state="signed-in"]`);
  await page.waitForSelector(id("session"), { state: "attached" });
}

async function enter(page, name) {
  await page.locator(id("session"), { hasText: name }).locator("button").first().click();
  await page.waitForSelector(`.pane:not([hidden]) ${id("screen")}[data-attached="true"]`);
}

/** Throws when an open dialog does not begin with its title. */
async function beginsAtTitle(page) {
  const { top, from } = await page.evaluate(() => {
    const dialog = document.querySelector("dialog[open]");
    return { top: dialog.querySelector("h2").getBoundingClientRect().top, from: dialog.getBoundingClientRect().top };
  });
  if (top < from) throw new Error(`the dialog's title is ${Math.round(from - top)} px above its edge`);
}

/** Throws when a session's buttons lie upon its words. */
async function wordsGiveWay(row) {
  await row.hover();
  const under = await row.evaluate((shown) => {
    const acts = shown.querySelector(".session-acts").getBoundingClientRect();
    return [...shown.querySelectorAll(".session-name, .session-detail")].filter((one) => one.getBoundingClientRect().right > acts.left).map((one) => one.className);
  });
  if (under.length > 0) throw new Error(`buttons lie upon ${under.join(", ")}`);
}

async function run(page, text, sees) {
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
  await page.locator(`.pane:not([hidden]) .xterm-rows`, { hasText: sees }).waitFor();
}

const colours =
  "clear; for i in 0 1 2 3 4 5 6 7; do printf '\\033[3%sm colour %s \\033[0m\\033[9%sm bright %s \\033[0m\\033[4%sm   \\033[0m\\n' $i $i $i $i $i; done; " +
  "printf '\\033[1mbold\\033[0m \\033[3mitalic\\033[0m \\033[4munder\\033[0m \\033[2mdim\\033[0m \\033[7minverse\\033[0m\\n'; echo '┌──────┐'; echo '│ 箱 ü │'; echo '└──────┘'; ls -la --color=always / | head -12; echo https://example.org/; echo do''ne";

async function openList(page) {
  if (await page.locator(id("list-toggle")).isVisible()) await page.locator(id("list-toggle")).click();
}

async function addMachine(page, shot) {
  await fault("hop=tokens&none=1");
  await signIn(page);
  await openList(page);
  await visible(page, "add-machine-open").click();
  await page.locator(id("add-machine-name")).fill("build-3");
  await page.locator(id("tokens-none")).waitFor();
  await shot("asked");
  await page.locator(id("add-machine-make")).click();
  await page.locator(id("add-machine-token")).waitFor();
  await shot("made");
}

/** Where only this machine reaches the core. */
async function addMachineNear(page, shot) {
  await page.route("**/api/install", (route) => route.fulfill({ json: { core: "localhost:7421" } }));
  await signIn(page);
  await openList(page);
  await visible(page, "add-machine-open").click();
  await page.locator(id("add-machine-make")).click();
  await page.locator(id("add-machine-near")).waitFor();
  await shot();
}

async function tokens(page, shot) {
  await fault("hop=tokens");
  await fault("hop=pending");
  await signIn(page);
  await openList(page);
  await visible(page, "waiting-machine").waitFor();
  await shot("list");
  await visible(page, "add-machine-open").click();
  await page.locator(id("token")).nth(1).waitFor();
  await shot();
  await page.locator(id("token-take-back")).nth(1).click();
  await page.locator(id("token-question")).scrollIntoViewIfNeeded();
  await shot("question");
  await page.locator(id("token-confirm")).click();
  await page.locator(id("token")).nth(1).waitFor({ state: "detached" });
  await page.locator(`${id("add-machine")} ${id("waiting-machine")}`).click();
  await page.locator(id("fingerprint")).waitFor();
  await shot("approval");
  await fault("hop=pending&none=1");
  await page.locator(id("approval-over")).waitFor();
  await shot("over");
}

async function machine(page, shot) {
  await fault("hop=trouble");
  await signIn(page);
  const details = async (name) => {
    await openList(page);
    await page.locator(id("machine"), { hasText: name }).locator(id("machine-open")).click();
    await page.locator(id("machine-facts")).waitFor();
  };
  await details("harbour");
  await page.locator(id("machine-update")).waitFor();
  await shot();
  await page.locator(id("machine-update")).click();
  await page.locator(id("update-confirm")).click();
  await page.locator(id("refused")).waitFor();
  await shot("update-refused");
  await page.keyboard.press("Escape");
  await details("old-laptop");
  await shot("away");
  await page.keyboard.press("Escape");
  await fault("hop=trouble&kind=certificate");
  await openList(page);
  await visible(page, "machine-trouble").waitFor();
  await shot("trouble-list");
  await visible(page, "machine-trouble").click();
  await page.locator(id("machine-facts")).waitFor();
  await shot("trouble");
  await page.locator(id("machine-revoke")).click();
  await page.locator(id("revoke-confirm")).click();
  await page.locator(id("refused")).waitFor();
  await shot("revoke");
}

/** A link to a session: what is asked, and the link, which is shown once. */
async function share(page, shot) {
  await signIn(page);
  await openList(page);
  await enter(page, "claude");
  await visible(page, "share-open").click();
  await page.locator(id("shares-none")).waitFor();
  await shot();
  await page.locator(id("share-make")).click();
  await page.locator(id("share-link")).waitFor();
  const { link, dialog, primary } = await page.evaluate(() => {
    const width = (selector) => document.querySelector(selector).getBoundingClientRect().width;
    return { link: width('[data-testid="share-link"]'), dialog: width("dialog[open] .dialog-body"), primary: document.querySelectorAll("dialog[open] .primary").length };
  });
  if (link < 0.6 * dialog || primary !== 1) throw new Error(`the link has ${link} of ${dialog} px, and there are ${primary} primary buttons`);
  await shot("made");
  await page.locator(id("share-revoke")).click();
  await page.locator(id("shares-none")).waitFor();
}

async function device(page, shot) {
  await page.goto(`${origin}/#device=BCDF-GHJK`);
  await page.locator(id("sign-in-device")).waitFor();
  await shot("signed-out");
  await page.goto(`${origin}/#login=dev`);
  await page.locator(id("device-code")).waitFor();
  await shot("code");
  await page.locator(id("device-code")).fill("BCDF");
  await page.locator(id("device-look")).click();
  await page.locator(id("refused")).waitFor();
  await shot("refused");
  await page.locator(id("device-code")).fill("BCDF-GHJK");
  await page.keyboard.press("Enter");
  await page.locator(id("device-shown")).waitFor();
  await shot();
  await page.locator(id("device-approve")).click();
  await page.locator(id("device-decided")).waitFor();
  await shot("decided");
}

async function copied(page, shot) {
  await fault("hop=trouble&kind=copy");
  await signIn(page);
  await openList(page);
  await visible(page, "machine-alarm").waitFor();
  await shot("list");
  await visible(page, "machine-alarm").click();
  await page.locator(id("alarm")).waitFor();
  await beginsAtTitle(page);
  await shot();
  await page.locator(id("alarm-acknowledge")).click();
  await page.locator(id("alarm")).waitFor({ state: "detached" });
  await beginsAtTitle(page);
  await shot("acknowledged");
}

async function audit(page, shot) {
  await signIn(page);
  await openList(page);
  await visible(page, "audit-open").click();
  await page.locator(id("audit-row")).nth(50).waitFor();
  await shot();
  await page.locator(id("audit-row")).nth(2).locator("button").first().click();
  await page.locator(id("audit-details")).waitFor();
  await shot("details");
  await page.locator(id("audit-details")).getByText("Only by this").click();
  await page.locator(id("audit-only")).waitFor();
  await page.locator(id("audit-result")).selectOption("refused");
  await page.waitForTimeout(500);
  await shot("chosen");
  await page.locator(id("audit-text")).fill("nowhere");
  await page.locator(id("audit-none")).waitFor();
  await shot("none");
  await page.locator(id("audit-text")).fill("");
  await page.locator(id("audit-only")).click();
  await page.locator(id("audit-result")).selectOption("");
  // The end comes into view again and again, until all rows are there.
  await page.waitForFunction((rows) => {
    const list = document.querySelector('[data-testid="audit-rows"]');
    list.scrollTop = list.scrollHeight;
    return document.querySelectorAll('[data-testid="audit-row"]').length === rows;
  }, 640);
  const saved = page.waitForEvent("download");
  await page.locator(id("audit-export")).click();
  const text = readFileSync(await (await saved).path(), "utf8");
  if (text.trimEnd().split("\n").length !== 642) throw new Error(`the export has other lines: ${text.slice(0, 400)}`);
}

async function offerClipboard(page, shot) {
  await signIn(page);
  await openList(page);
  await enter(page, "claude");
  await page.keyboard.press("Control+Shift+P");
  await page.keyboard.type("clipboard");
  await page.waitForTimeout(300);
  await shot("settings");
  await page.keyboard.type(": ask");
  await page.keyboard.press("Enter");
  await run(page, "clear; printf '\\033]52;c;'; printf 'git fetch origin\\ngit switch --detach origin/a-branch-with-a-long-name # and so on' | base64 -w 0; printf '\\007'; echo do''ne", "done");
  await visible(page, "clipboard-offer").waitFor();
  await page.waitForTimeout(300);
  await shot();
}

/** The faces of signing in and of the account. */
async function account(page, shot) {
  await fault("hop=account");
  await page.goto(origin);
  await page.locator(id("sign-in-passkey")).waitFor();
  await page.locator(id("sign-in-email")).fill("ada@example.org");
  await shot("sign-in");
  await page.locator(id("sign-in-password")).fill("correct horse battery");
  await page.locator(id("sign-in-submit")).click();
  await page.waitForSelector(id("sign-in-refused"));
  await shot("refused");
  await signIn(page);
  await openList(page);
  await visible(page, "account-open").click();
  await page.locator(id("browser")).nth(1).waitFor();
  await beginsAtTitle(page);
  await shot();
  await page.locator(id("identity-rename")).nth(1).click();
  await page.locator(id("identity-label")).waitFor();
  await page.keyboard.press("Escape");
  await page.locator(id("password-open")).click();
  await page.locator(id("password-form")).scrollIntoViewIfNeeded();
  await shot("password");
  await page.locator(`${id("password-form")} .quiet`).click();
  await page.locator(id("identity-remove")).nth(1).click();
  await shot("question");
  await page.locator(id("identity-confirm")).click();
  await page.locator(id("prove-passkey")).waitFor();
  await shot("prove");
  await fault("hop=account&none=1");
}

/** What somebody sees who came by a mail, or from an identity provider. */
async function elsewhere(page, shot) {
  await fault("hop=account");
  await page.goto(origin);
  await page.locator(id("mail-address")).fill("ada@example.org");
  await page.locator(id("mail-send")).click();
  await page.locator(id("mail-code")).waitFor();
  await shot();
  await page.goto(`${origin}/#mail=SECRET`);
  await page.locator(id("arrival-sign-in")).click();
  await page.locator(id("arrival-other")).waitFor();
  await shot("other");
  await page.goto(`${origin}/auth/callback/works?error=access_denied&state=in.x`);
  await page.locator(id("arrival-refused")).waitFor();
  await shot("refused");
  await signIn(page);
  await openList(page);
  await visible(page, "account-open").click();
  await page.locator(id("mail-add")).click();
  await page.locator(id("mail-add-form")).scrollIntoViewIfNeeded();
  await shot("add");
  await fault("hop=account&none=1");
}

/** What is offered once to somebody who came by a link. */
async function offer(page, shot) {
  await fault("hop=account&none=1");
  await fault("hop=account&offer=1");
  await signIn(page);
  await openList(page);
  await visible(page, "passkey-offer").waitFor();
  await shot();
  await fault("hop=account&none=1");
}

const states = {
  account,
  accountPhone: account,
  elsewhere,
  elsewherePhone: elsewhere,
  offer,
  offerPhone: offer,
  async signedOut(page, shot) {
    await page.goto(origin);
    await page.waitForSelector(`${id("sign-in-state")}[data-state="signed-out"]`);
    await shot();
  },
  async refused(page, shot) {
    await page.goto(`${origin}/#login=wrong`);
    await page.waitForSelector(id("sign-in-refused"));
    await shot();
  },
  async nothing(page, shot) {
    await signIn(page);
    await shot();
  },
  async terminal(page, shot) {
    await signIn(page);
    await enter(page, "deploy");
    await enter(page, "claude");
    await run(page, colours, "done");
    await page.waitForTimeout(3500);
    await shot();
  },
  addMachine,
  addMachinePhone: addMachine,
  addMachineNear,
  addMachineNearPhone: addMachineNear,
  tokens,
  tokensPhone: tokens,
  machine,
  machinePhone: machine,
  share,
  sharePhone: share,
  copied,
  copiedPhone: copied,
  device,
  devicePhone: device,
  audit,
  auditPhone: audit,
  async hover(page, shot) {
    await signIn(page);
    await page.locator(id("new-session")).click();
    await page.locator(id("new-session-name")).fill("long");
    await page.locator(id("new-session-command")).fill("bash -c 'echo a command that is longer than its row; exec bash --norc'");
    await page.locator(id("new-session-create")).click();
    await page.waitForSelector(`.pane:not([hidden]) ${id("screen")}[data-attached="true"]`);
    const row = page.locator(id("session"), { hasText: "a command that is longer" });
    await wordsGiveWay(row);
    await shot();
    await wordsGiveWay(page.locator(id("session"), { hasText: "ended with 101" }));
    await shot("ended");
    await row.locator(id("end")).click();
    await page.locator(id("end-confirm")).click();
    await page.locator(`${id("session")}[data-state="exited"]`, { hasText: "long" }).waitFor();
    await page.locator(id("session"), { hasText: "long" }).locator(id("forget")).click();
  },
  async newSession(page, shot) {
    await signIn(page);
    await enter(page, "shell");
    await page.keyboard.press("Control+Shift+Enter");
    await page.waitForSelector(id("new-session-form"));
    await shot();
  },
  async palette(page, shot) {
    await signIn(page);
    await enter(page, "shell");
    await page.keyboard.press("Control+Shift+P");
    await page.waitForSelector(id("palette"));
    await shot();
  },
  async end(page, shot) {
    await signIn(page);
    await page.locator(id("session"), { hasText: "shell" }).hover();
    await page.locator(id("session"), { hasText: "shell" }).locator(id("end")).click();
    await page.waitForSelector(id("end-question"));
    await shot();
  },
  async search(page, shot) {
    await signIn(page);
    await enter(page, "claude");
    await run(page, colours, "done");
    await page.keyboard.press("Control+Shift+F");
    await page.keyboard.type("colour");
    await page.waitForTimeout(400);
    await shot();
  },
  async paste(page, shot) {
    await signIn(page);
    await enter(page, "deploy");
    await run(page, "cat", "cat");
    await page.keyboard.press("Control+c");
    await page.keyboard.type("printf '\\033[?2004l'; sleep 5\n");
    await page.waitForTimeout(300);
    await page.evaluate(() => {
      const data = new DataTransfer();
      data.setData("text/plain", "git fetch origin\ngit reset --hard origin/main\nrm -rf node_modules\n");
      document.querySelector(".pane:not([hidden]) textarea").dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    });
    await page.waitForSelector(id("paste-question"));
    await shot();
  },
  async clipboard(page, shot) {
    await offerClipboard(page, shot);
  },
  async clipboardPhone(page, shot) {
    await offerClipboard(page, shot);
  },
  async machineDown(page, shot) {
    await signIn(page);
    await enter(page, "claude");
    await run(page, "clear; echo he''re", "here");
    await fault("hop=machine&ms=9000");
    await page.waitForTimeout(300);
    await page.keyboard.type("echo typed while away\n");
    await page.waitForSelector(id("line-note"));
    await page.waitForTimeout(3200);
    await shot();
    await page.locator(".pane:not([hidden]) .xterm-rows", { hasText: "typed while away" }).waitFor({ timeout: 20000 });
  },
  async coreDown(page, shot) {
    await signIn(page);
    await enter(page, "shell");
    await fault("hop=core&ms=5000");
    await page.waitForSelector(id("line-note"));
    await page.waitForTimeout(2500);
    await shot();
    await page.waitForSelector(`.pane:not([hidden]) ${id("screen")}[data-attached="true"]`, { timeout: 20000 });
  },
  async edgeDown(page, shot) {
    await signIn(page);
    await fault("hop=edge&ms=5000");
    await page.waitForTimeout(3500);
    await shot();
    await page.waitForSelector(`${id("status")}[data-down=""]`, { timeout: 20000 });
  },
  async edgeDownAtStart(page, shot) {
    await signIn(page);
    await fault("hop=core&ms=4000");
    await page.reload();
    await page.waitForSelector(`${id("sign-in-state")}[data-state="waiting"]`);
    await page.waitForTimeout(2000);
    await shot();
    await page.waitForSelector(`${id("sign-in-state")}[data-state="signed-in"]`, { timeout: 20000 });
  },
  async lookOn(page, shot) {
    const other = await open();
    await fault("hop=name&name=alex");
    await signIn(other);
    await enter(other, "shell");
    await signIn(page);
    await enter(page, "shell");
    await visible(page, "read-only").waitFor();
    await page.keyboard.type("x");
    await page.waitForTimeout(300);
    await shot();
    await visible(page, "take-over").click();
    await visible(page, "you-type").waitFor();
    await shot("took");
    await other.context().close();
  },
  async skipped(page, shot) {
    const other = await open();
    await signIn(other);
    await enter(other, "deploy");
    await signIn(page);
    await enter(page, "deploy");
    await other.keyboard.type("clear; for i in $(seq 40); do seq 1 9000; sleep 0.05; done; echo do''ne\n");
    await page.evaluate(() => {
      const end = performance.now() + 4000;
      while (performance.now() < end);
    });
    await visible(page, "skipped").waitFor();
    await page.locator(".pane:not([hidden]) .xterm-rows", { hasText: "done" }).waitFor();
    await page.waitForTimeout(500);
    await shot();
    await page.locator(".xterm-screen:visible").hover();
    await page.mouse.wheel(0, -200);
    await visible(page, "skipped").waitFor({ state: "detached" });
    await shot("loaded");
    await other.context().close();
  },
  async ended(page, shot) {
    await signIn(page);
    await page.locator(id("new-session")).click();
    await page.locator(id("new-session-name")).fill("short");
    await page.locator(id("new-session-command")).fill("sh -c 'echo one; sleep 1; exit 3'");
    await page.locator(id("new-session-create")).click();
    await visible(page, "exited").waitFor();
    await shot();
  },
  async reload(page, shot) {
    await signIn(page);
    await enter(page, "shell");
    await run(page, "clear; mark=$((40+2)); echo ma''rk $mark", "mark 42");
    await page.reload();
    await page.waitForSelector(`.pane:not([hidden]) ${id("screen")}[data-attached="true"]`);
    await run(page, "echo still $mark", "still 42");
    if ((await page.locator(`${id("presence")}:visible`).count()) !== 0) throw new Error("the page met itself");
    await shot();
  },
  async fullScreen(page, shot) {
    await signIn(page);
    await enter(page, "claude");
    await run(page, "clear; printf '\\033[38;2;255;120;60mtrue\\033[0m\\n'", "true");
    const colour = await page.locator(".pane:not([hidden]) .xterm-rows span", { hasText: /^true$/ }).last().evaluate((cell) => getComputedStyle(cell).color);
    if (colour !== "rgb(255, 120, 60)") throw new Error(`true colour is ${colour}`);
    await page.keyboard.type("top\n");
    await page.locator(".pane:not([hidden]) .xterm-rows", { hasText: "COMMAND" }).waitFor();
    await page.setViewportSize({ width: 900, height: 600 });
    await page.waitForTimeout(1500);
    await shot();
    await page.keyboard.type("q");
    await page.setViewportSize({ width: 1280, height: 800 });
  },
  async signOut(page, shot) {
    await signIn(page);
    await enter(page, "shell");
    await page.locator(id("sign-out")).click();
    await page.waitForSelector(`${id("sign-in-state")}[data-state="signed-out"]`);
    await page.evaluate(() => (location.hash = "login=dev"));
    await page.waitForSelector(`.pane:not([hidden]) ${id("screen")}[data-attached="true"]`);
    await run(page, "echo ba''ck", "back");
    await shot();
  },
  async twins(page, shot) {
    await signIn(page);
    await enter(page, "deploy");
    const storage = await page.evaluate(() => JSON.stringify(sessionStorage));
    const twin = await page.context().newPage();
    await twin.addInitScript((copied) => {
      for (const [key, value] of Object.entries(JSON.parse(copied))) if (sessionStorage.getItem(key) === null) sessionStorage.setItem(key, value);
    }, storage);
    await twin.goto(origin);
    await visible(twin, "read-only").waitFor();
    await visible(page, "you-type").waitFor();
    await shot();
    await twin.close();
  },
  async failure(page, shot) {
    await signIn(page);
    await enter(page, "shell");
    await page.route("**/api/sign-out", (route) => route.abort());
    await page.locator(id("sign-out")).click();
    await page.waitForSelector(id("failure"));
    await page.waitForTimeout(300);
    await shot();
  },
  async keys(page, shot) {
    await signIn(page);
    await page.keyboard.press("Control+Shift+P");
    await page.keyboard.type("all keys");
    await page.keyboard.press("Enter");
    await page.waitForSelector(id("keys"));
    await page.waitForTimeout(300);
    await shot();
  },
  async handOver(page, shot) {
    const others = [];
    await signIn(page);
    await enter(page, "claude");
    for (const name of ["alex", "kim"]) {
      await fault(`hop=name&name=${name}`);
      const other = await open();
      await signIn(other);
      await enter(other, "claude");
      others.push(other);
    }
    await visible(page, "hand-over").waitFor();
    await shot();
    await visible(page, "hand-over").selectOption({ index: 1 });
    await visible(page, "read-only").waitFor();
    await Promise.all(others.map((other) => other.context().close()));
  },
  /** Every stop of the Tab key from the list on, each with a visible ring. */
  async keyboard(page, shot) {
    await signIn(page);
    await enter(page, "deploy");
    await enter(page, "shell");
    await page.keyboard.press("Control+Shift+L");
    await page.waitForFunction(() => document.activeElement?.closest("[data-list]") !== null);
    const stops = [];
    for (let i = 0; i < 16; i += 1) {
      stops.push(
        await page.evaluate(() => {
          const { activeElement: at } = document;
          const { outlineStyle, outlineWidth } = getComputedStyle(at);
          return `${at.getAttribute("aria-label") ?? at.textContent}${outlineStyle === "none" || outlineWidth === "0px" ? " NO RING" : ""}`;
        }),
      );
      if (i === 0) await shot();
      await page.keyboard.press("Tab");
    }
    process.stdout.write(`  ${stops.join(" | ")}\n`);
  },
  async phone(page, shot) {
    await signIn(page);
    await page.locator(id("list-toggle")).click();
    await page.waitForTimeout(300);
    await shot("list");
    await enter(page, "claude");
    await run(page, colours, "done");
    await page.waitForTimeout(400);
    await shot();
    await page.locator(id("palette-button")).click();
    await page.waitForTimeout(300);
    await shot("palette");
    await page.keyboard.press("Escape");
    await fault("hop=machine&ms=4000");
    await page.waitForSelector(id("line-note"));
    await page.waitForTimeout(800);
    await shot("down");
    await page.waitForSelector(`.pane:not([hidden]) ${id("screen")}[data-attached="true"]`, { timeout: 20000 });
  },
  /** Last: the mock has no machines from here on. */
  async noMachine(page, shot) {
    await fault("hop=empty");
    await page.goto(`${origin}/#login=dev`);
    await visible(page, "nothing-open").waitFor();
    await shot();
  },
};

const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
const looks = { dark: { colorScheme: "dark" }, light: { colorScheme: "light" } };
let failed = 0;
for (const [name, state] of Object.entries(states)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  for (const [look, options] of Object.entries(looks)) {
    const page = await open({ ...options, ...(name.toLowerCase().endsWith("phone") ? phone : {}) });
    const wrong = new Set();
    const shot = async (extra) => {
      await settled(page);
      await page.screenshot({ path: join(web, "shots", `${[name, extra, look].filter(Boolean).join("-")}.png`) });
      for (const found of await violations(page)) wrong.add(`${extra ?? "whole"}: ${found}`);
    };
    try {
      await state(page, shot);
      if (wrong.size > 0) throw new Error(`not accessible\n    ${[...wrong].join("\n    ")}`);
      process.stdout.write(`ok ${name} ${look}\n`);
    } catch (error) {
      failed += 1;
      await shot("FAILED");
      process.stdout.write(`FAILED ${name} ${look}: ${error.message.split("\n").slice(0, 12).join("\n")}\n`);
    }
    await page.context().close();
  }
}
await browser.close();
mock.kill();
process.exitCode = failed === 0 ? 0 : 1;
