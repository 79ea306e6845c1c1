// A latency as it is shown: a shorter one is believed at once, a longer one by
// and by, since a busy page only ever adds.

const BELIEF = 0.3;

export function smooth(before: number | undefined, ms: number): number {
  const now = Math.max(ms, 0);
  return before === undefined || now < before ? now : before * (1 - BELIEF) + now * BELIEF;
}
