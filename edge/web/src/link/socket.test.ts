import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { PING_MS, SILENCE_MS } from "./limits";
import type { Refusal } from "./refusal";
import { StreamSocket } from "./socket";

/** A browser's WebSocket whose far end is the test. */
class FakeSocket {
  static readonly OPEN = 1;
  static last: FakeSocket;
  readonly readyState = FakeSocket.OPEN;
  readonly stamps: number[] = [];
  onopen = (): void => undefined;
  onmessage: (event: { data: string }) => void = () => undefined;

  constructor() {
    FakeSocket.last = this;
  }

  send(data: string | Uint8Array): void {
    if (typeof data === "string") this.stamps.push((JSON.parse(data) as { stamp: number }).stamp);
  }

  close(): void {}

  answer(): void {
    const core = { up: true, since_unix_ms: 1_790_000_000_000, rtt_us: 310 };
    for (const stamp of this.stamps.splice(0)) this.onmessage({ data: JSON.stringify({ stamp, core }) });
  }
}

describe("a socket", () => {
  let ended: Refusal | undefined;
  let measured: [number, number | undefined] | undefined;

  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("WebSocket", FakeSocket);
    ended = undefined;
    measured = undefined;
    new StreamSocket("ws://edge", { method: "/m", gateway: "", session: "" }, "t", {
      opened: () => undefined,
      message: () => undefined,
      measured: (edgeMs, core) => (measured = [edgeMs, core === undefined ? undefined : Number(core.rttUs)]),
      ended: (refusal) => (ended = refusal),
    });
    FakeSocket.last.onopen();
  });

  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("measures the edge by its pongs and learns of the core", () => {
    vi.advanceTimersByTime(20);
    FakeSocket.last.answer();
    expect(measured?.[0]).toBeCloseTo(20, 0);
    expect(measured?.[1]).toBe(310);
  });

  it("is given up when pings stay unanswered", () => {
    vi.advanceTimersByTime(SILENCE_MS - 1);
    expect(ended).toBeUndefined();
    vi.advanceTimersByTime(PING_MS);
    expect(ended?.message).toBe("the edge went silent");
  });

  it("is kept while its edge answers, though a hidden tab's timers fire once a minute", () => {
    FakeSocket.last.answer();
    for (let minute = 0; minute < 5; minute += 1) {
      // Time goes by without a tick; then one, and the answer after it.
      vi.setSystemTime(Date.now() + 57_000);
      const now = performance.now() + 57_000;
      vi.spyOn(performance, "now").mockReturnValue(now);
      vi.advanceTimersByTime(PING_MS);
      expect(ended).toBeUndefined();
      FakeSocket.last.answer();
    }
    vi.restoreAllMocks();
  });
});
