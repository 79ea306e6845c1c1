// What was typed and is not confirmed: kept, numbered, and sent again. The
// same as src/viewer/typed.rs.

import { INPUT_BYTES, INPUT_IN_FLIGHT_BYTES, INPUT_UNCONFIRMED_BYTES } from "../link/limits";

/** Numbers of input bytes. */
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
  /** Bytes from the first that is not confirmed, in the pieces in which they came. */
  #pieces: Uint8Array<ArrayBuffer>[] = [];
  #length = 0;
  /** The number of the first of them. */
  #first = 0;
  /** The number of the next one to send. */
  #next = 0;
  /** Ranges of them that were refused, in order and apart. */
  #refused: Range[] = [];

  /** Takes as much as there is room for; answers how much. */
  push(bytes: Uint8Array): number {
    const taken = Math.min(this.room, bytes.length);
    if (taken > 0) {
      this.#pieces.push(bytes.slice(0, taken));
      this.#length += taken;
    }
    return taken;
  }

  /** The next bytes to send: of one frame, and with those on their way within the limit. */
  poll(): Run | undefined {
    const offset = this.#next;
    const to = Math.min(offset + INPUT_BYTES, this.#first + INPUT_IN_FLIGHT_BYTES, this.end);
    if (to <= offset) return undefined;
    this.#next = to;
    return { offset, data: this.#copy(offset, to) };
  }

  /** All below `offset` was written or refused. What was never sent cannot have been. */
  handleConfirmed(offset: number): void {
    const to = Math.min(Math.max(offset, this.#first), this.#next);
    this.#drop(to - this.#first);
    this.#first = to;
    this.#refused = this.#refused.filter((range) => range.to > to);
  }

  /** A refusal; answers what of it was not told yet. */
  handleRefused(range: Range): Range[] {
    let from = Math.max(range.from, this.#first);
    const to = Math.min(range.to, this.#next);
    const news: Range[] = [];
    for (const known of this.#refused) {
      if (from < known.from && known.from < to) news.push({ from, to: known.from });
      if (known.to > from && known.from < to) from = known.to;
    }
    if (from < to) news.push({ from, to });
    this.#refused = joined([...this.#refused, ...news]);
    return news;
  }

  /**
   * A new connection: the holder expects `offset` next. Answers how many sent
   * bytes are unknown to it, when it has forgotten this viewer; they are not
   * sent again.
   */
  handleAttached(offset: number): number {
    let unknown = 0;
    if (offset < this.#first || offset > this.#next) {
      unknown = this.beginAnew();
      this.#first = offset;
    }
    this.#next = offset;
    return unknown;
  }

  /**
   * Numbers begin at 0. Answers how many bytes were sent and neither confirmed
   * nor refused; they are not sent again.
   */
  beginAnew(): number {
    const sent = this.#next - this.#first;
    const refused = this.#refused.reduce((sum, { from, to }) => sum + overlap(from, to, this.#first, this.#next), 0);
    this.#drop(sent);
    this.#first = 0;
    this.#next = 0;
    this.#refused = [];
    return sent - refused;
  }

  /**
   * What was not sent will not be, so that old keys never come out later.
   * Answers what that is, by the numbers that it would have had.
   */
  giveBack(): Range | undefined {
    const range = { from: this.#next, to: this.end };
    if (range.from >= range.to) return undefined;
    const kept = this.#copy(this.#first, this.#next);
    this.#pieces = kept.length > 0 ? [kept] : [];
    this.#length = kept.length;
    return range;
  }

  /** Numbers below this are settled. */
  get settled(): number {
    return this.#first;
  }

  /** One past the number of the last byte. */
  get end(): number {
    return this.#first + this.#length;
  }

  /** Bytes that `push` would take. */
  get room(): number {
    return INPUT_UNCONFIRMED_BYTES - this.#length;
  }

  /** Bytes that wait. */
  get unconfirmed(): number {
    return this.#length;
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
    let at = this.#first;
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

function overlap(from: number, to: number, first: number, next: number): number {
  return Math.max(Math.min(to, next) - Math.max(from, first), 0);
}

/** In order, and those that touch as one. */
function joined(ranges: Range[]): Range[] {
  const out: Range[] = [];
  for (const { from, to } of ranges.sort((a, b) => a.from - b.from)) {
    const last = out.at(-1);
    if (last?.to === from) last.to = to;
    else out.push({ from, to });
  }
  return out;
}
