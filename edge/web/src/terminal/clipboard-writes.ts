// OSC 52 as the parser finds it, some time after its bytes have come. One of
// which any part came while nobody looked does not count.

import type { Terminal } from "@xterm/xterm";

const CLIPBOARD = 52;
const NOTHING = new Uint8Array(0);

interface Inside {
  _core: { _inputHandler: { _parser: { _oscParser: { _handlers: Record<number, { start(): void }[]> } } } };
}

export class ClipboardWrites {
  /** Whether somebody looked as what is written now came, and as what is parsed now came. */
  #isSeen = { written: false, parsed: false };
  /** All of the OSC 52 that is parsed, up to here, was seen. */
  #wasSeen = false;

  /** `set` gets the data of each that counts. */
  constructor(
    private readonly terminal: Terminal,
    set: (data: string) => void,
  ) {
    terminal.parser.registerOscHandler(CLIPBOARD, (data) => {
      if (this.#wasSeen) set(data);
      return true;
    });
    const handler = (terminal as unknown as Inside)._core._inputHandler._parser._oscParser._handlers[CLIPBOARD]?.at(-1);
    const start = handler?.start;
    Object.assign(handler ?? {}, {
      start: () => {
        this.#wasSeen = this.#isSeen.parsed;
        start?.call(handler);
      },
    });
  }

  /** Says whether somebody looks at what is written to the terminal from here on. */
  mark(isSeen: boolean): void {
    if (isSeen === this.#isSeen.written) return;
    this.#isSeen.written = isSeen;
    this.terminal.write(NOTHING, () => {
      this.#isSeen.parsed = isSeen;
      if (!isSeen) this.#wasSeen = false;
    });
  }
}
