import headless from "@xterm/headless";
import type { Terminal } from "@xterm/xterm";
import { describe, expect, it } from "vitest";

import { ProgramColours } from "./program-colours.mjs";

type Request = { type: number; index?: number; color?: number[] };
interface Core {
  _inputHandler: { onColor: (listen: (requests: Request[]) => void) => void };
  _handleColorEvent: (requests: Request[]) => void;
}

/** A terminal that says what it was told to show, as the page's does: through a method that can be held. */
function terminal(): { colours: ProgramColours; write: (text: string) => Promise<void>; shown: () => Map<number, string> } {
  const real = new headless.Terminal({ allowProposedApi: true });
  const core = (real as unknown as { _core: Core })._core;
  const shown = new Map<number, string>();
  const show = (requests: Request[]): void => {
    for (const { type, index, color } of requests) {
      if (type === 1) shown.set(index ?? -1, String(color));
      else if (index !== undefined) shown.delete(index);
      else for (let i = 0; i < 256; i += 1) shown.delete(i);
    }
  };
  Object.setPrototypeOf(core, Object.assign(Object.create(Object.getPrototypeOf(core) as object), { _handleColorEvent: show }));
  core._inputHandler.onColor((requests) => core._handleColorEvent(requests));
  return {
    colours: new ProgramColours(real as unknown as Terminal),
    write: (text) => new Promise((done) => real.write(text, done)),
    shown: () => shown,
  };
}

describe("the colours that programs have set", () => {
  it("are those that are not taken back", async () => {
    const { colours, write } = terminal();
    await write("\x1b]4;1;#010203;2;#040506;3;#070809\x07\x1b]10;#111111;#222222;#333333\x07");
    await write("\x1b]104;1\x07\x1b]111\x07");
    expect([...colours.all]).toEqual([[2, [4, 5, 6]], [3, [7, 8, 9]], [256, [17, 17, 17]], [258, [51, 51, 51]]]);
    await write("\x1b]104\x07");
    expect([...colours.all.keys()]).toEqual([256, 258]);
  });

  it("are shown again over another theme", async () => {
    const { colours, write, shown } = terminal();
    await write("\x1b]4;1;#010203\x07\x1b]11;#222222\x07");
    shown().clear();
    colours.showAgain();
    expect([...shown()]).toEqual([[1, "1,2,3"], [257, "34,34,34"]]);
  });

  it("change at once what is shown when a picture that was held is let go", async () => {
    const { colours, write, shown } = terminal();
    await write("\x1b]4;1;#010203;2;#040506\x07\x1b]11;#222222\x07");
    const before = [...shown()];
    colours.hold();
    await write("\x1b]104\x07\x1b]111\x07\x1b]4;2;#040506;5;#050505\x07");
    expect([...shown()]).toEqual(before);
    colours.release();
    expect([...shown()]).toEqual([[2, "4,5,6"], [5, "5,5,5"]]);
  });

  it("are shown over a theme that came while the picture was held", async () => {
    const { colours, write, shown } = terminal();
    await write("\x1b]4;1;#010203\x07");
    colours.hold();
    shown().clear();
    colours.showAgain();
    expect([...shown()]).toEqual([]);
    colours.release();
    expect([...shown()]).toEqual([[1, "1,2,3"]]);
  });
});
