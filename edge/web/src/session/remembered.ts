// What a page remembers of its viewer over a reload, so that the next one can
// say what did not arrive.

import { REMEMBERED } from "./viewer-id";
import type { Remembered } from "./viewer";

export function remember(session: string, state: Remembered): void {
  sessionStorage.setItem(REMEMBERED + session, JSON.stringify(state));
}

export function forget(session: string): void {
  sessionStorage.removeItem(REMEMBERED + session);
}

export function recall(session: string): Remembered | undefined {
  try {
    const value = JSON.parse(sessionStorage.getItem(REMEMBERED + session) ?? "null") as Partial<Remembered> | null;
    if (value === null || typeof value.epoch !== "string" || typeof value.inputEnd !== "number") return undefined;
    return { epoch: value.epoch, inputEnd: value.inputEnd };
  } catch {
    return undefined;
  }
}

/** How many bytes were typed before the reload and never came to the holder that answers now. */
export function lostBytes(before: Remembered | undefined, now: { epoch: bigint; inputOffset: bigint }): number {
  if (before === undefined || before.epoch !== String(now.epoch)) return 0;
  return Math.max(before.inputEnd - Number(now.inputOffset), 0);
}
