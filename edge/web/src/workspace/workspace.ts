// The tabs of this page and the viewers behind them, restored after a reload.

import { Code } from "../gen/chatcode/v1/code_pb";
import type { Rpc } from "../link/rpc";
import { Attachment } from "../session/attachment";
import { forget } from "../session/remembered";
import { viewerId } from "../session/viewer-id";
import { Store } from "../store";
import type { ClipboardPolicy } from "../terminal/clipboard";
import type { LookKeeper } from "./look";

export interface Tab {
  gateway: string;
  session: string;
}

/** Names a tab. A session that came back with a machine that was enrolled anew is another one. */
export function keyOf({ gateway, session }: Tab): string {
  return `${gateway}.${session}`;
}

export interface Tabs {
  open: readonly Tab[];
  /** The key of the tab in view. */
  active: string | undefined;
}

/** The tab in view. */
export function inView({ open, active }: Tabs): Tab | undefined {
  return open.find((tab) => keyOf(tab) === active);
}

const KEY = "chatcode.tabs";
/** Whose the tabs are. */
const OF = "chatcode.tabs-of";

export class Workspace {
  readonly tabs: Store<Tabs>;
  readonly #key: string;
  readonly #attachments = new Map<string, Attachment>();
  readonly #ids = new Map<string, Uint8Array>();

  constructor(
    private readonly rpc: Rpc,
    private readonly socketUrl: string,
    private readonly secret: Uint8Array,
    private readonly look: LookKeeper,
    private readonly signedOut: () => void,
    /** The link by which a guest is here, whose tab is none of the account's. */
    guest?: string,
  ) {
    this.#key = guest === undefined ? KEY : `${KEY}.${guest}`;
    this.tabs = new Store(read(this.#key));
    const restyle = (): void => {
      for (const attachment of this.#attachments.values()) attachment.setLook(this.#screenLook());
    };
    look.look.subscribe(restyle);
    look.scheme.subscribe(restyle);
  }

  /** Computes what attachments need; call before the first `attachment`. */
  async prepare(): Promise<void> {
    await Promise.all(this.tabs.get().open.map((tab) => this.#prepare(tab.session)));
  }

  /** Brings the session into view, in a tab of its own. */
  async open(gateway: string, session: string): Promise<void> {
    await this.#prepare(session);
    const { open } = this.tabs.get();
    const wanted = { gateway, session };
    const active = keyOf(wanted);
    const known = open.some((tab) => keyOf(tab) === active);
    this.#set({ open: known ? open : [...open, wanted], active });
  }

  /** Brings the session into view, and no other one. */
  async only(tab: Tab): Promise<void> {
    await this.#prepare(tab.session);
    this.#set({ open: [tab], active: keyOf(tab) });
  }

  activate(tab: Tab): void {
    this.#set({ ...this.tabs.get(), active: keyOf(tab) });
  }

  /** Closes the tab; the session goes on. */
  close(tab: Tab): void {
    const { open, active } = this.tabs.get();
    const key = keyOf(tab);
    const at = open.findIndex((each) => keyOf(each) === key);
    if (at < 0) return;
    const left = open.filter((each) => keyOf(each) !== key);
    const neighbour = left[Math.min(at, left.length - 1)];
    const next = neighbour === undefined ? undefined : keyOf(neighbour);
    this.#set({ open: left, active: active === key ? next : active });
    this.#attachments.get(key)?.close();
    this.#attachments.delete(key);
  }

  /** Moves by one; around the ends. */
  step(by: 1 | -1): void {
    const { open, active } = this.tabs.get();
    if (open.length === 0) return;
    const at = open.findIndex((tab) => keyOf(tab) === active);
    const next = open[(at + by + open.length) % open.length];
    if (next !== undefined) this.activate(next);
  }

  /** Puts the tab of one key where that of another is. */
  move(key: string, before: string): void {
    const { open, active } = this.tabs.get();
    const moved = open.find((tab) => keyOf(tab) === key);
    if (moved === undefined || key === before) return;
    const from = open.indexOf(moved);
    const to = open.findIndex((tab) => keyOf(tab) === before);
    const rest = open.filter((tab) => tab !== moved);
    rest.splice(to > from ? to : Math.max(to, 0), 0, moved);
    this.#set({ open: rest, active });
  }

  /** Moves the tab in view by one place; not beyond the ends. */
  shift(by: 1 | -1): void {
    const { open, active } = this.tabs.get();
    const neighbour = open[open.findIndex((tab) => keyOf(tab) === active) + by];
    if (active !== undefined && neighbour !== undefined) this.move(active, keyOf(neighbour));
  }

  /** The viewer of an open tab, made when it is first looked at. */
  attachment(tab: Tab): Attachment {
    const known = this.#attachments.get(keyOf(tab));
    if (known !== undefined) return known;
    const id = this.#ids.get(tab.session);
    if (id === undefined) throw new Error("a tab that was not prepared");
    const clipboardPolicy = (): ClipboardPolicy => this.look.look.get().clipboard;
    const made = new Attachment(this.rpc, this.socketUrl, tab.gateway, tab.session, id, this.#screenLook(), clipboardPolicy);
    this.#attachments.set(keyOf(tab), made);
    made.line.state.subscribe(() => {
      const { phase, refusal } = made.line.state.get();
      if (phase === "ended" && refusal?.code === Code.UNAUTHENTICATED) this.signedOut();
    });
    return made;
  }

  /** The viewer of the tab in view, if it was made. */
  current(): Attachment | undefined {
    const { active } = this.tabs.get();
    return active === undefined ? undefined : this.#attachments.get(active);
  }

  /** Dials again those whose sign-in has ended. */
  again(): void {
    for (const attachment of this.#attachments.values()) {
      const { phase, refusal } = attachment.line.state.get();
      if (phase === "ended" && refusal?.code === Code.UNAUTHENTICATED) attachment.again();
    }
  }

  closeAll(): void {
    for (const attachment of this.#attachments.values()) attachment.close();
    this.#attachments.clear();
  }

  /** Says whose the tabs are from now on; those of another person are closed and forgotten. Answers whether they were. */
  belongsTo(principal: string): boolean {
    const before = sessionStorage.getItem(OF);
    sessionStorage.setItem(OF, principal);
    if (before === null || before === principal) return false;
    this.closeAll();
    for (const { session } of this.tabs.get().open) forget(session);
    this.#set({ open: [], active: undefined });
    return true;
  }

  async #prepare(session: string): Promise<void> {
    if (!this.#ids.has(session)) this.#ids.set(session, await viewerId(this.secret, session));
  }

  #set(tabs: Tabs): void {
    this.tabs.set(tabs);
    sessionStorage.setItem(this.#key, JSON.stringify(tabs));
  }

  #screenLook(): { scheme: "dark" | "light"; fontSize: number; screenReader: boolean } {
    const { fontSize, screenReader } = this.look.look.get();
    return { scheme: this.look.scheme.get(), fontSize, screenReader };
  }
}

function read(key: string): Tabs {
  try {
    const stored = JSON.parse(sessionStorage.getItem(key) ?? "{}") as Partial<Tabs>;
    const open = (stored.open ?? []).filter((tab) => typeof tab.gateway === "string" && typeof tab.session === "string");
    const tab = open.find((each) => keyOf(each) === stored.active) ?? open[0];
    return { open, active: tab === undefined ? undefined : keyOf(tab) };
  } catch {
    return { open: [], active: undefined };
  }
}
