// Signing in by what comes from elsewhere: the link or code of a mail, the answer of an identity provider.

import { Code } from "../gen/chatcode/v1/code_pb";
import { UNARY_DEADLINE_MS } from "../link/limits";
import { explain, Refusal } from "../link/refusal";
import type { Rpc } from "../link/rpc";
import { Store } from "../store";
import type { AccountKeeper } from "./account";
import { ask, signInBy } from "./sign-in";

/** What an identity provider sent back with the browser. */
export interface Answer {
  /** The provider whose address the browser came back to. */
  id: string;
  code: string;
  state: string;
  issuer: string;
}

/** What somebody has come to this page with. */
export type Arrival =
  /** A link of a mail, which waits for a click: those who only look at links burn none. */
  | { kind: "mail"; link: string }
  | { kind: "provider"; answer: Answer }
  | { kind: "added"; label: string }
  | { kind: "refused"; words: string };

/** Where each identity provider sends a browser back to; the edge and the core know it too. */
const CALLBACK = /^\/auth\/callback\/([a-z0-9-]{1,32})$/;
/** What a provider says when it lets nobody in (RFC 6749, 4.1.2.1; OpenID Connect Core 1.0, 3.1.2.6). Anybody can write such an address, so nothing else of it is shown. */
const ERRORS = new Map([
  ["access_denied", "It was refused there."],
  ["login_required", "It wants you to sign in there first."],
  ["interaction_required", "It wants to ask you something there first."],
  ["consent_required", "It wants you to agree there first."],
  ["temporarily_unavailable", "It is too busy just now."],
  ["server_error", "It has a fault just now."],
]);
const FRAGMENT = "mail";
/** The challenge of an account that is being added, until its provider sends the browser back to this tab. */
const ADDING = "chatcode.adding";
/** How states begin that are for adding. */
const ADDS = "add.";

export class Elsewhere {
  readonly arrival = new Store<Arrival | undefined>(undefined);

  constructor(
    private readonly rpc: Rpc,
    private readonly account: AccountKeeper,
  ) {}

  /** Takes out of the address what somebody has come with, and finishes what needs no click. Before anything else asks who we are. */
  async start(): Promise<void> {
    // A link that is opened in this very tab changes only the fragment; another one than a mail's is not ours to hide.
    window.addEventListener("hashchange", () => {
      const link = takeLink(location, history);
      this.arrival.set(link === undefined ? undefined : { kind: "mail", link });
    });
    const link = takeLink(location, history);
    const arrival = link === undefined ? takeAnswer(location, history) : { kind: "mail" as const, link };
    this.arrival.set(arrival);
    if (arrival?.kind === "provider") await this.#finish(arrival.answer);
  }

  /** It was seen. */
  readonly leave = (): void => this.arrival.set(undefined);

  /** Sends the browser to the provider. Throws a refusal. */
  readonly goTo = async (provider: string): Promise<void> => {
    const { provider: url } = await ask("/api/sign-in/begin", { method: "provider", id: provider }, UNARY_DEADLINE_MS);
    go(typeof url === "string" ? url : "");
  };

  /** A mail is on its way, if anybody has the address. Throws a refusal. */
  readonly askForMail = async (address: string): Promise<void> => {
    await ask("/api/sign-in/begin", { method: "mail", address: address.trim() });
  };

  readonly signInByCode = (code: string, samePerson = false): Promise<void> => this.account.signedIn(signInBy({ mail: { code } }, samePerson));

  /** `anywhere`: the person knows that another browser has asked for the mail. */
  readonly signInByLink = async (link: string, anywhere: boolean): Promise<void> => {
    await this.account.signedIn(signInBy({ mail: { link, anywhere } }));
    this.leave();
  };

  /** Sends the browser to the provider whose account is to be added. */
  readonly goToAdd = async (provider: string): Promise<void> => {
    const { challenge, options } = await this.rpc.identities.beginAdd({ method: { case: "provider", value: provider } });
    sessionStorage.setItem(ADDING, challenge);
    go(options.case === "provider" ? options.value : "");
  };

  /** Sends a code to an address that is to be added; the answer finishes it. */
  readonly addMail = async (address: string): Promise<(code: string) => Promise<void>> => {
    const { challenge } = await this.rpc.identities.beginAdd({ method: { case: "mail", value: address.trim() } });
    return async (code) => {
      await this.rpc.identities.finishAdd({ challenge, label: "", proof: { case: "mail", value: code } });
    };
  };

  async #finish(answer: Answer): Promise<void> {
    try {
      if (answer.state.startsWith(ADDS)) this.arrival.set({ kind: "added", label: await this.#add(answer) });
      else {
        await this.account.signedIn(signInBy({ provider: { ...answer } }));
        this.leave();
      }
    } catch (error) {
      this.arrival.set({ kind: "refused", words: explain(error) });
    }
  }

  async #add(answer: Answer): Promise<string> {
    const challenge = sessionStorage.getItem(ADDING) ?? "";
    const { id: providerId, ...told } = answer;
    const proof = { case: "provider" as const, value: { challenge: "", providerId, ...told } };
    const { identity } = await this.rpc.identities.finishAdd({ challenge, label: "", proof });
    // Only now: an answer that somebody forged leaves it for the right one.
    sessionStorage.removeItem(ADDING);
    return identity?.label ?? "";
  }
}

/** Takes the secret of a mail's link out of the address, so that it stays in no history. */
export function takeLink(place: Location, past: History): string | undefined {
  const link = new URLSearchParams(place.hash.slice(1)).get(FRAGMENT);
  if (link === null) return undefined;
  past.replaceState(null, "", place.pathname + place.search);
  return link;
}

/** Takes the answer of an identity provider out of the address. */
export function takeAnswer(place: Location, past: History): Arrival | undefined {
  const id = CALLBACK.exec(place.pathname)?.[1];
  if (id === undefined) return undefined;
  const told = new URLSearchParams(place.search);
  past.replaceState(null, "", "/");
  const word = (name: string): string => told.get(name) ?? "";
  const [code, state, error] = [word("code"), word("state"), word("error")];
  if (error !== "") return { kind: "refused", words: `The identity provider did not let you in. ${ERRORS.get(error) ?? "It does not say why in words that are known here."} Try again, or sign in another way.` };
  if (code === "" || state === "") return { kind: "refused", words: "The identity provider sent you back without an answer. Begin anew." };
  return { kind: "provider", answer: { id, code, state, issuer: word("iss") } };
}

/** Leaves for a provider; nothing but a web page is gone to. */
function go(address: string): void {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !["https:", "http:"].includes(url.protocol)) throw new Refusal(Code.INTERNAL, "the edge named no address to go to");
  location.assign(url.href);
}
