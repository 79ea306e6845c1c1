// What xterm.js 6.0 does wrong or without a bound, mended from inside, since no
// public interface reaches it. The holder's model of the screen does the same;
// the test that compares the two loads this file too.

const CONTENT = 0;
const LOOK = 2;
const CELL = 3;
const IS_COMBINED = 1 << 21;
const HAS_EXTRA = 1 << 28;
/** Rows and columns that a terminal may have: a higher count does no more. */
const MOST_CELLS = 1000;
/** Characters that one REP repeats. */
const MOST_REPEATS = 65_536;

/** Mends one terminal; its rows' prototype, and so all terminals of the page, at the first. */
export function mend(terminal) {
  const { _inputHandler: handler, _bufferService: buffers } = terminal._core;
  boundCounts(handler);
  handler.eraseInDisplay = mendedErase(handler.eraseInDisplay);
  Object.getPrototypeOf(buffers.buffer.lines.get(0)).copyCellsFrom = copyCellsFrom;
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
