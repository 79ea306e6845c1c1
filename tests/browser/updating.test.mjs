// A machine is updated from the page, by real programs and a signed release.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, linkSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { arch, platform, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";

import { browser, enter, id, newSession, PROGRAM, shows, signIn, start } from "./installation.mjs";

const PROGRAMS = dirname(PROGRAM);
const TOOL = join(PROGRAMS, "chatcode-release");
const folder = mkdtempSync(join(tmpdir(), "ccu"));
const lib = join(folder, "lib");
let installation;
let chromium;

/** The programs as a release leaves them: a folder of their version, and a link. */
function install() {
  mkdirSync(join(lib, "0.1.0"), { recursive: true });
  for (const name of ["chatcode", "chatcode-core", "chatcode-edge", "chatcode-gateway", "chatcode-holder"]) {
    try {
      linkSync(join(PROGRAMS, name), join(lib, "0.1.0", name));
    } catch {
      copyFileSync(join(PROGRAMS, name), join(lib, "0.1.0", name));
    }
  }
  symlinkSync("0.1.0", join(lib, "current"));
}

/** A release of 0.2.0: the same programs, the gateway's with this version in the place of its own. */
function publish() {
  const releases = join(folder, "release/stable");
  mkdirSync(releases, { recursive: true });
  const program = Buffer.from(readFileSync(join(PROGRAMS, "chatcode-gateway")).toString("latin1").replaceAll("0.1.0", "0.2.0"), "latin1");
  writeFileSync(join(folder, "chatcode-gateway"), program, { mode: 0o755 });
  const key = join(folder, "key.pem");
  writeFileSync(join(folder, "release.pub"), execFileSync(TOOL, ["key", key]));
  const system = `${{ linux: "linux", darwin: "macos" }[platform()]}-${{ x64: "amd64", arm64: "arm64" }[arch()]}`;
  const archive = join(releases, `chatcode-0.2.0-gateway-${system}.tar.gz`);
  execFileSync(TOOL, ["pack", "--time", "0", "--out", archive, join(folder, "chatcode-gateway"), join(PROGRAMS, "chatcode-holder")]);
  execFileSync(TOOL, ["sign", "--key", key, "--release", "0.2.0", "--oldest", "0.1.0", "--time", "0", releases]);
}

before(async () => {
  install();
  publish();
  const update = `{release_url=${JSON.stringify(join(folder, "release"))},release_key=${JSON.stringify(join(folder, "release.pub"))}}`;
  installation = await start(folder, { program: join(lib, "0.1.0/chatcode"), env: { CHATCODE_GATEWAY_UPDATE: update } });
  chromium = await browser();
});

after(async () => {
  await chromium?.close();
  await installation?.stop();
});

test("a machine is updated from the page, and its session goes on", async () => {
  const [, machine] = /"name":"([^"]+)"/.exec(await installation.cli("gateway", "ls", "--json"));
  assert.match(await installation.cli("gateway", "update", "--check", machine), /0\.2\.0 is available/);
  const page = await chromium.newPage();
  await signIn(page, installation.url);
  await newSession(page);
  await enter(page, "before=$((40 + 2))");
  await page.locator(id("update-offer")).click();
  await page.locator(id("update-confirm")).click();
  await page.locator(id("update-ended"), { hasText: "Version 0.2.0 runs." }).waitFor({ timeout: 60_000 });
  assert.equal(readlinkSync(join(lib, "current")), "0.2.0");
  await page.keyboard.press("Escape");
  await page.locator(id("update-offer")).waitFor({ state: "detached" });
  await page.locator(`${id("pane")}[data-active="true"] ${id("screen")}[data-attached="true"]`).waitFor();
  await enter(page, 'echo "after $before"');
  await shows(page, "\nafter 42");
});
