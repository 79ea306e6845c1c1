// What is known of the edge, and through it of the core: the newest pong of
// any socket, or the newest answer to GET /api/health.

import { fromJson, type JsonValue } from "@bufbuild/protobuf";

import { CoreHealthSchema, type CoreHealth } from "../gen/chatcode/v1/edge_pb";
import { Store } from "../store";

/** An edge that does not say in this time how the core is, does not answer. */
const HEALTH_MS = 2_000;

/** The newest sign of the edge. */
export interface EdgeSeen {
  /** When it came, in milliseconds since 1970. */
  at: number;
  core: CoreHealth;
}

export class EdgeWatch {
  readonly seen = new Store<EdgeSeen | undefined>(undefined);

  constructor(private readonly origin: string) {}

  /** The edge has answered just now, and said this of the core. */
  answered(core: CoreHealth): void {
    this.seen.set({ at: Date.now(), core });
  }

  /** Asks the edge how the core is; nothing when it does not answer. */
  async ask(): Promise<CoreHealth | undefined> {
    try {
      const answer = await fetch(`${this.origin}/api/health`, { cache: "no-store", signal: AbortSignal.timeout(HEALTH_MS) });
      const told = (await answer.json()) as { core?: JsonValue };
      const core = fromJson(CoreHealthSchema, told.core ?? {});
      this.answered(core);
      return core;
    } catch {
      return undefined;
    }
  }
}
