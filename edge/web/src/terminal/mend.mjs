// What xterm.js 6.0 does wrong or without a bound, mended from inside, since no
// public interface reaches it. The holder's model of the screen does the same;
// the test that compares the two loads this file too.

import { restore } from "./restore.mjs";

const CONTENT = 0;
const LOOK = 2;
const CELL = 3;
const IS_COMBINED = 1 << 21;
const HAS_EXTRA = 1 << 28;
/** Rows and columns that a terminal may have: a higher count does no more. */
const MOST_CELLS = 1000;
/** Characters that one REP repeats. */
const MOST_REPEATS = 65_536;

/** Bytes of the text of an OSC or DCS; a longer one has no effect. */
const STRING_BYTES = 65_536;
const CLIPBOARD = 52;
/** The same of an OSC 52: 256 KiB in base64, and for which selection. */
const CLIPBOARD_BYTES = 349_600;
/** An OSC that is faulty. */
const ABORT = 3;

/** Mends one terminal; its rows' prototype, and so all terminals of the page, at the first. */
export function mend(terminal) {
  const { _inputHandler: handler, _bufferService: service } = terminal._core;
  boundCounts(handler);
  boundStrings(handler._parser);
  handler.eraseInDisplay = mendedErase(handler.eraseInDisplay);
  handler.screenAlignmentPattern = align;
  handler.print = mendedPrint(handler.print);
  handler.saveCursor = mendedSave(handler.saveCursor);
  handler.restoreCursor = mendedRestore(handler.restoreCursor);
  handler.softReset = mendedReset(handler.softReset);
  service.buffers.resize = mendedResize(service.buffers.resize, handler._parser);
  const row = Object.getPrototypeOf(service.buffer.lines.get(0));
  Object.getPrototypeOf(service.buffer.lines).pop = pop;
  row.copyCellsFrom = copyCellsFrom;
  if (row.insertCells.isMended !== true) row.insertCells = mendedInsert(row.insertCells);
  restore(terminal);
}

/** It loops as often as a program says, two thousand million times if need be. */
function boundCounts(handler) {
  const bounds = {
    insertLines: MOST_CELLS,
    deleteLines: MOST_CELLS,
    scrollUp: MOST_CELLS,
    scrollDown: MOST_CELLS,
    cursorForwardTab: MOST_CELLS,
    cursorBackwardTab: MOST_CELLS,
    repeatPrecedingCharacter: MOST_REPEATS,
  };
  for (const [name, most] of Object.entries(bounds)) {
    const original = handler[name];
    handler[name] = function (params) {
      if (params.params[0] > most) params.params[0] = most;
      return original.call(this, params);
    };
  }
}

/** It takes up to ten million characters. */
function boundStrings({ _oscParser: osc, _dcsParser: dcs }) {
  let room = 0;
  /** Whether the text may go on; its last character counts only for the next. */
  const fits = (data, start, end) => {
    for (let at = start; at < end; at += 1) {
      if (room <= 0) return false;
      room -= data[at] < 0x80 ? 1 : data[at] < 0x800 ? 2 : data[at] < 0x10000 ? 3 : 4;
    }
    return true;
  };
  const { _start: start, _put: put } = osc;
  osc._start = function () {
    room = this._id === CLIPBOARD ? CLIPBOARD_BYTES : STRING_BYTES;
    start.call(this);
  };
  osc._put = function (...text) {
    if (fits(...text)) return put.apply(this, text);
    this.reset();
    this._state = ABORT;
  };
  const { hook, put: putDcs } = dcs;
  dcs.hook = function (...what) {
    room = STRING_BYTES;
    hook.apply(this, what);
  };
  dcs.put = function (...text) {
    if (fits(...text)) putDcs.apply(this, text);
    else this.reset();
  };
}

/**
 * ED 1 in the last column looks for the row below in the wrong place: it changes a row of the history, or throws when
 * there is none, and a terminal that has thrown takes no more bytes.
 */
function mendedErase(original) {
  return function (params, respectProtect = false) {
    if (params.params[0] !== 1) return original.call(this, params, respectProtect);
    const { cols, rows } = this._bufferService;
    this._restrictCursor(cols);
    const { lines, x, y, ybase } = this._activeBuffer;
    this._eraseInBufferLine(y, 0, x + 1, true, respectProtect);
    if (x + 1 >= cols && y + 1 < rows) lines.get(ybase + y + 1).isWrapped = false;
    for (let row = 0; row < y; row += 1) this._resetBufferLine(row, respectProtect);
    this._dirtyRowTracker.markRangeDirty(0, y);
    return true;
  };
}

/** As lines are cut anew for another width, it copies the combined characters of more cells than the cells. */
function copyCellsFrom(from, fromColumn, toColumn, count, backwards) {
  for (let i = 0; i < count; i += 1) {
    const cell = backwards ? count - 1 - i : i;
    const [source, target] = [fromColumn + cell, toColumn + cell];
    for (let part = 0; part < CELL; part += 1) {
      this._data[target * CELL + part] = from._data[source * CELL + part];
    }
    if (from._data[source * CELL + LOOK] & HAS_EXTRA) this._extendedAttrs[target] = from._extendedAttrs[source];
    if (from._data[source * CELL + CONTENT] & IS_COMBINED) this._combined[target] = from._combined[source];
  }
}

