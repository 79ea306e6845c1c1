// The state of two xterm.js, and where they differ, in words. It looks inside
// (`_core`), since no public interface tells pens, regions, tab stops, modes
// and the parser.

import { Terminal } from "./library.mjs";

const MOST = 10;
const TITLE_CHARACTERS = 256;
const HAS_EXTRA = 1 << 28;
const COLOR_MODE = 0x3000000;
const COLOR_MODE_RGB = 0x3000000;
const FLAGS = 0xfc000000;
const CHARSETS = "0ABCEFHKQRYZ4569=7`fb/".split("");
const STATES = [
  "ground", "escape", "escape intermediate", "CSI entry", "CSI param", "CSI intermediate", "CSI ignore",
  "SOS/PM/APC", "OSC", "DCS entry", "DCS param", "DCS ignore", "DCS intermediate", "DCS passthrough",
]; // prettier-ignore
const [ESCAPE, OSC, DCS_PASSTHROUGH] = [1, 8, 13];
/** An OSC of which no more than the number has come. */
const OSC_NUMBER = 1;

/** What differs between A, fed directly, and B, brought back; empty when nothing does. */
export function differences(a, b, isAtCut) {
  const found = new Found(isAtCut);
  const [left, right] = [a.terminal._core, b.terminal._core];
  found.check("bytes of an unfinished character", a.held, b.held);
  found.check("size", a.size, b.size);
  const [buffers, others] = [left._bufferService.buffers, right._bufferService.buffers];
  const altActive = buffers.active === buffers.alt;
  found.check("alternate screen active", altActive, others.active === others.alt);
  if (found.any) return found.list;

  compareScreens(found, "screen", left, right, buffers.active, others.active);
  if (altActive) compareScreens(found, "normal screen", left, right, buffers.normal, others.normal);
  found.check("cursor column", buffers.active.x, others.active.x);
  found.check("cursor row", buffers.active.y, others.active.y);
  if (altActive) found.check("cursor row of the normal screen", buffers.normal.y, others.normal.y);
  compareBesides(found, "normal", left, right, buffers.normal, others.normal);
  compareBesides(found, "alternate", left, right, buffers.alt, others.alt);
  compareModes(found, left, right);
  found.check("how keys are told", a.keyFlags.stacks, b.keyFlags.stacks);
  compareCharsets(found, left._charsetService, right._charsetService);
  const [pen, other] = [penOf(left), penOf(right)];
  if (isForgotten(pen.link, other.link, isAtCut)) delete pen.link, delete other.link;
  found.check("pen", pen, other);
  compareParsers(found, left._inputHandler._parser, right._inputHandler._parser);
  found.check("colours that programs have set", coloursOf(a), coloursOf(b));
  found.check("title", titleOf(left), titleOf(right));
  return found.list;
}

function coloursOf({ colours }) {
  return [...colours.all].sort(([a], [b]) => a - b);
}

/** As much of it as the model keeps. */
function titleOf(core) {
  return [...core._inputHandler._windowTitle].slice(0, TITLE_CHARACTERS).join("");
}

class Found {
  list = [];

  constructor(isAtCut) {
    this.isAtCut = isAtCut;
  }

  get any() {
    return this.list.length > 0;
  }

  get full() {
    return this.list.length >= MOST;
  }

  check(what, a, b) {
    const [left, right] = [show(a), show(b)];
    if (left !== right) this.say(`${what}: A ${left}, B ${right}`);
  }

  say(text) {
    if (!this.full) this.list.push(text);
  }
}

function show(value) {
  return value === undefined ? "nothing" : JSON.stringify(value);
}

