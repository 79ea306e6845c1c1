// Coming by a link to one session: what it leads to, and coming in.

import { ask } from "../account/sign-in";
import { Code } from "../gen/chatcode/v1/code_pb";
import { explain, Refusal } from "../link/refusal";
import { Store } from "../store";
import { SHARE_FRAGMENT } from "./sharing";

/** What a guest is let into, as the edge tells it. */
export interface GuestOf {
  share: string;
  sessionName: string;
  writer: boolean;
  /** Milliseconds since 1970. */
  expiresUnixMs: number;
  sharedBy: string;
}

export type Coming =
  | { state: "looking" }
  /** The link does not count, or nobody could say. */
  | { state: "refused"; words: string }
  | { state: "asked"; guestOf: GuestOf; passphrase: boolean; accountsOnly: boolean; signedInAs: string; isIn: boolean };

/** The link that waits until somebody has signed in for it, in this tab. */
const WAITS = "chatcode.share";
/** What the guest wants to be called, the next time too. */
const NAME = "chatcode.guest-name";

export class Entering {
  readonly coming = new Store<Coming | undefined>(undefined);
  #secret = "";

  /** `go`: leaves for another address of ours. */
  constructor(private readonly go: (path: string) => void) {}

  /** Takes a link's secret out of the address, if there is one. */
  start(): void {
    window.addEventListener("hashchange", () => this.#take(takeShare(location, history)));
    this.#take(takeShare(location, history));
  }

  /** Somebody is signed in: the link that waited for that is looked at again. */
  signedIn(): void {
    const waits = sessionStorage.getItem(WAITS);
    sessionStorage.removeItem(WAITS);
    this.#take(waits ?? undefined);
  }

  /** Signs in first, and comes back to the link then. */
  readonly signInFirst = (): void => {
    sessionStorage.setItem(WAITS, this.#secret);
    this.coming.set(undefined);
  };

  readonly leave = (): void => this.coming.set(undefined);

  /** What the guest was called the last time. */
  get lastName(): string {
    return localStorage.getItem(NAME) ?? "";
  }

  readonly look = async (): Promise<void> => {
    this.coming.set({ state: "looking" });
    try {
      const told = await ask("/api/share/look", { secret: this.#secret });
      this.coming.set({
        state: "asked",
        guestOf: guestOf(told["guest_of"]),
        passphrase: told["passphrase"] === true,
        accountsOnly: told["accounts_only"] === true,
        signedInAs: text(told["signed_in_as"]),
        isIn: told["is_in"] === true,
      });
    } catch (error) {
      this.coming.set({ state: "refused", words: explain(error) });
    }
  };

  /** Comes in, and leaves for the page of guests. Throws a refusal. */
  async enter(name: string, passphrase: string): Promise<void> {
    const told = await ask("/api/share/enter", { secret: this.#secret, passphrase, display_name: name });
    if (name !== "") localStorage.setItem(NAME, name);
    this.go(`/s/${guestOf(told["guest_of"]).share}`);
  }

  #take(secret: string | undefined): void {
    if (secret === undefined) return;
    this.#secret = secret;
    void this.look();
  }
}

/** Takes the secret of a link out of the address, so that it stays in no history. */
export function takeShare(place: Location, past: History): string | undefined {
  const secret = new URLSearchParams(place.hash.slice(1)).get(SHARE_FRAGMENT);
  if (secret === null) return undefined;
  past.replaceState(null, "", place.pathname + place.search);
  return secret;
}

/** The id of the link on whose page of guests we are. */
export function guestPage(path: string): string | undefined {
  return /^\/s\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/u.exec(path)?.[1];
}

function guestOf(told: unknown): GuestOf {
  const fields = (typeof told === "object" && told !== null ? told : {}) as Record<string, unknown>;
  const share = text(fields["share"]);
  if (guestPage(`/s/${share}`) === undefined) throw new Refusal(Code.INTERNAL, "the edge did not say what the link leads to; try again");
  return {
    share,
    sessionName: text(fields["session_name"]),
    writer: fields["role"] === "writer",
    expiresUnixMs: Number(fields["expires_unix_ms"] ?? 0),
    sharedBy: text(fields["shared_by"]),
  };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
