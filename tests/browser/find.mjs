// Where a Chromium is on this system. As a program: prints its path, or how to
// install one and exits with 1.

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "brave-browser"];
const APPLICATIONS = ["Google Chrome", "Chromium", "Microsoft Edge", "Brave Browser"];
const INSTALLERS = [
  ["brew", "brew install --cask google-chrome"],
  ["apt-get", "sudo apt-get install chromium"],
  ["dnf", "sudo dnf install chromium"],
  ["pacman", "sudo pacman -S chromium"],
  ["zypper", "sudo zypper install chromium"],
  ["apk", "sudo apk add chromium"],
];

/** The path of a browser; `CHATCODE_BROWSER` overrules. Nothing when there is none. */
export function findBrowser() {
  const chosen = process.env.CHATCODE_BROWSER;
  if (chosen !== undefined) return chosen;
  const applications = ["/Applications", join(process.env.HOME ?? "/", "Applications")].flatMap((folder) =>
    APPLICATIONS.map((name) => join(folder, `${name}.app/Contents/MacOS`, name)),
  );
  return [...NAMES.map(onPath), ...(process.platform === "darwin" ? applications : [])].find(isProgram);
}

/** What a person types here to get one. */
export function howToInstall() {
  const [, command] = INSTALLERS.find(([installer]) => isProgram(onPath(installer))) ?? [];
  const other = "or set CHATCODE_BROWSER to the path of a Chromium";
  return command === undefined ? `install Chromium or Chrome, ${other}` : `type: ${command} (${other})`;
}

function onPath(name) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin", "/usr/local/bin", "/snap/bin"];
  return folders.map((folder) => join(folder, name)).find(isProgram);
}

function isProgram(path) {
  try {
    if (path === undefined) return false;
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = findBrowser();
  if (found === undefined) console.error(`the browser tests need Chromium; ${howToInstall()}`);
  else console.log(found);
  process.exitCode = found === undefined ? 1 : 0;
}
