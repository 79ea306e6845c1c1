// When to come back: exponential with full jitter, as a pure sequence; the
// same as src/backoff.rs of the contract.

export class Backoff {
  #tries = 0;

  /** Pauses between 0 and `first`, then up to twice as much each time, never more than `longest`. */
  constructor(
    private readonly first: number,
    private readonly longest: number,
  ) {}

  /** The pause before the next try; `random` is drawn evenly from 0 to 1. */
  next(random: number): number {
    const ceiling = Math.min(this.first * 2 ** Math.min(this.#tries, 40), this.longest);
    this.#tries += 1;
    return ceiling * Math.min(Math.max(random, 0), 1);
  }

  /** Begins anew: what was reached has lasted. */
  reset(): void {
    this.#tries = 0;
  }

  /** Pauses since the last reset. */
  get tries(): number {
    return this.#tries;
  }
}