/** Rows are counted from the last one, so that a shorter history can be compared. */
function compareScreens(found, name, left, right, a, b) {
  found.check(`rows of ${name} and its history`, a.lines.length, b.lines.length);
  found.check(`first row of ${name} (ybase)`, a.ybase, b.ybase);
  const below = [a.lines.length - a.ybase, b.lines.length - b.ybase];
  if (below[0] !== below[1]) found.say(`rows from the top of ${name}: A ${below[0]}, B ${below[1]}`);
  const rows = Math.min(a.lines.length, b.lines.length);
  for (let back = 1; back <= rows && !found.full; back += 1) {
    const [ya, yb] = [a.lines.length - back, b.lines.length - back];
    const row = ya - a.ybase;
    const where = row < 0 ? `${name}, history row ${row}` : `${name}, row ${row}`;
    const [lineA, lineB] = [a.lines.get(ya), b.lines.get(yb)];
    if (lineA === undefined || lineB === undefined) {
      found.check(`${where} is there`, lineA !== undefined, lineB !== undefined);
      continue;
    }
    // Before the first of all rows there is none.
    if (ya > 0 && yb > 0) found.check(`${where}, goes on from the row before`, lineA.isWrapped, lineB.isWrapped);
    compareRow(found, where, left, right, lineA, lineB);
  }
}

function compareRow(found, where, left, right, a, b) {
  const cols = left.cols;
  const [cellA, cellB] = [cellOf(left), cellOf(right)];
  for (let x = 0; x < cols && !found.full; x += 1) {
    a.loadCell(x, cellA);
    b.loadCell(x, cellB);
    if (cellA.content === cellB.content && cellA.fg === cellB.fg && cellA.bg === cellB.bg) {
      if ((cellA.bg & HAS_EXTRA) === 0 && !cellA.isCombined()) continue;
    }
    const at = `${where}, column ${x}`;
    found.check(at, textOf(cellA), textOf(cellB));
    const [lookA, lookB] = [lookOf(left, cellA), lookOf(right, cellB)];
    if (isForgotten(lookA.link, lookB.link, found.isAtCut)) delete lookA.link, delete lookB.link;
    found.check(`${at}, look`, lookA, lookB);
  }
}

/**
 * xterm.js forgets a link once the rows are gone that it first stood in, also while cells still point to it. What A
 * has forgotten says nothing; what B has forgotten does only right after the snapshot.
 */
function isForgotten(a, b, isAtCut) {
  return a === "forgotten" || (b === "forgotten" && !isAtCut);
}

function cellOf(core) {
  return new (core._bufferService.buffers.normal.getNullCell().constructor)();
}

/** Its characters, "" for an empty cell, and its width. */
function textOf(cell) {
  return [cell.getChars(), cell.getWidth()];
}

/** Everything that shows of how a cell looks; colours as they count, not what is left over below them. */
function lookOf(core, cell) {
  const look = paintOf(cell);
  const extra = (cell.bg & HAS_EXTRA) !== 0 ? cell.extended : undefined;
  if (cell.isUnderline() !== 0) {
    look.underline = [extra?.underlineStyle || 1, cell.getUnderlineColorMode() >>> 24, cell.getUnderlineColor()];
  }
  if (extra !== undefined && extra.urlId !== 0) look.link = linkOf(core, extra.urlId);
  return look;
}

function paintOf({ fg, bg }) {
  return {
    fg: colorOf(fg),
    bg: colorOf(bg),
    flags: [(fg & FLAGS) >>> 26, (bg & FLAGS & ~HAS_EXTRA) >>> 26],
  };
}

function colorOf(value) {
  const mode = value & COLOR_MODE;
  if (mode === 0) return "default";
  const color = mode === COLOR_MODE_RGB ? value & 0xffffff : value & 0xff;
  return `${mode >>> 24}:${color.toString(16)}`;
}

function linkOf(core, urlId) {
  const data = core._oscLinkService.getLinkData(urlId);
  return data === undefined ? "forgotten" : [data.id ?? "", data.uri];
}

/** The pen with all that later sequences could bring out of it. */
function penOf(core) {
  const pen = core._inputHandler._curAttrData;
  const look = paintOf(pen);
  look.extra = (pen.bg & HAS_EXTRA) !== 0;
  look.underline = underlineOf(pen);
  if (pen.extended.urlId !== 0) look.link = linkOf(core, pen.extended.urlId);
  return look;
}

/** The shape and colour that it would have without a link. */
function underlineOf({ extended }) {
  return [(extended._ext >>> 26) & 7, colorOf(extended.underlineColor)];
}

