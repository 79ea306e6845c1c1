// xterm.js 6.0 loses some characters ("…", "–", quotes) that are cut over two
// writes, so it is only given whole ones.

const NOTHING = new Uint8Array(0);

/** Holds the beginning of a UTF-8 character back until the rest has come. */
export class WholeCharacters {
  #held: Uint8Array = NOTHING;

  /** What can be written of all that came. */
  take(bytes: Uint8Array): Uint8Array {
    const all = this.#held.length === 0 ? bytes : Uint8Array.of(...this.#held, ...bytes);
    const cut = all.length - unfinished(all);
    this.#held = all.slice(cut);
    return all.subarray(0, cut);
  }

  /** What is held will not be finished. */
  clear(): void {
    this.#held = NOTHING;
  }
}

/** How many bytes at the end are the beginning of a character. */
function unfinished(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}
