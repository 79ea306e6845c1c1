// Pictures of the page for the documents, made by the real chain; they go to
// target/pictures, or where `just pictures` wants them.

import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { PICTURES, browser, enter, id, newSession, screen, shows, signIn, start } from "./installation.mjs";

let installation;
let chromium;
let signedIn;

before(async () => {
  [installation, chromium] = await Promise.all([start(readableHome()), browser()]);
  const page = await open("dark", { width: 1280, height: 800 });
  await signIn(page, (await installation.cli("login-url")).trim());
  await page.locator(id("passkey-offer-not")).click();
  signedIn = await page.context().storageState();
  await page.context().close();
});

after(async () => {
  await chromium?.close();
  await installation?.stop();
});

/** A new folder whose name may be read in a picture, unless somebody has it already. */
function readableHome() {
  const home = join(tmpdir(), "ada");
  try {
    mkdirSync(home);
    return home;
  } catch {
    return mkdtempSync(home);
  }
}

/** A prompt and colours as many have them. */
const SHELL = `node() { "${process.execPath}" "$@"; }; PS1='\\[\\e[1;32m\\]ada@\\h\\[\\e[0m\\]:\\[\\e[1;34m\\]\\w\\[\\e[0m\\]$ '; export LS_COLORS='di=1;34:ex=1;32:*.md=33'; alias ls='ls --color'`;

/** A small project with a history and tests, so that there is something to see. */
const PROJECT = [
  "git init -q -b main; git config user.name Ada; git config user.email ada@example.org",
  "mkdir -p src tests docs; echo '# harbour' > README.md; printf '#!/bin/sh\\n' > build.sh; chmod +x build.sh; touch docs/guide.md LICENSE",
  "git add .; git commit -qm 'Begin with a harbour'",
  "echo 'export const tide = (hours) => Math.cos(hours / 12.42 * 2 * Math.PI);' > src/tide.mjs",
  "git add .; git commit -qm 'Say how high the water stands'; git switch -qc moon; touch src/moon.mjs; git add .; git commit -qm 'Follow the moon'",
  "git switch -q main; echo more >> README.md; git commit -qam 'Tell what a tide is'; git merge -q -m 'Join the moon' moon",
  "{ echo \"import { test } from 'node:test'; import { tide } from '../src/tide.mjs'; import assert from 'node:assert';\"",
  "for t in 'high water comes first' 'low water comes six hours later' 'a day has two of each'; do echo \"test('$t', () => assert(tide(0) === 1));\"; done; } > tests/tide.test.mjs",
].join("; ");

async function open(colorScheme, viewport, more = {}) {
  const context = await chromium.newContext({ viewport, colorScheme, storageState: signedIn, ...more });
  return await context.newPage();
}

/** Types a command and waits for the prompt after it. */
async function run(page, command) {
  const prompts = async () => (await screen(page)).split("harbour$").length;
  const before = await prompts();
  await enter(page, command);
  while ((await prompts()) === before) await page.waitForTimeout(50);
}

/** Takes a picture once the wire has measured every hop and nothing moves any more. */
async function picture(page, name) {
  const figures = `${id("hop")} .span-ms`;
  await page.waitForFunction((all) => [...document.querySelectorAll(all)].every((one) => one.textContent !== ""), figures);
  await page.evaluate(() => Promise.allSettled(document.getAnimations().filter((one) => one.effect.getTiming().iterations !== Infinity).map((one) => one.finished)));
  await page.screenshot({ path: join(PICTURES, `${name}.png`) });
}

test("a desktop in dark and in light", async () => {
  const page = await open("dark", { width: 1280, height: 800 });
  await signIn(page, installation.origin);
  await newSession(page, { name: "build", folder: "~/harbour" });
  await enter(page, `${SHELL}; ${PROJECT}; clear; echo re''ady`);
  await shows(page, /^ready$/m);
  await newSession(page, { name: "agent", folder: "~/harbour" });
  await enter(page, `${SHELL}; clear; echo re''ady`);
  await shows(page, /^ready$/m);
  await page.keyboard.press("Control+L");
  await run(page, "ls");
  await run(page, "git log --oneline --graph");
  await run(page, "node --test --test-reporter=spec tests/*.mjs");
  await run(page, "git status --short --branch");
  await picture(page, "page");
  await page.emulateMedia({ colorScheme: "light" });
  await picture(page, "page-light");
  await page.context().close();
});

test("a phone", async () => {
  const page = await open("dark", { width: 390, height: 844 }, { deviceScaleFactor: 2, hasTouch: true, isMobile: true });
  await signIn(page, installation.origin);
  await page.locator(id("list-toggle")).click();
  await page.locator(id("session")).filter({ hasText: "agent" }).first().click();
  await page.locator(id("key-row")).waitFor();
  await page.locator(id("take-over")).click();
  await page.locator(`${id("screen")}:not([data-cols="80"])`).first().waitFor();
  await page.keyboard.press("Control+L");
  await run(page, "ls");
  await run(page, "git log --oneline --graph");
  await run(page, "git status --short");
  await picture(page, "page-phone");
  await page.context().close();
});
