// The machines and their sessions as the core tells them, kept while the line
// is down.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import { Code } from "../gen/chatcode/v1/code_pb";
import {
  FleetWatchRequestSchema,
  FleetWatchResponseSchema,
  type FleetWatchResponse,
  type Gateway,
  type PendingGateway,
} from "../gen/chatcode/v1/fleet_pb";
import type { Session } from "../gen/chatcode/v1/sessions_pb";
import { WATCH_SILENCE_MS } from "../link/limits";
import { Line, wakeOnReturn } from "../link/line";
import { Refusal } from "../link/refusal";
import type { Rpc } from "../link/rpc";
import { Store } from "../store";
import { keyOf } from "../workspace/workspace";

const WATCH = "/chatcode.v1.Fleet/Watch";
/** The watchdog looks this often. */
const LOOK_MS = 5_000;

export interface Machine {
  gateway: Gateway;
  /** Oldest first. */
  sessions: readonly Session[];
}

export interface FleetState {
  /** By name. */
  machines: readonly Machine[];
  /** Machines that wait for approval, those that wait longest first. */
  pending: readonly PendingGateway[];
  /** Grows whenever the join tokens may be others than before. */
  tokensSeen: number;
  /** How many links let guests into a session, by `keyOf`; those with none are not there. */
  links: ReadonlyMap<string, number>;
  /** All that the core knew was told at least once. */
  synced: boolean;
}

interface Known {
  gateways: Map<string, Gateway>;
  /** By gateway, then by session. */
  sessions: Map<string, Map<string, Session>>;
  /** Machines that wait for approval. */
  pending: Map<string, PendingGateway>;
  /** Links, by `keyOf`. */
  links: Map<string, number>;
}

export class Fleet {
  readonly state = new Store<FleetState>({ machines: [], pending: [], tokensSeen: 0, links: new Map(), synced: false });
  /** Grows whenever all was told anew: at the beginning, and when other things are ours to see. */
  readonly told = new Store(0);
  readonly line: Line;
  #known: Known = nothing();
  /** What a new watch tells, until it has told all; then it replaces what was known. */
  #fresh: Known | undefined;
  /** Looks of the watchdog since the watch last said something. */
  #silent = 0;
  #watchdog: ReturnType<typeof setInterval> | undefined;
  #tokensSeen = 0;
  #forget: (() => void) | undefined;

  constructor(rpc: Rpc, socketUrl: string) {
    this.line = new Line(rpc, socketUrl, { method: WATCH, gateway: "", session: "" }, {
      opened: () => {
        this.#fresh = nothing();
        this.#silent = 0;
        const request = toBinary(FleetWatchRequestSchema, create(FleetWatchRequestSchema));
        this.line.send(request as Uint8Array<ArrayBuffer>);
      },
      message: (bytes) => {
        this.#silent = 0;
        this.line.stands();
        this.#apply(fromBinary(FleetWatchResponseSchema, bytes));
      },
      closed: () => {
        this.#fresh = undefined;
      },
    });
  }

  start(): void {
    this.line.start();
    this.#forget = wakeOnReturn(this.line.tryNow);
    this.#watchdog = setInterval(() => {
      // Counted, as a page that slept has not listened.
      this.#silent += 1;
      if (this.line.isOpen && this.#silent * LOOK_MS > WATCH_SILENCE_MS) {
        this.line.fail(new Refusal(Code.CORE_UNREACHABLE, "the core went silent"));
      }
    }, LOOK_MS);
  }

  stop(): void {
    this.#forget?.();
    clearInterval(this.#watchdog);
    this.line.stop();
  }

  /** What was known is not for whoever comes next. */
  forget(): void {
    this.#known = nothing();
    this.state.set({ machines: [], pending: [], tokensSeen: 0, links: new Map(), synced: false });
  }

  gateway(id: string): Gateway | undefined {
    return this.state.get().machines.find((machine) => machine.gateway.id === id)?.gateway;
  }

  session(gateway: string, id: string): Session | undefined {
    return this.state
      .get()
      .machines.find((machine) => machine.gateway.id === gateway)
      ?.sessions.find((session) => session.id === id);
  }

  /** What an answer to one of our own calls says; the watch will say it too. */
  learn(gateway: string, session: Session): void {
    put(this.#known, gateway, session);
    this.#publish();
  }

  #apply({ event }: FleetWatchResponse): void {
    const known = this.#fresh ?? this.#known;
    switch (event.case) {
      case "gatewayChanged":
        known.gateways.set(event.value.id, event.value);
        break;
      case "gatewayRemoved":
        known.gateways.delete(event.value);
        known.sessions.delete(event.value);
        break;
      case "sessionChanged":
        if (event.value.session !== undefined) put(known, event.value.gateway, event.value.session);
        break;
      case "sessionRemoved":
        known.sessions.get(event.value.gateway)?.delete(event.value.session);
        break;
      case "pendingAdded":
        known.pending.set(event.value.id, event.value);
        break;
      case "pendingRemoved":
        known.pending.delete(event.value);
        break;
      case "sharesChanged":
        if (event.value.links === 0) known.links.delete(keyOf(event.value));
        else known.links.set(keyOf(event.value), event.value.links);
        break;
      case "synced":
        this.#known = known;
        this.#fresh = undefined;
        this.#tokensSeen += 1;
        this.told.set(this.told.get() + 1);
        break;
      case "tokensChanged":
        this.#tokensSeen += 1;
        break;
      default:
        return;
    }
    if (this.#fresh === undefined) this.#publish();
  }

  #publish(): void {
    const { gateways, sessions, pending, links } = this.#known;
    const machines = [...gateways.values()]
      .sort((a, b) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id))
      .map((gateway) => ({
        gateway,
        sessions: [...(sessions.get(gateway.id)?.values() ?? [])].sort(
          (a, b) => Number(a.createdUnixMs - b.createdUnixMs) || a.id.localeCompare(b.id),
        ),
      }));
    const waiting = [...pending.values()].sort((a, b) => Number(a.askedUnixMs - b.askedUnixMs) || a.id.localeCompare(b.id));
    this.state.set({ machines, pending: waiting, tokensSeen: this.#tokensSeen, links: new Map(links), synced: true });
  }
}

function nothing(): Known {
  return { gateways: new Map(), sessions: new Map(), pending: new Map(), links: new Map() };
}

function put(known: Known, gateway: string, session: Session): void {
  const sessions = known.sessions.get(gateway) ?? new Map<string, Session>();
  sessions.set(session.id, session);
  known.sessions.set(gateway, sessions);
}
