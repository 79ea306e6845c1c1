import type { Terminal } from "@xterm/xterm";

/** The colours that programs have set in one terminal, over what its theme is and while its picture is held. */
export class ProgramColours {
  constructor(terminal: Terminal);
  /** Red, green and blue, each 0 to 255, of 0 to 255, and of 256 to 258: foreground, background, cursor. */
  readonly all: ReadonlyMap<number, readonly number[]>;
  /** What the terminal shows stays as it is until `release`. */
  hold(): void;
  release(): void;
  /** Another theme has taken their place: they are shown again. */
  showAgain(): void;
}
