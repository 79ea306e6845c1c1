// Updates of machines: what each says that there is, and one that a person asked
// for, over the break of the machine's link on the way.

import type { Client } from "@connectrpc/connect";

import { Code } from "../gen/chatcode/v1/code_pb";
import { UpdateState, type Host, type UpdateOutcome, type UpdateStatus } from "../gen/chatcode/v1/host_pb";
import { fromError, type Refusal } from "../link/refusal";
import { target } from "../link/rpc";
import { Store } from "../store";

/** Between two questions how far an update is. */
export const ASK_MS = 1_000;
/** A machine is away for its trial: ten minutes at most, and the way there and back. */
export const AWAY_MS = 12 * 60_000;

const AWAY = new Set([Code.GATEWAY_OFFLINE, Code.TIMEOUT, Code.DRAINING, Code.CORE_UNREACHABLE, Code.INTERNAL, Code.UNSPECIFIED]);

export class Updates {
  /** What each machine said last, by its id. */
  readonly state = new Store<ReadonlyMap<string, UpdateStatus>>(new Map());
  readonly #host: Pick<Client<typeof Host>, "update" | "updateStatus">;
  readonly #pause: () => Promise<void>;

  constructor(host: Pick<Client<typeof Host>, "update" | "updateStatus">, pause = (): Promise<void> => new Promise((done) => setTimeout(done, ASK_MS))) {
    this.#host = host;
    this.#pause = pause;
  }

  /** Asks a machine; one that does not answer leaves what was known. */
  async look(gateway: string): Promise<void> {
    try {
      this.#learn(gateway, (await this.#host.updateStatus({}, target(gateway))).status);
    } catch {
      // It has said nothing new, and nobody asked for it.
    }
  }

  /**
   * Updates a machine to the newest of its channel, and tells what became of it; nothing when it came to no trial. A machine
   * that refuses, or stays away for too long, is an error.
   */
  async update(gateway: string): Promise<UpdateOutcome | undefined> {
    const begun = (await this.#host.update({}, target(gateway))).status;
    this.#learn(gateway, begun);
    let away = 0;
    for (;;) {
      await this.#pause();
      let status: UpdateStatus | undefined;
      try {
        ({ status } = await this.#host.updateStatus({}, target(gateway)));
      } catch (error) {
        const refusal = fromError(error);
        away += ASK_MS;
        if (!AWAY.has(refusal.code) || away > AWAY_MS) throw refusal satisfies Refusal;
        continue;
      }
      away = 0;
      this.#learn(gateway, status);
      if (status === undefined) return undefined;
      if (status.last !== undefined && status.last.endedUnixMs !== begun?.last?.endedUnixMs) return status.last;
      if (status.state === UpdateState.UNSPECIFIED) return undefined;
    }
  }

  forget(): void {
    this.state.set(new Map());
  }

  #learn(gateway: string, status: UpdateStatus | undefined): void {
    if (status !== undefined) this.state.set(new Map(this.state.get()).set(gateway, status));
  }
}

/** Where an update is, in words; empty when none is under way. */
export function progressText({ state, doneBytes, totalBytes }: UpdateStatus): string {
  switch (state) {
    case UpdateState.LOOKING:
      return "Looking for the release…";
    case UpdateState.DOWNLOADING:
      return totalBytes === 0n ? "Downloading…" : `Downloading: ${(doneBytes * 100n) / totalBytes} %`;
    case UpdateState.UNPACKING:
      return "Checking and unpacking…";
    case UpdateState.TRIAL:
      return "The new version is on trial. The link breaks and comes back.";
    default:
      return "";
  }
}
