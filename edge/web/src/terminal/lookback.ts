// Looking back at lines that are not here yet: the holder leaves the history
// out when a page was behind, and sends it once somebody scrolls up.

import type { IBuffer, Terminal } from "@xterm/xterm";

export interface LookbackEvents {
  /** Whether lines above the ones here are missing, where a person could look for them. */
  lacks(lacks: boolean): void;
  /** Somebody looked for lines that are missing. */
  lookedBack(): void;
}

/** `WheelEvent.deltaMode` of pixels, and how many of them xterm.js takes for one line. */
const PIXELS = 0;
const WHEEL_PIXELS = 33;

export class Lookback {
  #skipped = false;
  #told = false;
  /** Lines between the end and what was in view when the terminal was emptied. */
  #back: number | undefined;
  /** Lines that somebody wanted to go up and could not. */
  #wanted = 0;
  #touchedAt: number | undefined;

  constructor(
    private readonly terminal: Terminal,
    private readonly events: LookbackEvents,
  ) {
    terminal.buffer.onBufferChange(() => this.#tell());
    terminal.onScroll(() => {
      if (this.#lacks && this.#normal.viewportY < this.#normal.baseY) events.lookedBack();
    });
  }

  open(host: HTMLElement): void {
    const passive = { capture: true, passive: true };
    host.addEventListener("wheel", this.#wheel, passive);
    host.addEventListener("touchstart", this.#touched, passive);
    host.addEventListener("touchmove", this.#touched, passive);
    host.addEventListener("keydown", this.#key, true);
  }

  /** The terminal will be emptied and drawn anew; once more when that broke off. */
  begin(): void {
    this.#back ??= this.#normal.baseY - this.#normal.viewportY;
  }

  /** It was drawn; with `skipped` without the lines that have scrolled away, else it looks at where it looked before. */
  end(skipped: boolean): void {
    const back = (this.#back ?? 0) + Math.round(this.#wanted);
    this.#back = undefined;
    this.#skipped = skipped;
    this.#tell();
    if (skipped) return;
    this.#wanted = 0;
    if (back > 0) this.terminal.scrollToLine(Math.max(this.#normal.baseY - back, 0));
  }

  /** What has begun will not end. */
  brokenOff(): void {
    if (this.#back !== undefined) this.end(this.#skipped);
  }

  get #normal(): IBuffer {
    return this.terminal.buffer.normal;
  }

  get #lacks(): boolean {
    return this.#skipped && this.terminal.buffer.active.type === "normal";
  }

  #tell(): void {
    if (this.#lacks === this.#told) return;
    this.#told = this.#lacks;
    this.events.lacks(this.#told);
  }

  /** Somebody wants to go up by so many lines. */
  #up(lines: number): void {
    if (lines <= 0) return;
    if (this.#back !== undefined || (this.#lacks && this.#normal.viewportY === 0)) this.#wanted += lines;
    if (this.#lacks) this.events.lookedBack();
  }

  readonly #wheel = ({ deltaY, deltaMode }: WheelEvent): void => {
    // Otherwise the wheel is the program's.
    if (this.terminal.modes.mouseTrackingMode !== "none") return;
    this.#up(deltaMode === PIXELS ? -deltaY / WHEEL_PIXELS : -deltaY);
  };

  /** xterm.js 6 leaves touches alone. */
  readonly #touched = ({ type, touches }: TouchEvent): void => {
    const y = touches.length === 1 ? touches[0]?.clientY : undefined;
    const moved = type === "touchmove" && y !== undefined && this.#touchedAt !== undefined ? y - this.#touchedAt : 0;
    const height = (this.terminal.element?.querySelector(".xterm-screen")?.clientHeight ?? 0) / this.terminal.rows;
    const lines = height > 0 ? Math.trunc(moved / height) : 0;
    if (type === "touchstart" || y === undefined) this.#touchedAt = y;
    else if (this.#touchedAt !== undefined) this.#touchedAt += lines * height;
    if (lines === 0) return;
    this.#up(lines);
    this.terminal.scrollLines(-lines);
  };

  readonly #key = ({ key, shiftKey }: KeyboardEvent): void => {
    if (shiftKey && key === "PageUp") this.#up(this.terminal.rows - 1);
  };
}
