// What a viewer typed, numbered, kept until the holder says what became of it.

import { INPUT_BYTES, INPUT_UNCONFIRMED_BYTES } from "../link/limits";

export interface Range {
  from: number;
  to: number;
}

/** A run of input to send: its first byte's number and the bytes. */
export interface Run {
  offset: number;
  data: Uint8Array<ArrayBuffer>;
}

export class InputLog {
  /** Bytes from `#settled` on, in the pieces in which they came. */
  #pieces: Uint8Array<ArrayBuffer>[] = [];
  #length = 0;
  /** The number of the first byte that is kept; below it all is known. */
  #settled = 0;
  /** The number of the next byte to send. */
  #sent = 0;
  #refused: Range[] = [];
  /** Refusals below this were told. */
  #refusedTo = 0;

  /** Keeps the bytes; answers how many fit. */
  push(bytes: Uint8Array): number {
    const room = INPUT_UNCONFIRMED_BYTES - this.#length;
    const taken = Math.min(room, bytes.length);
    if (taken > 0) {
      this.#pieces.push(bytes.slice(0, taken));
      this.#length += taken;
    }
    return taken;
  }

  /** The next bytes that were not sent yet, as one frame takes them. */
  next(): Run | undefined {
    const offset = this.#sent;
    const data = this.#copy(offset, Math.min(offset + INPUT_BYTES, this.end));
    if (data.length === 0) return undefined;
    this.#sent += data.length;
    return { offset, data };
  }

  /** Every byte below this was written. */
  confirm(offset: number): void {
    this.#settle(Math.min(offset, this.#sent));
  }

  /**
   * These were not written and will not be; their numbers are used up. Answers
   * how many of them are news.
   */
  refuse(range: Range): number {
    const news = range.to - Math.max(range.from, this.#refusedTo);
    if (news <= 0) return 0;
    this.#refusedTo = range.to;
    this.#refused.push(range);
    this.#settle(this.#settled);
    return news;
  }

  /**
   * An attachment of the same life begins: the holder has all below `expected`
   * and gets the rest once more. A holder that forgot this viewer counts anew.
   */
  resume(expected: number): void {
    if (expected < this.#settled) {
      this.#settled = expected;
      this.#refused = [];
      this.#refusedTo = Math.min(this.#refusedTo, expected);
    } else if (expected > this.end) {
      this.restart(expected);
    }
    this.#sent = expected;
  }

  /** Another life begins: numbers start at `base`. Answers how many bytes are now unknown. */
  restart(base: number): number {
    const lost = this.#length;
    this.#pieces = [];
    this.#length = 0;
    this.#refused = [];
    this.#refusedTo = base;
    this.#settled = base;
    this.#sent = base;
    return lost;
  }

  /** The first attachment of this page: what was typed while it came up begins at `base`. */
  begin(base: number): void {
    this.#refusedTo = base;
    this.#settled = base;
    this.#sent = base;
  }

  /** Forgets what was never sent: nobody will take it. Answers how many bytes that were. */
  dropUnsent(): number {
    const dropped = this.end - this.#sent;
    if (dropped === 0) return 0;
    const kept = this.#copy(this.#settled, this.#sent);
    this.#pieces = kept.length > 0 ? [kept] : [];
    this.#length = kept.length;
    return dropped;
  }

  get settled(): number {
    return this.#settled;
  }

  get sent(): number {
    return this.#sent;
  }

  /** One past the number of the last byte. */
  get end(): number {
    return this.#settled + this.#length;
  }

  /** Bytes that are kept. */
  get kept(): number {
    return this.#length;
  }

  #settle(offset: number): void {
    let to = Math.max(offset, this.#settled);
    // Refused ranges are known too; a confirmation may stand right before one.
    for (let moved = true; moved; ) {
      moved = false;
      for (const range of this.#refused) {
        if (range.from <= to && range.to > to) {
          to = Math.min(range.to, this.#sent);
          moved = to === range.to;
        }
      }
    }
    this.#refused = this.#refused.filter((range) => range.to > to);
    this.#drop(to - this.#settled);
    this.#settled = to;
  }

  #drop(count: number): void {
    this.#length -= count;
    while (count > 0) {
      const first = this.#pieces[0];
      if (first === undefined) return;
      if (first.length > count) {
        this.#pieces[0] = first.subarray(count);
        return;
      }
      count -= first.length;
      this.#pieces.shift();
    }
  }

  #copy(from: number, to: number): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(Math.max(to - from, 0));
    let at = this.#settled;
    for (const piece of this.#pieces) {
      const start = Math.max(from - at, 0);
      const end = Math.min(to - at, piece.length);
      if (end > start) out.set(piece.subarray(start, end), at + start - from);
      at += piece.length;
      if (at >= to) break;
    }
    return out;
  }
}
