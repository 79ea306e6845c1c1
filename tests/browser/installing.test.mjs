// The one line from the page: read there, and run by the shell of a person without
// root whose home is elsewhere, until the page shows the machine.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { arch, platform, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";

import { browser, enter, id, PROGRAM, ROOT, shows, signIn, start } from "./installation.mjs";

const PROGRAMS = dirname(PROGRAM);
const folder = mkdtempSync(join(tmpdir(), "cci"));
/** A home with a short path, since the names of sockets are below it. */
const home = mkdtempSync("/tmp/cch");
// Root would make an install of the machine that the tests run on: nobody makes one of its own.
const NOBODY = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {};
let installation;
let chromium;

/** The programs that were built as a release, signed by a key of its own that its scripts know. */
function publish(release) {
  const tool = join(PROGRAMS, "chatcode-release");
  const [system, machine] = [{ linux: "linux", darwin: "macos" }[platform()], { x64: "amd64", arm64: "arm64" }[arch()]];
  const stripped = join(folder, "programs");
  for (const path of [release, stripped]) mkdirSync(path);
  const programs = ["chatcode-gateway", "chatcode-holder", "chatcode-spawner", "chatcode"].map((name) => {
    const program = join(stripped, name);
    try {
      execFileSync("strip", ["-o", program, join(PROGRAMS, name)], { stdio: "ignore" });
    } catch {
      copyFileSync(join(PROGRAMS, name), program);
    }
    return program;
  });
  const key = join(folder, "key.pem");
  const half = execFileSync(tool, ["key", key], { encoding: "utf8" }).trim().split("\n").at(-1);
  for (const name of ["install.sh", "cleanup.sh"]) {
    const text = readFileSync(join(ROOT, "deploy", name), "utf8");
    writeFileSync(join(release, name), text.replace(/^MCowBQYDK2VwAyEA.*$/mu, `MCowBQYDK2VwAyEA${half}`));
  }
  const archive = join(release, `chatcode-0.1.0-gateway-${system}-${machine}.tar.gz`);
  const unit = "systemd/user/chatcode-gateway.service";
  execFileSync(tool, ["pack", "--time", "0", "--out", archive, ...programs, `${unit}=${join(ROOT, "deploy", unit)}`, join(ROOT, "deploy/cleanup.sh")]);
  execFileSync(tool, ["sign", "--key", key, "--release", "0.1.0", "--oldest", "0.1.0", "--time", "0", release]);
}

before(async () => {
  const release = join(folder, "release");
  publish(release);
  if (NOBODY.uid !== undefined) chownSync(home, NOBODY.uid, NOBODY.gid);
  installation = await start(folder, { env: { CHATCODE_EDGE_RELEASE_DIR: release } });
  chromium = await browser();
});

after(async () => {
  // Its sessions end with it; what is of the person stays.
  if (existsSync(join(home, ".local/bin/chatcode-gateway"))) await inItsShell(".local/bin/chatcode-gateway uninstall --yes");
  await chromium?.close();
  await installation?.stop();
  rmSync(home, { recursive: true, force: true });
});

/** Runs a line on a terminal of its own as a person types it there, and answers what it asks for. */
async function inItsShell(line, question, answer) {
  const file = join(home, "line");
  writeFileSync(file, `${line}\n`, { mode: 0o644 });
  const env = { HOME: home, PATH: process.env.PATH, SHELL: "/bin/sh", TERM: "xterm", USER: "nobody" };
  const child = spawn("script", ["-qec", `sh ${file}`, "/dev/null"], { env, cwd: home, ...NOBODY });
  let said = "";
  let asked = question === undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (bytes) => {
      said += bytes;
      if (!asked && said.includes(question)) {
        asked = true;
        child.stdin.write(answer);
      }
    });
  }
  const [code] = await once(child, "close", { signal: AbortSignal.timeout(120_000) });
  return { code, said };
}

test("the line that the page shows makes the machine of whoever runs it one of the page's", async () => {
  const page = await chromium.newPage();
  await signIn(page, installation.url);
  await page.locator(id("add-machine-open")).click();
  await page.locator(id("add-machine-name")).fill("garden");
  await page.locator(id("add-machine-make")).click();
  const line = await page.locator(id("add-machine-line")).innerText();
  const token = (await page.locator(id("add-machine-token")).innerText()).trim();
  assert.match(line, /install\.sh/u, "the page's line is that of the edge's release");
  assert.ok(!line.includes(token), "no secret is in the line");

  // A changed script is not run: the line vouches for it.
  const script = join(folder, "release/install.sh");
  const whole = readFileSync(script);
  writeFileSync(script, `${whole}\ntouch "$HOME/owned"\n`);
  const refused = await inItsShell(line);
  assert.notEqual(refused.code, 0, refused.said);
  assert.ok(!existsSync(join(home, "owned")), "nothing was run");
  assert.ok(!existsSync(join(home, ".local")), "nothing was installed");
  writeFileSync(script, whole);

  const { code, said } = await inItsShell(line, "The join token", `${token}\n`);
  assert.equal(code, 0, said);
  assert.match(said, /online: this machine is in the page now, as garden/u);
  assert.ok(!said.includes(token), "the token is not shown where it is typed");
  await page.locator(`${id("add-machine-state")}[data-arrived="true"]`).waitFor();
  assert.match(await page.locator(id("add-machine-state")).innerText(), /garden is here/u);
  await page.locator(id("add-machine-session")).click();
  await page.locator(id("new-session-create")).click();
  await page.locator(`${id("pane")}[data-active="true"] ${id("screen")}[data-attached="true"]`).waitFor();
  await enter(page, 'echo "at home in $HOME"');
  await shows(page, `\nat home in ${home}`);
});
