// By what the person signs in, and in which browsers they are signed in.

import type { PersonSession } from "../gen/chatcode/v1/accounts_pb";
import { IdentityKind, type Identity } from "../gen/chatcode/v1/identities_pb";
import { Code } from "../gen/chatcode/v1/code_pb";
import { NAME_CHARS } from "../link/limits";
import { Refusal } from "../link/refusal";
import type { Rpc } from "../link/rpc";
import { Store } from "../store";
import { knowsPasskeys, makePasskey } from "./passkey";
import { signInMethods, type Methods } from "./sign-in";

/** What the account's dialog shows. */
export interface Own {
  email: string;
  identities: readonly Identity[];
  browsers: readonly PersonSession[];
  methods: Methods;
}

/** That the offer of a passkey was seen, by person. */
const OFFERED = "chatcode.passkey-offered";

export class Identities {
  readonly own = new Store<Own | undefined>(undefined);

  /** Grows when somebody leaves: an answer of before is not for whoever comes next. */
  #left = 0;

  constructor(private readonly rpc: Rpc) {}

  /** Asks for everything anew. Throws a refusal. */
  readonly ask = async (): Promise<Own> => {
    const left = this.#left;
    const [{ identities, email }, { sessions }, methods] = await Promise.all([this.rpc.identities.list({}), this.rpc.accounts.listSessions({}), signInMethods()]);
    const own = { identities, email, browsers: sessions, methods };
    if (left === this.#left) this.own.set(own);
    return own;
  };

  forget(): void {
    this.#left += 1;
    this.own.set(undefined);
  }

  /** Adds a passkey, named after this browser. */
  async addPasskey(): Promise<void> {
    const { challenge, options } = await this.rpc.identities.beginAdd({ method: { case: "passkey", value: true } });
    if (options.case !== "passkey") throw new Refusal(Code.INTERNAL, "the core's challenge is none");
    const passkey = await makePasskey(options.value);
    const here = this.own.get()?.browsers.find(({ current }) => current)?.device ?? "";
    const label = Array.from(here === "" ? "Passkey" : here).slice(0, NAME_CHARS).join("");
    await this.rpc.identities.finishAdd({ challenge, label, proof: { case: "passkey", value: passkey } });
    await this.ask();
  }

  async setPassword(password: string): Promise<void> {
    await this.rpc.identities.setPassword({ password: password.normalize("NFC") });
    await this.ask();
  }

  async rename(id: string, label: string): Promise<void> {
    await this.rpc.identities.rename({ id, label });
    await this.ask();
  }

  async remove(id: string): Promise<void> {
    await this.rpc.identities.remove({ id });
    await this.ask();
  }

  /** Ends the sign-in of another browser, or of all others (nothing). */
  async endBrowser(id?: string): Promise<void> {
    await this.rpc.accounts.endSessions({ which: id === undefined ? { case: "others", value: true } : { case: "id", value: id } });
    await this.ask();
  }

  /** Whether a passkey is worth an offer: there is none, there may be one, and this person was not asked here before. */
  async wantsPasskey(principal: string): Promise<boolean> {
    if (!knowsPasskeys() || remembered().includes(principal)) return false;
    const { methods, identities } = await this.ask();
    return methods.passkeys && !identities.some(({ kind }) => kind === IdentityKind.PASSKEY);
  }

  /** The offer was seen. */
  offered(principal: string): void {
    localStorage.setItem(OFFERED, JSON.stringify([...remembered(), principal].slice(-32)));
  }
}

function remembered(): string[] {
  try {
    const all: unknown = JSON.parse(localStorage.getItem(OFFERED) ?? "[]");
    return Array.isArray(all) ? all.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}
