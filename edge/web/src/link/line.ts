// A streaming call that comes back by itself: a ticket, a WebSocket, and after
// an end that may pass a pause with full jitter. One line per terminal and one
// for the fleet.

import { Store } from "../store";
import { Backoff } from "./backoff";
import { LINK_LASTED_MS, RECONNECT_FIRST_MS, RECONNECT_LONGEST_MS } from "./limits";
import { fromError, isTransient, type Refusal } from "./refusal";
import { ticket, type Call, type Rpc } from "./rpc";
import { StreamSocket } from "./socket";

export type LinePhase = "idle" | "dialing" | "open" | "waiting" | "ended";

export interface LineState {
  phase: LinePhase;
  /** Since when it is up, or since when it is down, in milliseconds since 1970. */
  since: number;
  /** When the next try begins; in the phase "waiting". */
  nextTry?: number | undefined;
  /** Why it is down. */
  refusal?: Refusal | undefined;
  /** Round trip to the edge. */
  edgeMs?: number | undefined;
}

export interface LineEvents {
  /** A new call stands; the first frames may be sent. */
  opened(): void;
  message(bytes: Uint8Array): void;
  /** The call is gone; "waiting" or "ended" follows. */
  closed(refusal: Refusal): void;
}

export class Line {
  readonly state = new Store<LineState>({ phase: "idle", since: Date.now() });
  readonly #backoff = new Backoff(RECONNECT_FIRST_MS, RECONNECT_LONGEST_MS);
  #socket: StreamSocket | undefined;
  #dialing: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Milliseconds since 1970 of the last sign that the call really stood. */
  #stoodSince = 0;

  constructor(
    private readonly rpc: Rpc,
    private readonly url: string,
    private readonly call: Call,
    private readonly events: LineEvents,
  ) {}

  /** Dials; nothing happens when it is up or on its way. */
  start(): void {
    const { phase } = this.state.get();
    if (phase !== "dialing" && phase !== "open") void this.#dial();
  }

  /** Ends the call and every further try. */
  stop(): void {
    this.#hangUp();
    this.state.set({ phase: "idle", since: Date.now() });
  }

  /** Dials now instead of later. */
  readonly tryNow = (): void => {
    if (this.state.get().phase === "waiting") void this.#dial();
  };

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.#socket?.send(bytes);
  }

  get isOpen(): boolean {
    return this.state.get().phase === "open";
  }

  /** The far end has answered: the line is up, and a later pause begins short again if this lasts. */
  stands(): void {
    if (this.#stoodSince === 0) {
      this.#stoodSince = Date.now();
      this.state.set({ ...this.state.get(), since: this.#stoodSince, refusal: undefined });
    }
  }

  /** Gives the call up as broken, as if the socket had ended. */
  fail(refusal: Refusal): void {
    if (this.#socket === undefined && this.#dialing === undefined) return;
    this.#ended(refusal);
  }

  async #dial(): Promise<void> {
    this.#hangUp();
    const dialing = new AbortController();
    this.#dialing = dialing;
    const before = this.state.get();
    this.state.set({ ...before, phase: "dialing", nextTry: undefined });
    try {
      const secret = await ticket(this.rpc, this.call, dialing.signal);
      if (dialing.signal.aborted) return;
      this.#socket = new StreamSocket(this.url, this.call, secret, {
        opened: () => {
          this.#dialing = undefined;
          this.state.set({ ...this.state.get(), phase: "open" });
          this.events.opened();
        },
        message: this.events.message,
        measured: (edgeMs, core) => {
          if (core !== undefined) this.rpc.edge.answered(core);
          this.state.patch({ edgeMs });
        },
        ended: (refusal) => this.#ended(refusal),
      });
    } catch (error) {
      if (!dialing.signal.aborted) this.#ended(fromError(error));
    }
  }

  #ended(refusal: Refusal): void {
    this.#hangUp();
    const now = Date.now();
    const stood = this.#stoodSince;
    this.#stoodSince = 0;
    if (stood !== 0 && now - stood >= LINK_LASTED_MS) this.#backoff.reset();
    const since = stood === 0 && this.state.get().refusal !== undefined ? this.state.get().since : now;
    // Told before the state changes, so that whoever reads the state knows the rest already.
    this.events.closed(refusal);
    if (!isTransient(refusal.code)) {
      this.state.set({ phase: "ended", since, refusal });
      return;
    }
    const pause = this.#backoff.next(Math.random());
    this.state.set({ phase: "waiting", since, nextTry: now + pause, refusal });
    this.#timer = setTimeout(() => void this.#dial(), pause);
  }

  #hangUp(): void {
    clearTimeout(this.#timer);
    this.#dialing?.abort();
    this.#dialing = undefined;
    this.#socket?.close();
    this.#socket = undefined;
  }
}

/** Tries again as soon as the browser says that it is worth it. Returns what ends this. */
export function wakeOnReturn(wake: () => void): () => void {
  const visible = (): void => {
    if (document.visibilityState === "visible") wake();
  };
  window.addEventListener("online", wake);
  window.addEventListener("pageshow", visible);
  document.addEventListener("visibilitychange", visible);
  return () => {
    window.removeEventListener("online", wake);
    window.removeEventListener("pageshow", visible);
    document.removeEventListener("visibilitychange", visible);
  };
}
