// Everything that lives as long as the page, wired once.

import { AccountKeeper } from "./account/account";
import { DeviceKeeper } from "./account/device";
import { Elsewhere } from "./account/elsewhere";
import { Identities } from "./account/identities";
import { Fleet } from "./fleet/fleet";
import { Updates } from "./fleet/updates";
import { Code } from "./gen/chatcode/v1/code_pb";
import type { Gateway, PendingGateway, TokenInfo } from "./gen/chatcode/v1/fleet_pb";
import type { RestartPolicy, Session } from "./gen/chatcode/v1/sessions_pb";
import type { LineState } from "./link/line";
import { explain } from "./link/refusal";
import { createRpc, target, type Rpc } from "./link/rpc";
import { Directory } from "./people/directory";
import { Entering } from "./sharing/entering";
import { GUEST_HEADER, GuestKeeper } from "./sharing/guest";
import { Sharing } from "./sharing/sharing";
import { Store } from "./store";
import { LookKeeper } from "./workspace/look";
import type { Tab } from "./workspace/workspace";
import { Workspace } from "./workspace/workspace";

/** Something that a person asked for and that was not done. */
export interface Failure {
  text: string;
  /** Tries once more. */
  again?: () => void;
}

/** What lies over the workspace. */
export type Overlay =
  | { kind: "new-session"; gateway: string | undefined }
  /** `tokens`: for those that are out. */
  | { kind: "add-machine"; tokens?: true }
  | { kind: "machine"; gateway: string }
  | { kind: "revoke"; gateway: string }
  | { kind: "approval"; pending: PendingGateway }
  | { kind: "update"; gateway: string; name: string }
  | { kind: "end-session"; tab: Tab; name: string }
  | { kind: "share"; tab: Tab; name: string }
  | { kind: "account" }
  /** A program asks to be let in. */
  | { kind: "device" }
  | { kind: "directory" }
  /** `gateway`: what was done to this machine. */
  | { kind: "audit"; gateway?: string }
  | { kind: "palette" }
  | { kind: "keys" };

/** A session that a person asks for. */
export interface Wish {
  id: string;
  name: string;
  folder: string;
  command: string[];
  restart: RestartPolicy;
  resumeCommand: string[];
}

/** What brings a new machine in. */
export interface AddMachine {
  /** The token's public id. */
  id: string;
  /** Secret: never kept. */
  token: string;
  expiresUnixMs: number;
  /** The line that installs the gateway, where this edge has releases that somebody vouches for. */
  line: string | undefined;
  /** The core, as a machine dials it. */
  core: string;
}

/** A person is asked to prove anew who they are. */
export interface ProofWanted {
  /** Whether they did. */
  done: (proven: boolean) => void;
}

const WHO_AM_I = "/chatcode.v1.Accounts/WhoAmI";
/** The pause before it is asked again whether somebody who may see nothing was given a role. */
const NOTHING_GIVEN_MS = 3000;

export class App {
  readonly rpc: Rpc;
  readonly socketUrl = `${location.origin.replace(/^http/u, "ws")}/api/ws`;
  readonly account: AccountKeeper;
  readonly identities: Identities;
  readonly elsewhere: Elsewhere;
  readonly device: DeviceKeeper;
  readonly look = new LookKeeper();
  readonly fleet: Fleet;
  readonly updates: Updates;
  readonly workspace: Workspace;
  readonly sharing: Sharing;
  readonly directory: Directory;
  readonly entering = new Entering((path) => location.assign(path));
  /** Set on the page of a guest, who has no account here. */
  readonly guest: GuestKeeper | undefined;
  readonly overlay = new Store<Overlay | undefined>(undefined);
  /** Over all dialogs. */
  readonly proof = new Store<ProofWanted | undefined>(undefined);
  /** The key of the tab of the session whose name is being changed. */
  readonly renaming = new Store<string | undefined>(undefined);
  readonly searching = new Store(false);
  readonly listOpen = new Store(false);
  readonly failure = new Store<Failure | undefined>(undefined);
  readonly online = new Store(navigator.onLine);

