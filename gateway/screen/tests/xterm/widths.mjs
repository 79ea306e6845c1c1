// Prints the widths that xterm.js gives every character, with the unicode11
// addon that the page uses, as gateway/screen/src/width/table.rs:
//
//   node gateway/screen/tests/xterm/widths.mjs > gateway/screen/src/width/table.rs

import { Terminal, Unicode11Addon, versionOf } from "./library.mjs";

const LAST = 0x10ffff;
const PER_LINE = 5;

/** The sorted ranges, both ends included, of the characters that are `width` columns wide. */
function rangesOf(widthOf, width) {
  const ranges = [];
  for (let code = 0; code <= LAST; code += 1) {
    if (isSurrogate(code) || widthOf(code) !== width) continue;
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === code - 1) last[1] = code;
    else ranges.push([code, code]);
  }
  return ranges;
}

function isSurrogate(code) {
  return code >= 0xd800 && code <= 0xdfff;
}

function hex(code) {
  const digits = code.toString(16).toUpperCase().padStart(4, "0");
  return digits.length > 4 ? `0x${digits.slice(0, -4)}_${digits.slice(-4)}` : `0x${digits}`;
}

function table(name, doc, ranges) {
  const lines = [];
  for (let i = 0; i < ranges.length; i += PER_LINE) {
    const part = ranges.slice(i, i + PER_LINE).map(([from, to]) => `(${hex(from)}, ${hex(to)})`);
    lines.push(`    ${part.join(", ")},`);
  }
  return `/// ${doc}\n#[rustfmt::skip]\npub(super) const ${name}: &[(u32, u32)] = &[\n${lines.join("\n")}\n];\n`;
}

const terminal = new Terminal({ allowProposedApi: true });
terminal.loadAddon(new Unicode11Addon());
terminal.unicode.activeVersion = "11";
const unicode = terminal._core.unicodeService;
const widthOf = (code) => unicode.wcwidth(code);

process.stdout.write(`//! The widths of all characters that are not one column wide, as the page's terminal has them.
//!
//! Printed by \`node gateway/screen/tests/xterm/widths.mjs\` from the tables of
//! \`@xterm/addon-unicode11\` ${versionOf("@xterm/addon-unicode11")}; not to be edited. A test compares every character.

${table("ZERO", "Characters that take no column, as sorted ranges with both ends included.", rangesOf(widthOf, 0))}
${table("WIDE", "Characters that take two columns, as sorted ranges with both ends included.", rangesOf(widthOf, 2))}`);
terminal.dispose();
