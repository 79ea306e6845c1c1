// The tabs of this page and the viewers behind them, restored after a reload.

import { Code } from "../gen/chatcode/v1/code_pb";
import type { Rpc } from "../link/rpc";
import { Attachment } from "../session/attachment";
import { viewerId } from "../session/viewer-id";
import { Store } from "../store";
import type { LookKeeper } from "./look";

export interface Tab {
  gateway: string;
  session: string;
}

export interface Tabs {
  open: readonly Tab[];
  /** The session in view. */
  active: string | undefined;
}

const KEY = "chatcode.tabs";

export class Workspace {
  readonly tabs = new Store<Tabs>(read());
  readonly #attachments = new Map<string, Attachment>();
  readonly #ids = new Map<string, Uint8Array>();

  constructor(
    private readonly rpc: Rpc,
    private readonly socketUrl: string,
    private readonly secret: Uint8Array,
    private readonly look: LookKeeper,
    private readonly signedOut: () => void,
  ) {
    const restyle = (): void => {
      for (const attachment of this.#attachments.values()) attachment.screen.setLook(this.#screenLook());
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
    const known = open.some((tab) => tab.session === session);
    this.#set({ open: known ? open : [...open, { gateway, session }], active: session });
  }

  activate(session: string): void {
    this.#set({ ...this.tabs.get(), active: session });
  }

  /** Closes the tab; the session goes on. */
  close(session: string): void {
    const { open, active } = this.tabs.get();
    const at = open.findIndex((tab) => tab.session === session);
    if (at < 0) return;
    const left = open.filter((tab) => tab.session !== session);
    const next = active === session ? (left[Math.min(at, left.length - 1)]?.session ?? undefined) : active;
    this.#set({ open: left, active: next });
    this.#attachments.get(session)?.close();
    this.#attachments.delete(session);
  }

  /** Moves by one; around the ends. */
  step(by: 1 | -1): void {
    const { open, active } = this.tabs.get();
    if (open.length === 0) return;
    const at = open.findIndex((tab) => tab.session === active);
    const next = open[(at + by + open.length) % open.length];
    if (next !== undefined) this.activate(next.session);
  }

  move(session: string, before: string): void {
    const { open, active } = this.tabs.get();
    const moved = open.find((tab) => tab.session === session);
    if (moved === undefined || session === before) return;
    const from = open.indexOf(moved);
    const to = open.findIndex((tab) => tab.session === before);
    const rest = open.filter((tab) => tab !== moved);
    rest.splice(to > from ? to : Math.max(to, 0), 0, moved);
    this.#set({ open: rest, active });
  }

  /** Moves the tab in view by one place; not beyond the ends. */
  shift(by: 1 | -1): void {
    const { open, active } = this.tabs.get();
    const neighbour = open[open.findIndex((tab) => tab.session === active) + by];
    if (active !== undefined && neighbour !== undefined) this.move(active, neighbour.session);
  }

  /** The viewer of an open tab, made when it is first looked at. */
  attachment(tab: Tab): Attachment {
    const known = this.#attachments.get(tab.session);
    if (known !== undefined) return known;
    const id = this.#ids.get(tab.session);
    if (id === undefined) throw new Error("a tab that was not prepared");
    const made = new Attachment(this.rpc, this.socketUrl, tab.gateway, tab.session, id, this.#screenLook());
    this.#attachments.set(tab.session, made);
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

  closeAll(): void {
    for (const attachment of this.#attachments.values()) attachment.close();
    this.#attachments.clear();
  }

  async #prepare(session: string): Promise<void> {
    if (!this.#ids.has(session)) this.#ids.set(session, await viewerId(this.secret, session));
  }

  #set(tabs: Tabs): void {
    this.tabs.set(tabs);
    sessionStorage.setItem(KEY, JSON.stringify(tabs));
  }

  #screenLook(): { scheme: "dark" | "light"; fontSize: number; screenReader: boolean } {
    const { fontSize, screenReader } = this.look.look.get();
    return { scheme: this.look.scheme.get(), fontSize, screenReader };
  }
}

function read(): Tabs {
  try {
    const stored = JSON.parse(sessionStorage.getItem(KEY) ?? "{}") as Partial<Tabs>;
    const open = (stored.open ?? []).filter((tab) => typeof tab.gateway === "string" && typeof tab.session === "string");
    const active = open.some((tab) => tab.session === stored.active) ? stored.active : open[0]?.session;
    return { open, active };
  } catch {
    return { open: [], active: undefined };
  }
}
