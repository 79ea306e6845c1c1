// Keeps a terminal's picture as it is while the terminal is drawn anew, so that
// nobody sees it empty or half done. xterm.js has no public way: its
// synchronized output ends after a second and is a program's to use.

import type { Terminal } from "@xterm/xterm";

import type { ProgramColours } from "./program-colours.mjs";

interface Renderer {
  renderRows: (first: number, last: number) => void;
  clear: () => void;
}

interface Inside {
  _core: { _renderService?: { _renderer: { value?: Renderer } } };
}

const nothing = (): void => undefined;

export class Picture {
  #held: Renderer | undefined;

  constructor(
    private readonly terminal: Terminal,
    private readonly colours: ProgramColours,
  ) {}

  hold(): void {
    const renderer = this.#renderer();
    if (renderer === undefined || this.#held !== undefined) return;
    this.#held = renderer;
    this.colours.hold();
    Object.assign(renderer, { renderRows: nothing, clear: nothing });
  }

  /** From here on the picture is what the terminal is. */
  release(): void {
    if (this.#held === undefined) return;
    Reflect.deleteProperty(this.#held, "renderRows");
    Reflect.deleteProperty(this.#held, "clear");
    this.#held = undefined;
    this.colours.release();
    const last = this.terminal.rows - 1;
    const renderer = this.#renderer();
    renderer?.clear();
    // At once: the next frame would come too late for what was cleared.
    renderer?.renderRows(0, last);
    this.terminal.refresh(0, last);
  }

  #renderer(): Renderer | undefined {
    return (this.terminal as unknown as Inside)._core._renderService?._renderer.value;
  }
}
