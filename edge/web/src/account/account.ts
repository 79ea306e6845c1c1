// Who uses this page. The session token is in a cookie that scripts cannot
// read; the page knows only whether it is welcome.

import { Code } from "../gen/chatcode/v1/code_pb";
import type { Permission } from "../gen/chatcode/v1/rule_pb";
import { Backoff } from "../link/backoff";
import { RECONNECT_FIRST_MS, RECONNECT_LONGEST_MS, RETRY_AFTER_MS } from "../link/limits";
import { fromError, isTransient, type Refusal } from "../link/refusal";
import type { Rpc } from "../link/rpc";
import { Store } from "../store";
import { ask, signInBy, type SignedIn } from "./sign-in";

export type Account =
  | { state: "asking"; since: number }
  /** Nobody answers, or what answers cannot just now; asked again by itself. */
  | { state: "waiting"; since: number; nextTry: number; refusal: Refusal }
  | { state: "signed-out"; why: string | undefined }
  | { state: "signed-in"; principal: string; displayName: string; installation: string; version: string };

const FRAGMENT = "login";

const SOMEBODY_ELSE = "Somebody else signed in in this browser. Reload the page to go on with their account.";

/** Pauses before the looks whether there is a newer sign-in. */
const RENEWED_MS = [0, 250, 1000] as const;

export class AccountKeeper {
  readonly account = new Store<Account>({ state: "asking", since: Date.now() });
  /** The person came by a one-time URL, in this very page. */
  readonly byUrl = new Store(false);
  /** Who was signed in in this browser until somebody else did. */
  readonly insteadOf = new Store<string | undefined>(undefined);
  /** A link of another person was opened here; nobody changes account unless they say so. */
  readonly othersLink = new Store(false);
  /** What the person might do when the page last asked; the core decides each time. */
  readonly permissions = new Store<ReadonlySet<Permission>>(new Set());
  readonly #backoff = new Backoff(RECONNECT_FIRST_MS, RECONNECT_LONGEST_MS);
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #since = Date.now();
  #secret: string | undefined;
  /** The secret of the link of another person. */
  #others: string | undefined;

  /** `arrives`: told whose the page is, before anything of theirs is shown. */
  constructor(
    private readonly rpc: Rpc,
    private readonly arrives: (principal: string) => void,
  ) {}

  /** Signs in with the secret of the address, if there is one, and asks who we are. */
  start(): Promise<void> {
    // A sign-in link that is opened in this very tab changes only the fragment.
    window.addEventListener("hashchange", () => {
      const secret = takeSecret();
      if (secret === undefined) return;
      this.#secret = secret;
      void this.ask();
    });
    this.#secret = takeSecret();
    return this.ask();
  }

  /** Asks the core who we are; now, and again by itself while nobody answers. */
  readonly ask = async (): Promise<void> => {
    clearTimeout(this.#timer);
    let refused: Refusal | undefined;
    try {
      refused = await this.#signIn();
      const me = await this.rpc.accounts.whoAmI({});
      this.#backoff.reset();
      this.arrives(me.principal);
      this.permissions.set(new Set(me.permissions));
      this.account.set({
        state: "signed-in",
        principal: me.principal,
        displayName: me.displayName,
        installation: me.installation,
        version: me.coreVersion,
      });
    } catch (error) {
      const refusal = fromError(error);
      if (isTransient(refusal.code)) this.#later(refusal);
      else this.account.set({ state: "signed-out", why: refused?.message ?? whySignedOut(refusal) });
    }
  };

  /**
   * The core does not know this sign-in any more. Answers whether the same person
   * has signed in anew in another tab, whose cookie is this page's too: then all
   * goes on. The core ends the old sign-in a moment before the new cookie is here.
   */
  async renewed(): Promise<boolean> {
    const before = this.account.get();
    if (before.state !== "signed-in") return false;
    let isOther = false;
    for (const pause of RENEWED_MS) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      const me = await this.rpc.accounts.whoAmI({}).catch(() => undefined);
      // Somebody has signed out or in meanwhile, in this very page.
      const now = this.account.get();
      if (now !== before) return now.state === "signed-in" && now.principal === before.principal;
      if (me?.principal === before.principal) return true;
      isOther = me !== undefined;
      if (isOther) break;
    }
    this.account.set({ state: "signed-out", why: isOther ? SOMEBODY_ELSE : "This sign-in has ended." });
    return false;
  }

