// Pictures of the page for the documents, made by the real chain; they go to
// target/pictures, or where `just pictures` wants them.

import { join } from "node:path";
import { after, before, test } from "node:test";

import { PICTURES, browser, enter, id, newSession, shows, signIn, start } from "./installation.mjs";

let installation;
let chromium;
let signedIn;

before(async () => {
  [installation, chromium] = await Promise.all([start({ name: "mill" }), browser()]);
  const page = await open("dark", { width: 1280, height: 800 });
  await signIn(page, (await installation.cli("login-url")).trim());
  signedIn = await page.context().storageState();
  await page.context().close();
});

after(async () => {
  await chromium?.close();
  await installation?.stop();
});

/** A small project, so that there is something to see. */
const PROJECT = [
  "PS1='\\[\\e[1;32m\\]ada@mill\\[\\e[0m\\]:\\[\\e[1;34m\\]\\w\\[\\e[0m\\]$ '; export LS_COLORS='di=1;34:ex=1;32:*.md=33'",
  "git init -q -b main; git config user.name Ada; git config user.email ada@example.org",
  "mkdir -p src tests docs; printf 'pub fn tide() {}\\n' > src/lib.rs; printf '# harbour\\n' > README.md",
  "printf '#!/bin/sh\\necho built\\n' > build.sh; chmod +x build.sh; touch src/tide.rs tests/tide.rs docs/guide.md Cargo.toml LICENSE",
  "git add . && git commit -qm 'Read the tide tables' && printf 'pub mod tide;\\n' >> src/lib.rs && touch src/moon.rs",
].join("; ");

async function open(colorScheme, viewport, more = {}) {
  const context = await chromium.newContext({ viewport, colorScheme, storageState: signedIn, ...more });
  return await context.newPage();
}

const picture = (page, name) => page.screenshot({ path: join(PICTURES, `${name}.png`) });

test("a desktop in dark and in light", async () => {
  const page = await open("dark", { width: 1280, height: 800 });
  await signIn(page, installation.origin);
  await newSession(page, { name: "build", folder: "~/harbour" });
  await enter(page, `${PROJECT}; clear`);
  await newSession(page, { name: "agent", folder: "~/harbour" });
  await enter(page, `${PROJECT.split("; git init")[0]}; clear; ls --color -la; git log --oneline --color; git status --short --branch`);
  await shows(page, /## main[\s\S]*\$ $/m);
  await page.waitForTimeout(4_000); // until the wire has measured every hop twice
  await picture(page, "page");
  await page.emulateMedia({ colorScheme: "light" });
  await page.waitForTimeout(300);
  await picture(page, "page-light");
  await page.context().close();
});

test("a phone", async () => {
  const page = await open("dark", { width: 390, height: 844 }, { deviceScaleFactor: 2, hasTouch: true, isMobile: true });
  await signIn(page, installation.origin);
  await page.locator(id("list-toggle")).click();
  await page.locator(id("session")).filter({ hasText: "agent" }).first().click();
  await page.locator(id("key-row")).waitFor();
  await shows(page, /main/);
  await page.waitForTimeout(1_000);
  await picture(page, "page-phone");
  await page.context().close();
});
