// One whole installation, started by `chatcode up` with a folder and ports of
// its own, and a real browser to open its page with.

import { spawn, execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { findBrowser, howToInstall } from "./find.mjs";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");
const { chromium } = createRequire(join(ROOT, "edge/web/package.json"))("playwright-core");
const TARGET = process.env.CARGO_TARGET_DIR ?? join(ROOT, "target");
export const PROGRAM = join(TARGET, "debug/chatcode");
/** Where pictures of the page go: `CHATCODE_PICTURES`, from the root of the tree. */
export const PICTURES = resolve(ROOT, process.env.CHATCODE_PICTURES ?? join(TARGET, "pictures"));

/** Starts everything, in this folder and with it as home, by this program and more in its environment; `stop` ends everything, the shells too, and removes it. */
export async function start(folder = mkdtempSync(join(tmpdir(), "ccb")), { program = PROGRAM, env = {} } = {}) {
  const data = join(folder, "data");
  const ports = ["--listen", "127.0.0.1:0", "--core-listen", "127.0.0.1:0", "--link-listen", "127.0.0.1:0"];
  const up = spawn(program, ["up", "--json", "--data-dir", data, ...ports], {
    stdio: ["ignore", "pipe", "inherit"],
    // All of a test's machines come from one address.
    env: { ...process.env, HOME: folder, SHELL: "/bin/bash", CHATCODE_LOG: "", CHATCODE_CORE_ENROLL_PER_MINUTE: "100", ...env },
  });
  const lines = createInterface({ input: up.stdout });
  const [line] = await once(lines, "line", { signal: AbortSignal.timeout(60_000) });
  const ready = JSON.parse(line);
  return {
    ...ready,
    folder,
    cli: async (...args) => (await promisify(execFile)(PROGRAM, [...args, "--data-dir", data])).stdout,
    /** Sends a signal to a role; one that dies is started anew by `up`. */
    async signal(role, signal) {
      const pids = (await processes()).filter(({ words }) => basename(words[0]) === `chatcode-${role}` && words.join(" ").includes(data));
      if (pids.length !== 1) throw new Error(`${pids.length} processes are the ${role} of this installation`);
      process.kill(pids[0].pid, signal);
    },
    async stop() {
      const sessions = JSON.parse(await this.cli("ls", "--json").catch(() => "{}"));
      const ids = JSON.stringify(sessions).match(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g) ?? [];
      const end = (id) => this.cli("end", "--force", id);
      // The first time ends the shell; the second time its holder does not linger.
      await Promise.allSettled([...new Set(ids)].map((id) => end(id).then(() => end(id))));
      up.kill("SIGTERM");
      if (up.exitCode === null) await once(up, "exit");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** All processes with their command lines. */
async function processes() {
  if (!existsSync("/proc/self/cmdline")) {
    const { stdout } = await promisify(execFile)("ps", ["-A", "-o", "pid=,args="]);
    return stdout.trim().split("\n").map((line) => line.trim().split(/\s+/)).map(([pid, ...words]) => ({ pid: Number(pid), words }));
  }
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      return [{ pid: Number(pid), words: readFileSync(join("/proc", pid, "cmdline"), "utf8").split("\0") }];
    } catch {
      return []; // has ended
    }
  });
}

/** A headless browser that asks nobody but us. */
export async function browser() {
  const executablePath = findBrowser();
  if (executablePath === undefined) throw new Error(`no Chromium is here; ${howToInstall()}`);
  return await chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

export const id = (name) => `[data-testid="${name}"]`;

/** The text on the terminal that is in front. */
export async function screen(page) {
  const rows = page.locator(`${id("pane")}[data-active="true"] .xterm-rows > div`);
  return (await rows.allInnerTexts()).map((row) => row.replaceAll("\u00a0", " ").trimEnd()).join("\n");
}

/** Waits until the terminal in front shows `wanted` (text or pattern). */
export async function shows(page, wanted) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const text = await screen(page);
    if (typeof wanted === "string" ? text.includes(wanted) : wanted.test(text)) return text;
    if (Date.now() > deadline) throw new Error(`the screen never showed ${wanted}; it shows:\n${text}`);
    await page.waitForTimeout(50);
  }
}

/** Waits until the browser's clipboard holds this; `waitForFunction` would take the promise of an answer for a yes. */
export async function clipboardHolds(page, wanted) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const text = await page.evaluate(() => navigator.clipboard.readText());
    if (text === wanted) return;
    if (Date.now() > deadline) throw new Error(`the clipboard never held ${JSON.stringify(wanted)}; it holds ${JSON.stringify(text)}`);
    await page.waitForTimeout(20);
  }
}

/** Opens the page by a one-time URL and waits until somebody is signed in. */
export async function signIn(page, url) {
  await page.goto(url);
  await page.locator(`${id("sign-in-state")}[data-state="signed-in"]`).waitFor();
}

/** Starts a session from the page and waits for its prompt. */
export async function newSession(page, { name = "", folder = "", command = "", restart = "never" } = {}) {
  await page.locator(id("new-session")).first().click();
  await page.locator(id("new-session-folder")).fill(folder);
  await page.locator(id("new-session-command")).fill(command);
  await page.locator(id("new-session-name")).fill(name);
  await page.locator(id("new-session-restart")).selectOption({ label: restart });
  await page.locator(id("new-session-create")).click();
  // Until the form is gone the terminal in front is still the one before.
  await page.locator(id("new-session-form")).waitFor({ state: "detached" });
  await page.locator(`${id("pane")}[data-active="true"] ${id("screen")}[data-attached="true"]`).waitFor();
}

/** Types a line into the terminal in front, which has to have the keys by itself. */
export async function enter(page, line) {
  await page.locator(`${id("pane")}[data-active="true"] .xterm-helper-textarea:focus`).waitFor({ state: "attached", timeout: 5000 });
  await page.keyboard.type(`${line}\n`);
}
