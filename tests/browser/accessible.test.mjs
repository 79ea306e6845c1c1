// Everybody can use the page: each of its faces, in every look, against the real chain.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { violations } from "../../edge/web/dev/axe.mjs";
import { browser, enter, id, newSession, shows, signIn, start } from "./installation.mjs";

const LOOKS = {
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  light: { viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light", hasTouch: true, isMobile: true },
};
let installation;
let chromium;

before(async () => {
  [installation, chromium] = await Promise.all([start(), browser()]);
});

after(async () => {
  await chromium?.close();
  await installation?.stop();
});

for (const [look, options] of Object.entries(LOOKS)) {
  test(`no face of the page keeps anybody out: ${look}`, async () => {
    const page = await (await chromium.newContext(options)).newPage();
    const wrong = [];
    const face = async (name, sign) => {
      await page.locator(sign).first().waitFor();
      wrong.push(...(await violations(page)).map((one) => `${name}: ${one}`));
    };
    const command = async (words, sign) => {
      await page.keyboard.press("Control+Shift+P");
      await page.keyboard.type(words);
      await page.locator(`${id("palette")} [aria-selected="true"]`).waitFor();
      await page.keyboard.press("Enter");
      await page.locator(sign).waitFor();
    };
    const escape = async (sign) => {
      await page.keyboard.press("Escape");
      await page.locator(sign).waitFor({ state: "detached" });
    };

    await page.goto(installation.origin);
    await face("signed out", `${id("sign-in-state")}[data-state="signed-out"]`);
    await page.goto(`${installation.origin}/#login=wrong`);
    await face("refused", id("sign-in-refused"));
    await signIn(page, (await installation.cli("login-url")).trim());
    await face("nothing open", id("nothing-open"));
    if (look === "phone") {
      await page.locator(id("list-toggle")).click();
      await face("list", `${id("sign-in-state")}[data-list-open="true"]`);
    }
    await newSession(page, { name: "one" });
    await enter(page, "echo he''re");
    await shows(page, /^here$/m);
    await face("terminal", id("screen"));
    await command("new session", id("new-session-form"));
    await face("new session", id("new-session-form"));
    await escape(id("new-session-form"));
    await page.keyboard.press("Control+Shift+P");
    await face("palette", id("palette"));
    await escape(id("palette"));
    await command("all keys", id("keys"));
    await face("keys", id("keys"));
    await escape(id("keys"));
    await command("end this session", id("end-question"));
    await face("end", id("end-question"));
    await escape(id("end-question"));
    await command("search", id("search"));
    await face("search", id("search"));
    await page.keyboard.press("Escape");
    await command("add a machine", id("add-machine"));
    await face("add a machine", `${id("tokens-none")}, ${id("token")}`);
    await page.locator(id("add-machine-make")).click();
    await face("token made", id("add-machine-token"));
    await escape(id("add-machine"));
    await command("account", id("account"));
    await face("account", id("browser"));
    await escape(id("account"));
    await command("machine", id("machine-details"));
    await face("machine", id("machine-facts"));
    await escape(id("machine-details"));
    await enter(page, "exit 3");
    await face("ended", id("exited"));
    assert.deepEqual(wrong, []);
    await page.context().close();
  });
}