/** DECALN in origin mode, or with a full history, fills rows of the history; an underline comes without its shape. */
function align() {
  const { _activeBuffer: buffer, _bufferService: size, _curAttrData: pen } = this;
  for (let y = 0; y < size.rows; y += 1) {
    const row = buffer.lines.get(buffer.ybase + y);
    for (let x = 0; x < size.cols; x += 1) row.setCellFromCodepoint(x, "E".charCodeAt(0), 1, pen);
    row.isWrapped = false;
  }
  this._dirtyRowTracker.markAllDirty();
  this._setCursor(0, 0);
  return true;
}

/**
 * Without wrapping, a wide character that does not fit is dropped, but spoils others, and each time otherwise, as the
 * pieces of output fall; and of a wide character in the last columns, half is left when another comes there.
 */
function mendedPrint(original) {
  return function (data, start, end) {
    if (this._coreService.decPrivateModes.wraparound) return original.call(this, data, start, end);
    const { _activeBuffer: buffer, _bufferService: size, _parser: parser } = this;
    for (let at = start; at < end; at += 1) {
      const width = this._unicodeService.wcwidth(data[at]);
      const fits = buffer.x + width <= size.cols;
      if (!fits) buffer.x = size.cols - 1;
      if (fits || width < 2) original.call(this, data, at, at + 1);
      else parser.precedingJoinState = 0;
    }
  };
}

/** What is saved is a place of the screen, not of its text: `savedY` counts from the screen's top. */
function mendedSave(original) {
  return function () {
    original.call(this);
    const { _activeBuffer: buffer, _curAttrData: pen } = this;
    buffer.savedX = Math.min(buffer.x, this._bufferService.cols - 1);
    buffer.savedY = buffer.y;
    buffer.savedCurAttrData.extended = pen.extended.clone();
    return true;
  };
}

/** The underline's shape comes back with its flag, and the character set to where it is in use; links stay. */
function mendedRestore(original) {
  return function () {
    const { _activeBuffer: buffer, _curAttrData: pen, _charsetService: charsets } = this;
    buffer.savedY += buffer.ybase;
    original.call(this);
    buffer.savedY -= buffer.ybase;
    const link = pen.extended.urlId;
    pen.extended = buffer.savedCurAttrData.extended.clone();
    pen.extended.urlId = link;
    pen.updateExtended();
    charsets.setgCharset(charsets.glevel, charsets.charset);
    return true;
  };
}

function mendedReset(original) {
  return function (params) {
    original.call(this, params);
    this._activeBuffer.savedY = 0;
    this._activeBuffer.savedCurAttrData.extended = this._curAttrData.extended.clone();
    return true;
  };
}

/**
 * It keeps what is right of the screen: tab stops, cells of the alternate screen, first halves of wide characters. An
 * alternate screen that was hidden meanwhile gets a history. What was saved leaves the screen.
 */
function mendedResize(original, parser) {
  return function (cols, rows) {
    const both = [this.normal, this.alt];
    for (const { tabs, _cols: old } of both) {
      for (const x of Object.keys(tabs)) if (Number(x) >= old) delete tabs[x];
    }
    for (const buffer of both) buffer.savedY += buffer.ybase;
    // It goes on from none, but would be taken for the end of a line.
    this.normal.lines.get(0).isWrapped = false;
    makeRoom(this.normal, cols, rows);
    original.call(this, cols, rows);
    this.alt.lines.maxLength = rows;
    for (const buffer of both) {
      buffer.savedX = Math.min(buffer.savedX, cols - 1);
      buffer.savedY = Math.min(Math.max(buffer.savedY - buffer.ybase, 0), rows - 1);
    }
    giveRoomBack(this.normal, rows);
    for (const buffer of both) {
      const blank = buffer.getNullCell();
      for (let y = 0; y < buffer.lines.length; y += 1) {
        const row = buffer.lines.get(y);
        if (row.length > cols) row.resize(cols, blank);
        if (row.getWidth(cols - 1) === 2) row.setCell(cols - 1, blank);
      }
    }
    // Another place is left of the cursor now: nothing may join what is there.
    parser.precedingJoinState = 0;
  };
}

/** A full history lets the screen and what was saved slip as lines are cut anew: so it is not full meanwhile. */
function makeRoom(buffer, cols, rows) {
  const most = buffer.lines.length * Math.ceil(buffer._cols / cols + 1) + rows;
  buffer._getCorrectBufferLength = () => most;
}

function giveRoomBack(buffer, rows) {
  delete buffer._getCorrectBufferLength;
  const most = buffer._getCorrectBufferLength(rows);
  const excess = buffer.lines.length - most;
  if (excess > 0) {
    buffer.lines.trimStart(excess);
    buffer.ybase -= excess;
    buffer.ydisp = Math.max(buffer.ydisp - excess, 0);
  }
  buffer.lines.maxLength = most;
}

/** As lines are cut anew, those that went at the bottom are found in their old places, and cut again. */
function pop() {
  const at = this.length - 1;
  const last = this.get(at);
  this.set(at, undefined);
  this.length = at;
  return last;
}

/** Of a wide character that is cut in two, the second half would stay. */
function mendedInsert(original) {
  const mended = function (column, count, fill) {
    const at = column % this.length;
    if (at > 0 && this.getWidth(at - 1) === 2) this.setCell(at, fill);
    return original.call(this, column, count, fill);
  };
  mended.isMended = true;
  return mended;
}