  /** Who uses this browser, among its tabs. */
  readonly #people = new BroadcastChannel("chatcode.person");

  /** All lines end with a sign-in; one look is enough. */
  #renewing: Promise<void> | undefined;
  #proving: Promise<boolean> | undefined;

  /** `guest`: the id of the link on whose page of guests we are. */
  constructor(secret: Uint8Array, guest?: string) {
    this.rpc = createRpc(location.origin, () => this.#prove(), (path) => (guest === undefined ? this.#expected(path) : { [GUEST_HEADER]: guest }));
    this.account = new AccountKeeper(this.rpc, (principal) => this.#arrives(principal));
    this.identities = new Identities(this.rpc);
    this.elsewhere = new Elsewhere(this.rpc, this.account);
    this.device = new DeviceKeeper(this.rpc);
    this.fleet = new Fleet(this.rpc, this.socketUrl);
    this.updates = new Updates(this.rpc.host);
    this.sharing = new Sharing(this.rpc, location.origin);
    this.directory = new Directory(this.rpc, location.origin);
    this.workspace = new Workspace(this.rpc, this.socketUrl, secret, this.look, this.#signedOut, guest);
    if (guest !== undefined) this.guest = new GuestKeeper(guest, this.rpc, (tab) => this.workspace.only(tab));
    window.addEventListener("online", () => this.online.set(true));
    window.addEventListener("offline", () => this.online.set(false));
    this.#people.addEventListener("message", ({ data }) => {
      if (this.account.replacedBy(String(data))) this.#leave();
    });
    this.account.account.subscribe(this.#askDevice);
    this.device.asked.subscribe(this.#askDevice);
    this.overlay.subscribe(this.#askDevice);
    this.fleet.line.state.subscribe(() => this.#fleetLine(this.fleet.line.state.get()));
    // Roles that were given or taken away show as other things to see.
    this.fleet.told.subscribe(() => void this.account.refresh());
  }

  async createSession(gateway: string, { id, ...wish }: Wish): Promise<void> {
    const { session } = await this.rpc.sessions.create({ ...wish, session: id }, target(gateway));
    if (session === undefined) return;
    this.fleet.learn(gateway, session);
    await this.workspace.open(gateway, session.id);
  }

  async renameSession({ gateway, session }: Tab, name: string): Promise<void> {
    const answer = await this.rpc.sessions.rename({ name }, target(gateway, session));
    if (answer.session !== undefined) this.fleet.learn(gateway, answer.session);
  }

  /** Ends a living session; forgets one that has ended. */
  async endSession({ gateway, session }: Tab, force = false): Promise<Session | undefined> {
    const answer = await this.rpc.sessions.end({ force }, target(gateway, session));
    return answer.session;
  }

  /** Makes a token for one machine, with the line that installs it. */
  async addMachine(name: string, approval: boolean): Promise<AddMachine> {
    const [made, install] = await Promise.all([this.rpc.fleet.createToken({ name, approval }), installLine()]);
    return { id: made.id, token: made.token, expiresUnixMs: Number(made.expiresUnixMs), ...install };
  }

  /** Lets a machine in that waits, or refuses it; `pending` is as the person saw it. */
  async decide({ id, fingerprint }: PendingGateway, approve: boolean): Promise<void> {
    await this.rpc.fleet.decidePending({ id, fingerprint, approve });
  }

  /** The join tokens that can still be used, newest first. */
  async joinTokens(): Promise<TokenInfo[]> {
    return (await this.rpc.fleet.listTokens({})).tokens;
  }

  /** Takes a join token back. */
  async takeBack(id: string): Promise<void> {
    await this.rpc.fleet.revokeToken({ id });
  }

  /** Takes the alarm off a machine; `gateway` is as the person saw it. */
  async acknowledge({ id, duplicateUnixMs }: Gateway): Promise<void> {
    await this.rpc.fleet.acknowledgeDuplicate({ gateway: id, duplicateUnixMs });
  }

  /** Throws a machine out. */
  async revoke(gateway: string): Promise<void> {
    await this.rpc.fleet.revoke({ gateway });
  }

  /** Leaves: nothing of the workspace stays in this page. Says so when the core could not be told. */
  readonly signOut = async (): Promise<void> => {
    this.failure.set(undefined);
    const refusal = await this.account.signOut();
    if (refusal === undefined) this.#leave();
    else this.failure.set({ text: `Not signed out yet: ${refusal.message}.`, again: () => void this.signOut() });
  };

  /** Says that something a person asked for was not done, and why. */
  readonly failed = (error: unknown): void => this.failure.set({ text: explain(error) });

  /** Asks the person to prove anew who they are; all who wait for it wait for one answer. */
  #prove(): Promise<boolean> {
    this.#proving ??= new Promise<boolean>((resolve) => {
      this.proof.set({ done: resolve });
    }).finally(() => {
      this.proof.set(undefined);
      this.#proving = undefined;
    });
    return this.#proving;
  }

  /** Asks about a program's login, once the person is known; never over what they do just now. */
  readonly #askDevice = (): void => {
    const isIn = this.account.account.get().state === "signed-in";
    if (isIn && this.device.asked.get() !== undefined && this.overlay.get() === undefined) this.overlay.set({ kind: "device" });
  };

  /** The person has no role by which anything is seen: looks again, since somebody may give one. */
  #nothingGiven(): void {
    this.fleet.forget();
    const ended = this.fleet.line.state.get();
    setTimeout(() => {
      if (this.fleet.line.state.get() === ended) this.fleet.line.start();
    }, NOTHING_GIVEN_MS);
  }

