// A program's login that waits for this person: the code that the address brought, kept while they sign in.

import type { DevicesLookResponse } from "../gen/chatcode/v1/devices_pb";
import type { Rpc } from "../link/rpc";
import { Store } from "../store";

const FRAGMENT = "device";
/** Of this tab alone, and no secret: signing in may lead through another site and back. */
const KEPT = "chatcode.device";
/** A code has 8 letters and a dash; what is much longer is none. */
const LONGEST = 32;

export class DeviceKeeper {
  /** The code that is asked about; empty: the person types it. Nothing: none is. */
  readonly asked = new Store<string | undefined>(undefined);

  constructor(private readonly rpc: Rpc) {}

  /** Takes the code from the address, now and whenever such an address is opened in this tab. */
  start(): void {
    window.addEventListener("hashchange", () => this.#take());
    const kept = sessionStorage.getItem(KEPT) ?? undefined;
    if (!this.#take() && kept !== undefined) this.asked.set(kept.slice(0, LONGEST));
  }

  /** Asks about a code; empty: the person types it. */
  ask(code: string): void {
    sessionStorage.setItem(KEPT, code);
    this.asked.set(code);
  }

  /** Nothing is asked any more. */
  readonly over = (): void => {
    sessionStorage.removeItem(KEPT);
    this.asked.set(undefined);
  };

  /** What waits under a code. */
  look(userCode: string): Promise<DevicesLookResponse> {
    return this.rpc.devices.look({ userCode });
  }

  /** Lets it in, or refuses it; `waiting` is as the person saw it. */
  async decide({ userCode }: DevicesLookResponse, approve: boolean): Promise<void> {
    await this.rpc.devices.decide({ userCode, approve });
  }

  #take(): boolean {
    const code = takeCode(location, history);
    if (code !== undefined) this.ask(code);
    return code !== undefined;
  }
}

/** Takes the code out of the address, so that it stays in no history; empty: there is none in it, but it asks for one. */
export function takeCode(place: Location, past: History): string | undefined {
  const code = new URLSearchParams(place.hash.slice(1)).get(FRAGMENT);
  if (code === null) return undefined;
  past.replaceState(null, "", place.pathname + place.search);
  return code.slice(0, LONGEST);
}
