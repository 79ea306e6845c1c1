// A guest in one session: who they are here, and what they were let into.

import { ask } from "../account/sign-in";
import { Role } from "../gen/chatcode/v1/grant_pb";
import { Backoff } from "../link/backoff";
import { RECONNECT_FIRST_MS, RECONNECT_LONGEST_MS } from "../link/limits";
import { explain, fromError, isTransient } from "../link/refusal";
import type { Rpc } from "../link/rpc";
import { Store } from "../store";
import type { Tab } from "../workspace/workspace";

export type Stay =
  | { state: "asking" }
  /** Nobody answers; asked again by itself. */
  | { state: "waiting"; words: string }
  /** Not a guest here, or not any more. */
  | { state: "out"; words: string }
  | { state: "left" }
  | { state: "in"; displayName: string; tab: Tab; writer: boolean; expiresUnixMs: number; sharedBy: string };

/** The header by which the edge knows as which guest a page calls. */
export const GUEST_HEADER = "chatcode-guest";

export class GuestKeeper {
  readonly stay = new Store<Stay>({ state: "asking" });
  readonly #backoff = new Backoff(RECONNECT_FIRST_MS, RECONNECT_LONGEST_MS);
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `share`: the id of the link by which we are here. */
  constructor(
    readonly share: string,
    private readonly rpc: Rpc,
    private readonly enters: (tab: Tab) => Promise<void>,
  ) {}

  /** Asks the core who we are here; again by itself while nobody answers. */
  readonly ask = async (): Promise<void> => {
    clearTimeout(this.#timer);
    try {
      const { displayName, guestOf } = await this.rpc.accounts.whoAmI({});
      if (guestOf === undefined) {
        this.stay.set({ state: "out", words: "this page is for guests; open the link again" });
        return;
      }
      const { gateway, session, role, expiresUnixMs, sharedBy } = guestOf;
      await this.enters({ gateway, session });
      this.#backoff.reset();
      this.stay.set({
        state: "in",
        displayName,
        tab: { gateway, session },
        writer: role === Role.WRITER,
        expiresUnixMs: Number(expiresUnixMs),
        sharedBy,
      });
    } catch (error) {
      const words = explain(error);
      if (!isTransient(fromError(error).code)) {
        this.stay.set({ state: "out", words });
        return;
      }
      this.stay.set({ state: "waiting", words });
      this.#timer = setTimeout(() => void this.ask(), this.#backoff.next(Math.random()));
    }
  };

  /** Leaves for good. Throws a refusal when the core could not be told. */
  readonly leave = async (): Promise<void> => {
    await ask("/api/sign-out", {}, undefined, { [GUEST_HEADER]: this.share });
    this.stay.set({ state: "left" });
  };
}
