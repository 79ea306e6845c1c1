// Looking back at lines that are not here yet: the holder leaves the history
// out when a page was behind, and sends it once somebody scrolls up.

import type { IBuffer, Terminal } from "@xterm/xterm";

export interface LookbackEvents {
  /** Whether lines above the ones here are missing, where a person could look for them. */
  lacks(lacks: boolean): void;
  /** Somebody looked for lines that are missing. */
  lookedBack(): void;
}

/** How far a wheel turns for one line; as much as xterm.js takes. */
const WHEEL_PIXELS = 33;

export class Lookback {
  #skipped = false;
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

  /** It was drawn; with `skipped` without the lines that have scrolled away. Looks at where it looked before. */
  end(skipped: boolean): void {
    const back = (this.#back ?? 0) + Math.round(this.#wanted);
    this.#back = undefined;
    if (!skipped) this.#wanted = 0;
    this.#skipped = skipped;
    this.#tell();
    if (back > 0) this.terminal.scrollToLine(Math.max(this.#normal.baseY - back, 0));
  }

  get #normal(): IBuffer {
    return this.terminal.buffer.normal;
  }

  get #lacks(): boolean {
    return this.#skipped && this.terminal.buffer.active.type === "normal";
  }

  #tell(): void {
    this.events.lacks(this.#lacks);
  }

  /** Somebody wants to go up by so many lines. */
  #up(lines: number): void {
    if (!this.#lacks || lines <= 0) return;
    if (this.#normal.viewportY === 0) this.#wanted += lines;
    this.events.lookedBack();
  }

  readonly #wheel = ({ deltaY, deltaMode }: WheelEvent): void => {
    // Otherwise the wheel is the program's.
    if (this.terminal.modes.mouseTrackingMode !== "none") return;
    this.#up(deltaMode === WheelEvent.DOM_DELTA_PIXEL ? -deltaY / WHEEL_PIXELS : -deltaY);
  };

  readonly #touched = ({ type, touches }: TouchEvent): void => {
    const y = touches[0]?.clientY;
    if (type === "touchmove" && y !== undefined && this.#touchedAt !== undefined) this.#up((y - this.#touchedAt) / WHEEL_PIXELS);
    this.#touchedAt = y;
  };

  readonly #key = ({ key, shiftKey }: KeyboardEvent): void => {
    if (shiftKey && key === "PageUp") this.#up(this.terminal.rows - 1);
  };
}
