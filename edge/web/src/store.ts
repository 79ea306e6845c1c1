// A value that tells when it changes. State lives here, outside of React, so
// that a frame of output never renders a component.

export class Store<T> {
  #value: T;
  readonly #listeners = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  readonly get = (): T => this.#value;

  /** Replaces the value; listeners hear of it only when it is another one. */
  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Changes some fields; nothing happens when all are the same already. */
  patch(fields: Partial<T>): void {
    for (const key of Object.keys(fields) as (keyof T)[]) {
      if (!Object.is(this.#value[key], fields[key])) {
        this.set({ ...this.#value, ...fields });
        return;
      }
    }
  }

  /** Returns what ends the subscription. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
}