  /** Another tab may have signed somebody else in: nothing is done as them. Who one is, is asked without. */
  #expected(path: string): Record<string, string> {
    const who = this.account.account.get();
    return who.state === "signed-in" && path !== WHO_AM_I ? { "chatcode-expect": who.principal } : {};
  }

  /** The core does not know this page any more. */
  readonly #signedOut = (): void => {
    // The line itself tells a guest.
    if (this.guest !== undefined) return;
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
  };

  /** Goes on with the sign-in of another tab, or leaves. */
  async #renew(): Promise<void> {
    if (!(await this.account.renewed())) {
      // Who signed in meanwhile, in this very page, has left nothing of before.
      if (this.account.account.get().state !== "signed-in") this.#leave();
      return;
    }
    this.fleet.line.start();
    this.workspace.again();
  }

  /** Nothing of another person stays, in this page and in the other tabs, whose calls go on with the same cookie. */
  #arrives(principal: string): void {
    if (this.workspace.belongsTo(principal)) this.#leave();
    this.#people.postMessage(principal);
  }

  #leave(): void {
    this.device.over();
    this.overlay.set(undefined);
    this.renaming.set(undefined);
    this.searching.set(false);
    this.failure.set(undefined);
    this.proof.get()?.done(false);
    this.identities.forget();
    this.directory.forget();
    this.fleet.stop();
    this.fleet.forget();
    this.updates.forget();
    this.workspace.closeAll();
  }

  #fleetLine({ phase, refusal }: LineState): void {
    if (phase === "ended" && refusal?.code === Code.FORBIDDEN) this.#nothingGiven();
    if (phase === "ended" && refusal?.code === Code.UNAUTHENTICATED) this.#signedOut();
    // Whether the edge is there, and since when the core is away, is the edge's to say.
    if (phase === "waiting") void this.rpc.edge.ask();
  }
}

async function installLine(): Promise<{ line: string | undefined; core: string }> {
  const answer = await fetch("/api/install");
  if (!answer.ok) throw new Error("the edge does not tell how a machine is installed");
  const { line, core } = (await answer.json()) as { line: string | null; core: string };
  return { line: line ?? undefined, core };
}
