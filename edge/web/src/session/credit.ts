// How much a viewer asks for: clamp(render rate x (RTT + 20 ms), 32 KiB, 1 MiB).

import { WINDOW_MAX_BYTES, WINDOW_MIN_BYTES, WINDOW_SLACK_MS } from "../link/limits";

/** The window until something was measured. */
const FIRST_WINDOW = 256 * 1024;
/** A measurement covers at least this much, else timers' grain is what it tells. */
const SAMPLE_BYTES = 32 * 1024;
/** Rendered bytes are told at the latest after this time: the PTY waits 50 ms for news, the way there included. */
const TELL_MS = 10;

export class Credit {
  #rendered = 0;
  #told = 0;
  #pending = 0;
  #busySince = 0;
  #busyBytes = 0;
  #bytesPerMs: number | undefined;
  #tellAt: number | undefined;

  /** Output goes on at `offset`; what waits to be rendered no longer counts. */
  restart(offset: number): void {
    this.#rendered = offset;
    this.#told = offset;
    this.#pending = 0;
    this.#busyBytes = 0;
    this.#tellAt = undefined;
  }

  arrived(now: number, bytes: number): void {
    if (this.#pending === 0) {
      this.#busySince = now;
      this.#busyBytes = 0;
    }
    this.#pending += bytes;
  }

  /** The screen took the next `bytes`, and everything below `offset` is on it. */
  rendered(now: number, bytes: number, offset: number): void {
    this.#pending = Math.max(this.#pending - bytes, 0);
    this.#busyBytes += bytes;
    this.#rendered = Math.max(this.#rendered, offset);
    if (this.#busyBytes >= SAMPLE_BYTES && now > this.#busySince) {
      const rate = this.#busyBytes / (now - this.#busySince);
      this.#bytesPerMs = this.#bytesPerMs === undefined ? rate : this.#bytesPerMs * 0.7 + rate * 0.3;
      this.#busySince = now;
      this.#busyBytes = 0;
    }
    this.#tellAt ??= now + TELL_MS;
  }

  window(rttMs: number | undefined): number {
    if (this.#bytesPerMs === undefined) return FIRST_WINDOW;
    const wanted = this.#bytesPerMs * ((rttMs ?? 0) + WINDOW_SLACK_MS);
    return Math.round(Math.min(Math.max(wanted, WINDOW_MIN_BYTES), WINDOW_MAX_BYTES));
  }

  /** The offset to tell the holder now; nothing while a later, larger step will do. */
  poll(now: number, rttMs: number | undefined): number | undefined {
    const untold = this.#rendered - this.#told;
    if (untold <= 0) return undefined;
    if (untold < this.window(rttMs) / 4 && (this.#tellAt === undefined || now < this.#tellAt)) return undefined;
    this.#told = this.#rendered;
    this.#tellAt = undefined;
    return this.#rendered;
  }

  /** When `poll` has something at the latest. */
  get due(): number | undefined {
    return this.#rendered > this.#told ? this.#tellAt : undefined;
  }

  /** Every byte below this is on the screen. */
  get offset(): number {
    return this.#rendered;
  }
}
