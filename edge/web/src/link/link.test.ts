import { create } from "@bufbuild/protobuf";
import { ConnectError, Code as RpcCode } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";

import { Code } from "../gen/chatcode/v1/code_pb";
import { CoreHealthSchema } from "../gen/chatcode/v1/edge_pb";
import { GatewaySchema, LinkState } from "../gen/chatcode/v1/fleet_pb";
import { Backoff } from "./backoff";
import type { EdgeSeen } from "./edge-watch";
import { hops, type Observed } from "./health";
import type { LineState } from "./line";
import { codeFromName, codeName, fromClose, fromError, isTransient, judgeLate, Refusal } from "./refusal";

describe("back-off", () => {
  it("grows to the longest and begins anew after a reset", () => {
    const backoff = new Backoff(100, 1000);
    expect(Array.from({ length: 6 }, () => backoff.next(1))).toEqual([100, 200, 400, 800, 1000, 1000]);
    backoff.reset();
    expect(backoff.next(0.5)).toBe(50);
  });

  it("never overflows", () => {
    const backoff = new Backoff(1000, 10_000);
    for (let i = 0; i < 2000; i += 1) expect(backoff.next(1)).toBeLessThanOrEqual(10_000);
  });
});

describe("refusals", () => {
  it("every code leads back from its close code and its name", () => {
    const codes = Object.values(Code).filter((code): code is Code => typeof code === "number" && code !== Code.UNSPECIFIED);
    for (const code of codes) {
      expect(codeFromName(codeName(code))).toBe(code);
      const refusal = fromClose(code === Code.DONE ? 1000 : 4000 + code, `${codeName(code)}: some words`);
      expect(refusal.code).toBe(code);
      if (code !== Code.DONE) expect(refusal.message).toBe("some words");
    }
  });

  it("a connection that broke names no code and may pass", () => {
    for (const close of [1001, 1006, 4000, 4999]) expect(fromClose(close, "").code).toBe(Code.UNSPECIFIED);
    expect(isTransient(Code.UNSPECIFIED)).toBe(true);
    expect(isTransient(Code.FENCED)).toBe(false);
    expect(isTransient(Code.UNAUTHENTICATED)).toBe(false);
  });

  it("a failed call keeps the cause that the far end named", () => {
    const error = new ConnectError("no link", RpcCode.Unavailable, { "chatcode-code": "gateway_offline" });
    expect(fromError(error)).toMatchObject({ code: Code.GATEWAY_OFFLINE, message: "no link" });
    expect(fromError(new TypeError("Failed to fetch")).code).toBe(Code.UNSPECIFIED);
    expect(fromError(new ConnectError("no", RpcCode.Unauthenticated)).code).toBe(Code.UNAUTHENTICATED);
  });
});

describe("a late call", () => {
  const late = new Refusal(Code.TIMEOUT, "no answer in time");
  const judged = async (core: boolean | undefined, coreOnly: boolean): Promise<Code> => {
    const health = core === undefined ? undefined : create(CoreHealthSchema, { up: core, sinceUnixMs: 1n, rttUs: 1n });
    return (await judgeLate(late, coreOnly, () => Promise.resolve(health))).code;
  };

  it("is the edge's fault when it answers nothing, the core's when it answers nobody, and else nobody's", async () => {
    expect(await judged(undefined, true)).toBe(Code.UNSPECIFIED);
    expect(await judged(undefined, false)).toBe(Code.UNSPECIFIED);
    expect(await judged(false, false)).toBe(Code.CORE_UNREACHABLE);
    expect(await judged(true, true)).toBe(Code.CORE_UNREACHABLE);
    expect(await judged(true, false)).toBe(Code.TIMEOUT);
  });

  it("is the only one that is judged", async () => {
    const other = new Refusal(Code.FORBIDDEN, "no");
    expect(await judgeLate(other, true, () => Promise.reject(new Error("asked")))).toBe(other);
  });
});