/** Region, tab stops and the saved cursor of one screen. */
function compareBesides(found, name, left, right, a, b) {
  found.check(`scroll region of the ${name} screen`, [a.scrollTop, a.scrollBottom], [b.scrollTop, b.scrollBottom]);
  found.check(`tab stops of the ${name} screen`, tabsOf(a, left.cols), tabsOf(b, right.cols));
  found.check(`saved cursor of the ${name} screen`, savedOf(a), savedOf(b));
}

function tabsOf(buffer, cols) {
  return Object.keys(buffer.tabs).map(Number).filter((x) => x < cols && buffer.tabs[x]);
}

function savedOf(buffer) {
  const pen = buffer.savedCurAttrData;
  return {
    row: buffer.savedY,
    column: buffer.savedX,
    ...paintOf(pen),
    underline: underlineOf(pen),
    charset: charsetName(buffer.savedCharset),
  };
}

function compareModes(found, a, b) {
  for (const group of ["decPrivateModes", "modes"]) {
    for (const mode of Object.keys(a.coreService[group])) {
      found.check(`mode ${mode}`, a.coreService[group][mode], b.coreService[group][mode]);
    }
  }
  found.check("cursor hidden", a.coreService.isCursorHidden, b.coreService.isCursorHidden);
  for (const option of ["convertEol", "cursorBlink", "cursorStyle"]) {
    found.check(`option ${option}`, a.optionsService.rawOptions[option], b.optionsService.rawOptions[option]);
  }
  found.check("mouse protocol", a.coreMouseService.activeProtocol, b.coreMouseService.activeProtocol);
  found.check("mouse encoding", a.coreMouseService.activeEncoding, b.coreMouseService.activeEncoding);
}

function compareCharsets(found, a, b) {
  found.check("charset in use", [a.glevel, charsetName(a.charset)], [b.glevel, charsetName(b.charset)]);
  const all = (service) => [0, 1, 2, 3].map((g) => charsetName(service._charsets[g]));
  found.check("charsets G0 to G3", all(a), all(b));
}

const names = new Map();

/** The letter that selects it; several letters may mean the same. */
function charsetName(charset) {
  if (charset === undefined) return "B";
  if (names.size === 0) learnCharsets();
  return names.get(charset) ?? "unknown";
}

function learnCharsets() {
  const terminal = new Terminal({ allowProposedApi: true, logLevel: "off" });
  for (const letter of CHARSETS) {
    terminal._core._inputHandler.parse(Buffer.from(`\x1b(${letter}`));
    const charset = terminal._core._charsetService._charsets[0];
    if (charset !== undefined && !names.has(charset)) names.set(charset, letter);
  }
  terminal.dispose();
}

function compareParsers(found, a, b) {
  found.check("parser", STATES[a.currentState], STATES[b.currentState]);
  if (a.currentState !== b.currentState) return;
  // What a following combining character would join.
  const join = (parser) => (parser.precedingJoinState >> 1) & 3;
  found.check("width of the character that a combining one would join", join(a), join(b));
  const state = a.currentState;
  if (state >= ESCAPE && state !== OSC && state !== DCS_PASSTHROUGH && state !== 7 && state !== 6 && state !== 11) {
    found.check("collected by the parser", a._collect, b._collect);
    if (state > 2) found.check("parameters of the parser", paramsOf(a), paramsOf(b));
  }
  if (state === OSC) found.check("unfinished OSC", oscOf(a._oscParser), oscOf(b._oscParser));
  if (state === DCS_PASSTHROUGH) found.check("unfinished DCS", dcsOf(a._dcsParser), dcsOf(b._dcsParser));
}

function paramsOf({ _params: params }) {
  return [params.toArray(), params._digitIsSub, params._rejectDigits, params._rejectSubDigits];
}

/** One that nothing takes has no effect, whatever it is and however long. */
function oscOf(parser) {
  if (parser._state !== OSC_NUMBER && parser._active.length === 0) return "without effect";
  return [parser._state, parser._id, takenBy(parser)];
}

function dcsOf(parser) {
  return parser._active.length === 0 ? "without effect" : [parser._ident, takenBy(parser)];
}

function takenBy(parser) {
  return parser._active.map((handler) => [handler._data, handler._hitLimit]);
}
