// How a program wants keys to be told, by the kitty keyboard protocol, which
// xterm.js 6.0 does not know. The holder's model of the screen does the same;
// the test that compares the two loads this file too.

/** The flags there are: disambiguate, event types, alternate keys, all keys, text. */
const ALL = 0b1_1111;
/** Entries that one screen keeps; one more pushes the oldest out. */
const MOST = 16;

/** What programs pushed, on each screen of one terminal; the last entry counts. */
export class KeyFlags {
  #stacks = { normal: [], alternate: [] };
  #buffer;

  constructor({ buffer, parser }) {
    this.#buffer = buffer;
    parser.registerCsiHandler({ prefix: ">", final: "u" }, (params) => this.#push(params));
    parser.registerCsiHandler({ prefix: "<", final: "u" }, (params) => this.#pop(params));
    parser.registerCsiHandler({ prefix: "=", final: "u" }, (params) => this.#set(params));
    parser.registerCsiHandler({ intermediates: "!", final: "p" }, () => this.#reset());
    parser.registerEscHandler({ final: "c" }, () => this.#reset());
  }

  /** Those in force on the screen that is shown. */
  get now() {
    return this.#shown.at(-1) ?? 0;
  }

  get stacks() {
    return this.#stacks;
  }

  get #shown() {
    return this.#stacks[this.#buffer.active.type];
  }

  #push([flags]) {
    if (this.#shown.length === MOST) this.#shown.shift();
    this.#shown.push(flags & ALL);
    return true;
  }

  #pop([count]) {
    this.#shown.splice(-Math.max(count, 1));
    return true;
  }

  #set(params) {
    const [given, how = 1] = params.filter((param) => typeof param === "number");
    const [flags, now] = [given & ALL, this.now];
    const set = [flags, now | flags, now & ~flags][Math.max(how, 1) - 1];
    if (set !== undefined) this.#shown.splice(-1, 1, set);
    return true;
  }

  /** The terminal's own reset follows. */
  #reset() {
    this.#stacks = { normal: [], alternate: [] };
    return false;
  }
}
