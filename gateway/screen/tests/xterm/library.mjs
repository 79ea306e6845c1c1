// What the page is built with, from the page's own node_modules: the exact
// versions of its lock file.

import { createRequire } from "node:module";

const require = createRequire(new URL("../../../../edge/web/package.json", import.meta.url));

export const { Terminal } = require("@xterm/headless");
export const { Unicode11Addon } = require("@xterm/addon-unicode11");

/** The version of one of them. */
export function versionOf(name) {
  return require(`${name}/package.json`).version;
}