  /** Asks what the person might do by now; what was known stays when nobody answers. */
  readonly refresh = async (): Promise<void> => {
    const before = this.account.get();
    const me = await this.rpc.accounts.whoAmI({}).catch(() => undefined);
    if (before.state === "signed-in" && before === this.account.get() && me?.principal === before.principal) this.permissions.set(new Set(me.permissions));
  };

  /** Another tab tells who uses this browser now. Answers whether this page was somebody else's, who is signed out. */
  replacedBy(principal: string): boolean {
    const before = this.account.get();
    if (before.state !== "signed-in" || before.principal === principal) return false;
    this.account.set({ state: "signed-out", why: SOMEBODY_ELSE });
    return true;
  }

  /** Signs in by the link of another person after all. Throws a refusal. */
  async takeOthersLink(): Promise<void> {
    if (this.#others === undefined) return;
    await this.signedIn(signInBy({ secret: this.#others }));
    this.byUrl.set(true);
    this.leaveOthersLink();
  }

  /** Forgets the link of another person; it is not spent. */
  leaveOthersLink(): void {
    this.#others = undefined;
    this.othersLink.set(false);
  }

  /** Somebody has signed in by what the page asked for; answers as `signIn` did. */
  async signedIn(signIn: Promise<SignedIn>): Promise<void> {
    const { insteadOf } = await signIn;
    this.insteadOf.set(insteadOf);
    await this.ask();
  }

  /** Ends the sign-in. Answers why that failed: then the cookie still opens everything. */
  async signOut(): Promise<Refusal | undefined> {
    const refusal = await refusalOf(ask("/api/sign-out", {}));
    // Whom the core does not know is signed out already.
    if (refusal !== undefined && refusal.code !== Code.UNAUTHENTICATED) return refusal;
    this.byUrl.set(false);
    this.insteadOf.set(undefined);
    this.leaveOthersLink();
    this.account.set({ state: "signed-out", why: undefined });
    return undefined;
  }

  /** Trades the secret, kept until somebody judged it. Answers why it was refused; throws when nobody answers. */
  async #signIn(): Promise<Refusal | undefined> {
    const secret = this.#secret;
    if (secret === undefined) return undefined;
    // Anybody can send a link. A refusal of one that is another person's does not spend it.
    const samePerson = await this.#isSignedIn();
    const signIn = signInBy({ secret }, samePerson);
    const refusal = await refusalOf(signIn);
    if (refusal !== undefined && refusal.code !== Code.BAD_TOKEN && isTransient(refusal.code)) throw refusal;
    this.#secret = undefined;
    if (samePerson && refusal?.code === Code.FORBIDDEN) {
      this.#others = secret;
      this.othersLink.set(true);
    }
    if (refusal === undefined) {
      this.byUrl.set(true);
      this.insteadOf.set((await signIn).insteadOf);
    }
    return refusal;
  }

  /** Whether the cookie is somebody's. Throws when nobody answers. */
  async #isSignedIn(): Promise<boolean> {
    try {
      await this.rpc.accounts.whoAmI({});
      return true;
    } catch (error) {
      const refusal = fromError(error);
      if (isTransient(refusal.code)) throw refusal;
      return false;
    }
  }

  #later(refusal: Refusal): void {
    const wait = refusal.code === Code.RATE_LIMITED ? (refusal.waitMs ?? RETRY_AFTER_MS) : 0;
    const pause = wait + this.#backoff.next(Math.random());
    this.account.set({ state: "waiting", since: this.#since, nextTry: Date.now() + pause, refusal });
    this.#timer = setTimeout(() => void this.ask(), pause);
  }
}

/** Takes the one-time secret out of the address, so that it stays in no history. */
function takeSecret(): string | undefined {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const secret = fragment.get(FRAGMENT);
  if (secret === null) return undefined;
  history.replaceState(null, "", location.pathname + location.search);
  return secret;
}

/** Why something was refused; nothing when it was done. */
async function refusalOf(done: Promise<unknown>): Promise<Refusal | undefined> {
  try {
    await done;
    return undefined;
  } catch (error) {
    return fromError(error);
  }
}

function whySignedOut(refusal: Refusal): string | undefined {
  return refusal.code === Code.UNAUTHENTICATED ? undefined : refusal.message;
}
