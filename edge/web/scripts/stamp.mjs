// The stamp of the page's sources. `edge/build.rs` computes the same and
// refuses a `dist` whose stamp (dist/.sources) is another one.
//
// The rule. Files: everything below src (without src/gen), public and
// ../../proto, and index.html, package.json, package-lock.json and
// vite.config.ts; paths are seen from edge/web, with forward slashes
// ("../../proto/chatcode/v1/code.proto"), sorted by their UTF-8 bytes. For each
// file, SHA-256 takes: path, NUL, length in bytes as a decimal number, NUL,
// content. The stamp is the digest in lower-case hex.
//
// Prints the stamp; with --write puts it into dist/.sources as well.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const web = dirname(dirname(fileURLToPath(import.meta.url)));
const generated = join(web, "src", "gen");

function below(folder) {
  if (folder === generated) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? below(path) : [path];
  });
}

const files = [
  ...["src", "public", "../../proto"].flatMap((folder) => below(join(web, folder))),
  ...["index.html", "package.json", "package-lock.json", "vite.config.ts"].map((name) => join(web, name)),
].map((path) => relative(web, path).split(sep).join("/"));
files.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

const hash = createHash("sha256");
for (const file of files) {
  const content = readFileSync(join(web, file));
  hash.update(`${file}\0${content.length}\0`);
  hash.update(content);
}
const stamp = hash.digest("hex");
if (process.argv.includes("--write")) writeFileSync(join(web, "dist", ".sources"), stamp);
process.stdout.write(`${stamp}\n`);
