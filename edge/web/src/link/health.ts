// Which hop is down, and since when: from what the lines, the fleet and the
// pings tell. Pure.

import { Code } from "../gen/chatcode/v1/code_pb";
import { LinkState, type Gateway } from "../gen/chatcode/v1/fleet_pb";
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

/** What GET /api/health says. */
export interface CoreHealth {
  up: boolean;
  sinceUnixMs: number;
}

export interface Observed {
  fleet: LineState;
  /** Of the terminal in view. */
  terminal: LineState | undefined;
  gateway: Gateway | undefined;
  core: CoreHealth | undefined;
  online: boolean;
}

/** The hop that a refusal accuses; nothing when it accuses none. */
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
    case Code.TIMEOUT:
      return "shell";
    default:
      return undefined;
  }
}

/** The hops from the page to the shell; behind one that is down nothing is known. */
export function hops(seen: Observed): Hop[] {
  const { fleet, terminal, gateway } = seen;
  const open = [fleet, terminal].find((line) => line?.phase === "open");
  const reaches = up(fleet) || up(terminal);
  const chain = [
    hop("edge", open?.edgeMs, reaches),
    hop("core", open?.coreMs, reaches),
    ...(gateway === undefined ? [] : [hop("machine", micro(gateway.linkRttUs), reaches && gateway.linkState === LinkState.ONLINE)]),
    ...(terminal === undefined ? [] : [hop("shell", micro(gateway?.holderRttUs), up(terminal))]),
  ];
  const down = blame(seen);
  if (down === undefined) return chain;
  const at = chain.findIndex(({ name }) => name === down.name);
  if (at < 0) return chain;
  return chain.map((each, i) => {
    if (i === at) return { ...each, state: "down", ms: undefined, since: down.since, why: down.why };
    // Whoever accuses a hop was reached, and so were all before it.
    return i < at ? { ...each, state: "up" } : { ...each, state: "unknown", ms: undefined };
  });
}

function blame({ fleet, terminal, gateway, core, online }: Observed): { name: HopName; since: number; why: string } | undefined {
  const lines = [fleet, terminal].filter((line): line is LineState => line !== undefined);
  const edge = lines.find((line) => names(line) === "edge");
  // One line that stands proves the way to the core, whatever another one says.
  if (edge !== undefined && !up(fleet)) {
    return { name: "edge", since: edge.since, why: online ? "the edge does not answer" : "this device is offline" };
  }
  const behind = lines.find((line) => names(line) === "core");
  if (behind !== undefined && !up(fleet)) {
    const since = core !== undefined && !core.up ? core.sinceUnixMs : behind.since;
    return { name: "core", since, why: "the core does not answer" };
  }
  if (gateway !== undefined && gateway.linkState !== LinkState.ONLINE && gateway.linkState !== LinkState.UNSPECIFIED) {
    return { name: "machine", since: Number(gateway.sinceUnixMs), why: whyOffline(gateway) };
  }
  const last = terminal === undefined ? undefined : names(terminal);
  if (terminal !== undefined && (last === "machine" || last === "shell")) {
    return { name: last, since: terminal.since, why: terminal.refusal?.message ?? "" };
  }
  return undefined;
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

function micro(us: bigint | undefined): number | undefined {
  return us === undefined || us === 0n ? undefined : Number(us) / 1000;
}
