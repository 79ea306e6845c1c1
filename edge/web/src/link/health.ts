// Which hop is down, and since when: from what the lines, the fleet and the
// edge's answers tell. Pure. Whoever does not answer is blamed only behind hops
// that are proven up.

import { Code } from "../gen/chatcode/v1/code_pb";
import { LinkState, type Gateway } from "../gen/chatcode/v1/fleet_pb";
import type { EdgeSeen } from "./edge-watch";
import { PING_MS } from "./limits";
import type { LineState } from "./line";

export type HopName = "edge" | "core" | "machine" | "shell";

export interface Hop {
  name: HopName;
  state: "up" | "down" | "unknown";
  /** Round trip over this hop alone, in milliseconds. */
  ms: number | undefined;
  /** Since when it is down, in milliseconds since 1970. */
  since: number | undefined;
  why: string | undefined;
}

export interface Observed {
  /** Milliseconds since 1970. */
  now: number;
  fleet: LineState;
  /** Of the terminal in view. */
  terminal: LineState | undefined;
  /** Round trip to its holder and back, in milliseconds. */
  rttMs: number | undefined;
  gateway: Gateway | undefined;
  edge: EdgeSeen | undefined;
  online: boolean;
}

interface Blame {
  /** Missing: a hop from `from` on is to blame, and nobody knows yet which. */
  name?: HopName;
  from: HopName;
  since?: number | undefined;
  why?: string;
}

/** An edge that answered in this time is up: two pings and the way. */
const FRESH_MS = 2 * PING_MS + 1_000;
/** The core needs this much longer than a terminal to notice that a machine is silent (LINK_SILENCE, and a look). */
const LINK_NOTICED_MS = 8_000;

/** The hop that a refusal accuses; nothing when it accuses none by itself. */
export function accused(code: Code): HopName | undefined {
  switch (code) {
    case Code.UNSPECIFIED:
      return "edge";
    case Code.CORE_UNREACHABLE:
    case Code.DRAINING:
      return "core";
    case Code.GATEWAY_OFFLINE:
      return "machine";
    case Code.HOLDER_UNREACHABLE:
      return "shell";
    default:
      return undefined;
  }
}

/** The hops from the page to the shell; behind one that is down nothing is known. */
export function hops(seen: Observed): Hop[] {
  const { fleet, terminal, gateway, edge } = seen;
  // Whatever delayed one line's pings, the faster line tells how far the edge is.
  const edgeMs = least([fleet, terminal].map((line) => (line?.phase === "open" ? line.edgeMs : undefined)));
  const coreMs = micro(edge?.core.rttUs);
  const machineMs = micro(gateway?.linkRttUs);
  const reaches = up(fleet) || up(terminal);
  const chain = [
    hop("edge", edgeMs, reaches),
    hop("core", coreMs, reaches),
    ...(gateway === undefined ? [] : [hop("machine", machineMs, reaches && gateway.linkState === LinkState.ONLINE)]),
    ...(terminal === undefined ? [] : [hop("shell", rest(seen.rttMs, [edgeMs, coreMs, machineMs]), up(terminal))]),
  ];
  const blame = blamed(seen);
  if (blame === undefined) return chain;
  const at = chain.findIndex(({ name }) => name === blame.from);
  if (at < 0) return chain;
  return chain.map((each, i) => {
    if (i === at && blame.name !== undefined) return { ...each, state: "down", ms: undefined, since: blame.since, why: blame.why };
    // Whoever accuses a hop was reached, and so were all before it.
    return i < at ? { ...each, state: "up" } : { ...each, state: "unknown", ms: undefined };
  });
}

function blamed(seen: Observed): Blame | undefined {
  const { now, fleet, terminal, gateway, edge } = seen;
  const lines = [fleet, terminal].filter((line): line is LineState => line !== undefined);
  const fresh = edge !== undefined && now - edge.at <= FRESH_MS;
  const broken = lines.find((line) => names(line) === "edge");
  // An answer after the break, or a line that stands, proves the way to the edge, whatever another line says.
  if (broken !== undefined && !up(fleet) && !(fresh && edge.at > broken.since)) return edgeDown(seen, broken.since);
  const late = lines.find(({ phase, refusal }) => phase !== "idle" && refusal?.code === Code.TIMEOUT);
  if (late !== undefined && !fresh) return edgeDown(seen, late.since);

  const behind = up(fleet) ? undefined : lines.find((line) => names(line) === "core");
  const told = edge?.core.up === false;
  if (behind !== undefined || (told && fresh)) {
    const since = told ? Number(edge.core.sinceUnixMs) : behind?.since;
    return { name: "core", from: "core", since, why: "the core does not answer" };
  }

  if (gateway !== undefined && gateway.linkState !== LinkState.ONLINE && gateway.linkState !== LinkState.UNSPECIFIED) {
    return { name: "machine", from: "machine", since: Number(gateway.sinceUnixMs), why: whyOffline(gateway) };
  }
  if (terminal === undefined) return undefined;
  const why = terminal.refusal?.message ?? "";
  const named = names(terminal);
  if (named === "machine" || named === "shell") return { name: named, from: named, since: terminal.since, why };
  if (late !== terminal) return undefined;
  // The link stands as far as the core knows, which takes a while to know better.
  if (now - terminal.since < LINK_NOTICED_MS) return { from: "machine" };
  return { name: "shell", from: "shell", since: terminal.since, why };
}

function edgeDown({ online }: Observed, since: number): Blame {
  return { name: "edge", from: "edge", since, why: online ? "the edge does not answer" : "this device is offline" };
}

function whyOffline({ linkState }: Gateway): string {
  if (linkState === LinkState.NEVER) return "the machine has never been linked";
  if (linkState === LinkState.REVOKED) return "the machine was revoked";
  return "the machine has no link";
}

function names({ phase, refusal }: LineState): HopName | undefined {
  return phase !== "idle" && refusal !== undefined ? accused(refusal.code) : undefined;
}

function up(line: LineState | undefined): boolean {
  return line?.phase === "open" && line.refusal === undefined;
}

function hop(name: HopName, ms: number | undefined, isUp: boolean): Hop {
  return { name, state: isUp ? "up" : "unknown", ms: isUp ? ms : undefined, since: undefined, why: undefined };
}

/** What is left of the whole way for its last hop; nothing while a part is unknown. */
function rest(whole: number | undefined, parts: readonly (number | undefined)[]): number | undefined {
  if (whole === undefined) return undefined;
  let left = whole;
  for (const part of parts) {
    if (part === undefined) return undefined;
    left -= part;
  }
  return Math.max(left, 0);
}

function least(times: readonly (number | undefined)[]): number | undefined {
  return times.reduce((least, ms) => (least === undefined || (ms !== undefined && ms < least) ? ms : least), undefined);
}

function micro(us: bigint | undefined): number | undefined {
  return us === undefined || us === 0n ? undefined : Number(us) / 1000;
}
