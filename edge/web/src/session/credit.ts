// How much a viewer lets itself be sent: what it renders in a round trip and a
// little more. The same as src/viewer/credit.rs.

import { WINDOW_MAX_BYTES, WINDOW_MIN_BYTES, WINDOW_SLACK_MS } from "../link/limits";

/** What a new sample weighs. */
const SAMPLE_WEIGHT = 0.3;
/** A sample covers this much and takes this long; less is as rough as the clock, and is joined. */
const SAMPLE_BYTES = 32 * 1024;
const SAMPLE_MS = 5;

/** Counts what was rendered, and decides when to say so. */
export class Credit {
  #rttMs = 0;
  /** Bytes per millisecond while there was something to render; missing before the first sample. */
  #rate: number | undefined;
  /** Bytes that came and are not rendered yet. */
  #waiting = 0;
  /** The same of earlier connections: rendered before, and without credit. */
  #stale = 0;
  /** Since when something waits without a pause, as far as the sample does not have it. */
  #busySince: number | undefined;
  /** The sample that is being taken. */
  #sampleBytes = 0;
  #sampleMs = 0;
  /** Of this connection. */
  #rendered = 0;
  #told = 0;
  #toldAt = 0;
  #window = WINDOW_MAX_BYTES;

  /** A new connection. */
  restart(): void {
    this.#rendered = 0;
    this.#told = 0;
    this.#stale += this.#waiting;
    this.#waiting = 0;
    this.#busySince = undefined;
  }

  handleRtt(ms: number): void {
    this.#rttMs = ms;
  }

  /** These bytes of output or of a snapshot came. */
  handleBytes(now: number, bytes: number): void {
    this.#waiting += bytes;
    this.#busySince ??= now;
  }

  /** The next bytes of those that came are on the screen. */
  handleRendered(now: number, bytes: number): void {
    const old = Math.min(bytes, this.#stale);
    this.#stale -= old;
    const fresh = Math.min(bytes - old, this.#waiting);
    this.#waiting -= fresh;
    this.#rendered += fresh;
    this.#sample(now, fresh);
  }

  /** The first window of an attachment. */
  firstWindow(): number {
    this.#window = this.#windowNow();
    return this.#window;
  }

  /** When `poll` gives a credit that it does not give yet, if nothing more is rendered. */
  get nextTimeout(): number | undefined {
    const isLittle = this.#rendered - this.#told < WINDOW_MIN_BYTES / 4;
    return isLittle ? undefined : this.#toldAt + WINDOW_SLACK_MS;
  }

  /**
   * A credit, once a quarter of the window was rendered, or a quarter of the
   * smallest one and some time has passed: the holder has to see that a slow
   * viewer goes on.
   */
  poll(now: number): { renderedBytes: number; windowBytes: number } | undefined {
    const isLate = now >= this.#toldAt + WINDOW_SLACK_MS;
    const enough = Math.floor((isLate ? WINDOW_MIN_BYTES : this.#window) / 4);
    if (this.#rendered - this.#told < enough) return undefined;
    this.#told = this.#rendered;
    this.#toldAt = now;
    this.#window = this.#windowNow();
    return { renderedBytes: this.#rendered, windowBytes: this.#window };
  }

  /** Pauses in which nothing waits count for nothing. */
  #sample(now: number, bytes: number): void {
    if (this.#busySince === undefined) return;
    this.#sampleBytes += bytes;
    this.#sampleMs += Math.max(now - this.#busySince, 0);
    this.#busySince = this.#waiting > 0 ? now : undefined;
    if (this.#sampleBytes < SAMPLE_BYTES || this.#sampleMs < SAMPLE_MS) return;
    const sample = this.#sampleBytes / this.#sampleMs;
    this.#rate = this.#rate === undefined ? sample : this.#rate + SAMPLE_WEIGHT * (sample - this.#rate);
    this.#sampleBytes = 0;
    this.#sampleMs = 0;
  }

  /** Without a measured rate the most: a terminal that is idle renders at once. */
  #windowNow(): number {
    if (this.#rate === undefined) return WINDOW_MAX_BYTES;
    const wanted = this.#rate * (this.#rttMs + WINDOW_SLACK_MS);
    return Math.floor(Math.min(Math.max(wanted, WINDOW_MIN_BYTES), WINDOW_MAX_BYTES));
  }
}
