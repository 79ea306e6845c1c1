import { spawn } from "node:child_process";
import { chromium } from "playwright-core";
const port = 4391, origin = `http://localhost:${port}`;
const mock = spawn(process.execPath, ["--import", "tsx", "dev/mock.ts"], { env: { ...process.env, PORT: String(port) } });
mock.stderr.on("data", (d) => process.stderr.write(d));
await new Promise((r) => mock.stdout.once("data", r));
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const id = (n) => `[data-testid="${n}"]`;
const screen = async (page) => (await page.locator('[data-active="true"] .xterm-rows > div').allInnerTexts()).map((r) => r.replaceAll("\u00a0", " ").trimEnd()).join("\n");
const shows = async (page, p) => { const end = Date.now() + 15000; for (;;) { const t = await screen(page); if (p.test(t)) return t; if (Date.now() > end) throw new Error(`never ${p}:\n${t}`); await page.waitForTimeout(30); } };
async function open(look = {}) {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "dark", ...look })).newPage();
  page.on("pageerror", (e) => console.log("  page error", e.message));
  page.on("console", (m) => { if (["error", "warning"].includes(m.type())) console.log("  console", m.text()); });
  await page.goto(`${origin}/#login=dev`);
  await page.waitForSelector(id("session"), { state: "attached" });
  return page;
}
const enter = async (page, name) => { 
  if (!(await page.locator(id("session"), { hasText: name }).locator("button").first().isVisible())) {}
  await page.locator(id("session"), { hasText: name }).locator("button").first().click(); await page.waitForSelector(`.pane:not([hidden]) ${id("screen")}[data-attached="true"]`); };
const first = (t) => t.split("\n")[0], last = (t) => t.trimEnd().split("\n").at(-1);
/** Every picture that a frame shows. */
const watch = (page) => page.evaluate(() => {
  const seen = (window.seen = []);
  const look = () => {
    const rows = [...document.querySelectorAll('[data-active="true"] .xterm-rows > div')].map((r) => r.textContent.trimEnd());
    const now = `${rows.filter(Boolean).length} rows: ${rows[0]} … ${rows.filter(Boolean).at(-1)}`;
    if (seen.at(-1) !== now) seen.push(now);
    window.frame = requestAnimationFrame(look);
  };
  look();
});
const seen = (page) => page.evaluate(() => { cancelAnimationFrame(window.frame); return window.seen; });
try {
  const writer = await open();
  await enter(writer, "deploy");
  await writer.keyboard.type("seq 1 9000; printf '\\033[31mred\\033[0m\\n'; echo do''ne\n");
  await shows(writer, /^done$/m);
  const page = await open();
  await enter(page, "deploy");
  await shows(page, /^done$/m);
  console.log("attach: mark", await page.locator(id("skipped")).count(), "cols", await page.locator(id("screen")).first().getAttribute("data-cols"));
  await page.locator(".xterm-screen:visible").hover();
  await page.keyboard.press("Shift+PageUp"); await page.keyboard.press("Shift+PageUp"); await page.waitForTimeout(200);
  console.log("scrolled", first(await screen(page)), last(await screen(page)));
  // Behind: the page does nothing for a while.
  await writer.keyboard.type("clear; for i in $(seq 20); do seq 1 9000; sleep 0.05; done; echo flo''od\n");
  await page.evaluate(() => { const end = performance.now() + 3000; while (performance.now() < end); });
  await shows(page, /^flood$/m);
  await page.locator(id("skipped")).waitFor();
  console.log("mark:", await page.locator(id("skipped")).innerText());
  await page.screenshot({ path: "/tmp/skipped-dark.png" });
  await watch(page);
  await page.locator(".xterm-screen:visible").hover();
  const before = await screen(page);
  const at = Date.now();
  for (let i = 0; i < 3; i++) { await page.mouse.wheel(0, -100); await page.waitForTimeout(15); }
  await page.locator(id("skipped")).waitFor({ state: "detached" });
  console.log("loaded after", Date.now() - at, "ms");
  await page.waitForTimeout(300);
  const now = await screen(page);
  console.log("before", first(before), "|", last(before), " now", first(now), "|", last(now));
  console.log((await seen(page)).join("\n"));
  // Search
  await page.keyboard.press("Shift+End");
  await writer.keyboard.type("clear; for i in $(seq 20); do seq 1 9000; sleep 0.05; done; echo flo''od2\n");
  await page.evaluate(() => { const end = performance.now() + 3000; while (performance.now() < end); });
  await shows(page, /^flood2$/m);
  await page.locator(id("skipped")).waitFor();
  await watch(page);
  await page.keyboard.press("Control+Shift+F");
  await page.keyboard.type("8765");
  await page.locator(id("skipped")).waitFor({ state: "detached" });
  await shows(page, /^8765$/m);
  console.log("search:", await page.locator(id("search-count")).innerText());
  console.log((await seen(page)).join("\n"));
  await page.waitForTimeout(500);
  console.log("search later:", await page.locator(id("search-count")).innerText());
  await page.keyboard.press("Escape");
  // Look: light and phone
  for (const [name, look] of [["light", { colorScheme: "light" }], ["phone", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 }]]) {
    const other = await open(look);
    if (name === "phone") { await other.locator(id("list-toggle")).click(); await other.waitForTimeout(300); }
    await enter(other, "deploy");
    await shows(other, /^flood2$/m);
    await writer.keyboard.type(`clear; for i in $(seq 20); do seq 1 9000; sleep 0.05; done; echo ${name.slice(0,2)}''${name.slice(2)}\n`);
    await other.evaluate(() => { const end = performance.now() + 3000; while (performance.now() < end); });
    await shows(other, new RegExp(`^${name}$`, "m"));
    await other.locator(id("skipped")).waitFor();
    await other.waitForTimeout(400);
    await other.screenshot({ path: `/tmp/skipped-${name}.png` });
    if (name === "phone") {
      const box = await other.locator(".xterm-screen:visible").boundingBox();
      const cdp = await other.context().newCDPSession(other);
      const touch = (type, y) => cdp.send("Input.dispatchTouchEvent", { type, touchPoints: y === undefined ? [] : [{ x: box.x + 50, y }] });
      await touch("touchStart", box.y + 100); for (let y = 110; y < 400; y += 20) await touch("touchMove", box.y + y); await touch("touchEnd");
      await other.locator(id("skipped")).waitFor({ state: "detached" });
      await other.waitForTimeout(300);
      const t = await screen(other);
      console.log("touch:", first(t), "|", last(t));
    } else {
      await other.locator(id("skipped")).focus();
      await other.keyboard.press("Enter");
      await other.locator(id("skipped")).waitFor({ state: "detached" });
      console.log("button ok");
    }
    await writer.keyboard.type("clear; echo flo''od2\n");
    await other.context().close();
  }
} catch (e) { console.log(e.message); } finally { await browser.close(); mock.kill(); }
