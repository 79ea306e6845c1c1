// The one sequence of our own, which docs/terminal.md describes: a snapshot says
// with it what no standard sequence can. The model has it in gateway/screen.

const NUMBER = 7717;

/** Teaches one terminal the sequence. */
export function restore(terminal) {
  const { _inputHandler: handler, _bufferService: service } = terminal._core;
  terminal.parser.registerOscHandler(NUMBER, (text) => {
    const { cols, rows, buffer } = service;
    const row = buffer.lines.get(buffer.ybase + buffer.y);
    const place = /^c;(\d{1,9});(\d{1,9})$/u.exec(text);
    if (text === "w") {
      row.isWrapped = true;
    } else if (text === "e" && buffer.x < cols) {
      row.replaceCells(buffer.x, buffer.x + 1, buffer.getNullCell(handler._curAttrData));
      handler._dirtyRowTracker.markDirty(buffer.y);
    } else if (place !== null && Number(place[1]) <= cols + 1 && Number(place[2]) < rows) {
      [buffer.x, buffer.y] = [Number(place[1]), Number(place[2])];
    }
    return true;
  });
}
