// The one sequence of our own. A snapshot consists of what every terminal knows;
// but some states no standard sequence can say, and for those it has this one,
// which all other terminals pass over. Nothing in it can do more harm than CUP
// and ECH: what is beyond the screen has no effect.
//
// OSC 7717 ; w ST      the cursor's row goes on from the one above
// OSC 7717 ; e ST      the cell at the cursor becomes empty, with all of the pen's look
// OSC 7717 ; c ; x ; y ST  the cursor goes to a column and a row of the screen, both from 0, also out of the
//                      scrolling region, and to one or two columns behind the last

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
      row.setCellFromCodepoint(buffer.x, 0, 1, handler._curAttrData);
      handler._dirtyRowTracker.markDirty(buffer.y);
    } else if (place !== null && Number(place[1]) <= cols + 1 && Number(place[2]) < rows) {
      [buffer.x, buffer.y] = [Number(place[1]), Number(place[2])];
    }
    return true;
  });
}
