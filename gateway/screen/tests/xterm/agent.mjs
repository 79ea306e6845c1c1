// Writes what a coding agent's screen writes: a picture below the text that
// is drawn again and again over itself, in synchronized updates, with boxes,
// spinners, true colour and links. It is recorded for the differential test.

const CSI = "\x1b[";
const SPINNER = [..."⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"];
const WIDTH = 76;
const FRAMES = 120;

const out = [];
const write = (text) => out.push(text);
const rgb = (r, g, b, text) => `${CSI}38;2;${r};${g};${b}m${text}${CSI}39m`;
const link = (uri, text) => `\x1b]8;;${uri}\x1b\\${text}\x1b]8;;\x1b\\`;

/** Columns that the text takes, near enough for what is written here. */
function columns(text) {
  // eslint-disable-next-line no-control-regex
  const plain = text.replace(/\x1b\][^\x1b]*\x1b\\/g, "").replace(/\x1b\[[0-9;:]*m/g, "");
  let sum = 0;
  for (const letter of plain) sum += /\p{Emoji_Presentation}|\p{Script=Han}/u.test(letter) ? 2 : 1;
  return sum;
}

function box(title, lines) {
  const top = `╭─ ${title} ${"─".repeat(WIDTH - 5 - columns(title))}╮`;
  const rows = lines.map((line) => `│ ${line}${" ".repeat(Math.max(WIDTH - 4 - columns(line), 0))} │`);
  return [rgb(120, 120, 160, top), ...rows, rgb(120, 120, 160, `╰${"─".repeat(WIDTH - 2)}╯`)];
}

function picture(frame) {
  const spin = rgb(90 + frame, 200 - frame, 255, SPINNER[frame % SPINNER.length]);
  const done = Math.floor((frame / FRAMES) * 40);
  const bar = `${CSI}48;2;40;120;60m${" ".repeat(done)}${CSI}49m${CSI}2m${"░".repeat(40 - done)}${CSI}22m`;
  const lines = [`${spin} Working… ${CSI}2m(${frame}s · esc to interrupt)${CSI}22m`, bar];
  if (frame % 20 > 8) {
    lines.push(`${CSI}4:3m${CSI}58:2::255:80:80m${link("https://example.org/a?b=1", "src/main.rs:12")}${CSI}59m${CSI}24m 好 ✅`);
  }
  return [...box(`${CSI}1mTask ${1 + Math.floor(frame / 30)}${CSI}22m`, lines), `${CSI}7m > ${CSI}27m typed text ${frame}`];
}

let drawn = 0;

function redraw(lines, before = []) {
  write(`${CSI}?2026h`);
  if (drawn > 1) write(`${CSI}${drawn - 1}A`);
  write(`\r${CSI}0J`);
  for (const line of before) write(`${line}\r\n`);
  write(lines.join("\r\n"));
  write(`${CSI}?2026l`);
  drawn = lines.length;
}

write(`\x1b]0;agent ✳ working\x07${CSI}?25l${CSI}?2004h${CSI}?1004h${CSI}>1u`);
for (let frame = 0; frame < FRAMES; frame += 1) {
  const told = frame % 7 === 6 ? [`${rgb(80, 200, 120, "●")} ${CSI}1mRead${CSI}22m(file-${frame}.ts)`, `  ${CSI}2m⎿  ${frame * 13} lines, ${"long ".repeat(20)}${CSI}22m`] : [];
  redraw(picture(frame), told);
}
// For a question, the whole screen is taken.
write(`${CSI}?1049h${CSI}2J${CSI}H${CSI}?1002h${CSI}?1006h${CSI}5;20r`);
for (let row = 1; row <= 24; row += 1) write(`${CSI}${row};1H${CSI}${40 + (row % 8)}m${CSI}Krow ${row}${CSI}0m`);
write(`${CSI}20;1H\n\n\nthree lines scrolled${CSI}r${CSI}?1006l${CSI}?1002l${CSI}?1049l`);
redraw(picture(FRAMES), ["back again"]);
write(`\r\n${CSI}<u${CSI}?1004l${CSI}?2004l${CSI}?25h\x1b]0;\x07`);
process.stdout.write(out.join(""));