describe("health", () => {
  const NOW = 1_000_000;
  const up: LineState = { phase: "open", since: 1, edgeMs: 2 };
  const gateway = create(GatewaySchema, { id: "g", name: "mill", linkState: LinkState.ONLINE, sinceUnixMs: 7n, linkRttUs: 800n, holderRttUs: 90n });
  const offline = create(GatewaySchema, { ...gateway, linkState: LinkState.OFFLINE, sinceUnixMs: 42n });
  const down = (code: Code, since = NOW - 50): LineState => ({ phase: "waiting", since, nextTry: NOW + 99, refusal: new Refusal(code, "words") });
  const edge = (at: number, core = true): EdgeSeen => ({ at, core: create(CoreHealthSchema, { up: core, sinceUnixMs: 33n, rttUs: 500n }) });
  const states = (seen: Observed): string => hops(seen).map(({ name, state }) => `${name} ${state}`).join(", ");
  const seen: Observed = { now: NOW, fleet: up, terminal: up, rttMs: 3.5, gateway, edge: edge(NOW - 1_000), online: true };
  const long = NOW - 30_000;

  it("tells each hop's latency while all is well, and the session's own for the last one", () => {
    const ms = (change: Partial<Observed>): (number | undefined)[] => hops({ ...seen, ...change }).map((hop) => hop.ms);
    expect(states(seen)).toBe("edge up, core up, machine up, shell up");
    expect(ms({}).slice(0, 3)).toEqual([2, 0.5, 0.8]);
    expect(ms({})[3]).toBeCloseTo(0.2);
    expect(ms({ rttMs: 3.1 })[3]).toBe(0);
    expect(ms({ rttMs: undefined })[3]).toBeUndefined();
    expect(ms({ edge: undefined })[3]).toBeUndefined();
    expect(ms({ fleet: { ...up, edgeMs: 50 } })[0]).toBe(2);
    expect(ms({ terminal: undefined, fleet: { ...up, edgeMs: 50 } })[0]).toBe(50);
    expect(ms({ gateway: create(GatewaySchema, { ...gateway, linkRttUs: 0n }) })[3]).toBeUndefined();
  });

  it("accuses the edge when nothing answers, and knows nothing behind it", () => {
    const broken = { ...seen, fleet: down(Code.UNSPECIFIED), terminal: down(Code.UNSPECIFIED, NOW - 40) };
    expect(states(broken)).toBe("edge down, core unknown, machine unknown, shell unknown");
    expect(hops(broken)[0]).toMatchObject({ since: NOW - 50 });
    expect(hops({ ...broken, online: false })[0]).toMatchObject({ why: "this device is offline" });
  });

  it("accuses no edge that has answered since", () => {
    const back = { ...seen, fleet: down(Code.UNSPECIFIED, long), terminal: down(Code.UNSPECIFIED, long), edge: edge(NOW - 1) };
    expect(states(back)).toBe("edge unknown, core unknown, machine unknown, shell unknown");
    expect(states({ ...back, edge: edge(NOW - 1, false) })).toBe("edge up, core down, machine unknown, shell unknown");
    expect(states({ ...back, edge: edge(NOW - 20_000) })).toBe("edge down, core unknown, machine unknown, shell unknown");
  });

  it("accuses the core with the time that the edge saw", () => {
    const broken = { ...seen, fleet: down(Code.CORE_UNREACHABLE), terminal: down(Code.CORE_UNREACHABLE) };
    expect(states(broken)).toBe("edge up, core down, machine unknown, shell unknown");
    expect(hops(broken)[1]).toMatchObject({ since: NOW - 50 });
    for (const at of [NOW, long]) expect(hops({ ...broken, edge: edge(at, false) })[1]).toMatchObject({ since: 33 });
  });

  it("accuses a core that hangs while both lines still stand", () => {
    expect(states({ ...seen, edge: edge(NOW - 1_000, false) })).toBe("edge up, core down, machine unknown, shell unknown");
  });

  it("accuses the machine by what the core says of its link", () => {
    const broken = { ...seen, terminal: down(Code.GATEWAY_OFFLINE), gateway: offline };
    expect(states(broken)).toBe("edge up, core up, machine down, shell unknown");
    expect(hops(broken)[2]).toMatchObject({ since: 42 });
  });

  it("blames a terminal that went silent on the first hop that is not proven up", () => {
    const silent = { ...seen, terminal: down(Code.TIMEOUT, long) };
    expect(states({ ...silent, edge: undefined })).toBe("edge down, core unknown, machine unknown, shell unknown");
    expect(states({ ...silent, edge: edge(NOW - 9_000) })).toBe("edge down, core unknown, machine unknown, shell unknown");
    expect(states({ ...silent, edge: edge(NOW - 1_000, false) })).toBe("edge up, core down, machine unknown, shell unknown");
    expect(states({ ...silent, gateway: offline })).toBe("edge up, core up, machine down, shell unknown");
    expect(states(silent)).toBe("edge up, core up, machine up, shell down");
  });

  it("says of a silent terminal neither machine nor shell until the core would know of the machine", () => {
    const silent = { ...seen, terminal: down(Code.TIMEOUT, NOW - 2_000) };
    expect(states(silent)).toBe("edge up, core up, machine unknown, shell unknown");
  });

  it("accuses the holder when only it is silent", () => {
    expect(states({ ...seen, terminal: down(Code.HOLDER_UNREACHABLE) })).toBe("edge up, core up, machine up, shell down");
  });

  it("accuses nobody while one terminal's socket comes back", () => {
    expect(states({ ...seen, terminal: down(Code.UNSPECIFIED) })).toBe("edge up, core up, machine up, shell unknown");
  });
});
