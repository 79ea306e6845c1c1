import { create } from "@bufbuild/protobuf";
import { ConnectError, Code as RpcCode } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";

import { Code } from "../gen/chatcode/v1/code_pb";
import { GatewaySchema, LinkState } from "../gen/chatcode/v1/fleet_pb";
import { Backoff } from "./backoff";
import { hops, type Observed } from "./health";
import type { LineState } from "./line";
import { codeFromName, codeName, fromClose, fromError, isTransient, Refusal } from "./refusal";

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

describe("health", () => {
  const up: LineState = { phase: "open", since: 1, edgeMs: 2, coreMs: 0.5 };
  const gateway = create(GatewaySchema, { id: "g", name: "mill", linkState: LinkState.ONLINE, sinceUnixMs: 7n, linkRttUs: 800n, holderRttUs: 90n });
  const down = (code: Code, since = 50): LineState => ({ phase: "waiting", since, nextTry: 99, refusal: new Refusal(code, "words") });
  const states = (seen: Observed): string => hops(seen).map(({ name, state }) => `${name} ${state}`).join(", ");
  const seen: Observed = { fleet: up, terminal: up, gateway, core: undefined, online: true };

  it("tells each hop's latency while all is well", () => {
    expect(hops(seen).map(({ state, ms }) => [state, ms])).toEqual([
      ["up", 2],
      ["up", 0.5],
      ["up", 0.8],
      ["up", 0.09],
    ]);
  });

  it("accuses the edge when nothing answers, and knows nothing behind it", () => {
    const broken = { ...seen, fleet: down(Code.UNSPECIFIED), terminal: down(Code.UNSPECIFIED, 60) };
    expect(states(broken)).toBe("edge down, core unknown, machine unknown, shell unknown");
    expect(hops(broken)[0]).toMatchObject({ since: 50 });
  });

  it("accuses the core with the time that the edge saw", () => {
    const broken = { ...seen, fleet: down(Code.CORE_UNREACHABLE), terminal: down(Code.CORE_UNREACHABLE), core: { up: false, sinceUnixMs: 33 } };
    expect(states(broken)).toBe("edge up, core down, machine unknown, shell unknown");
    expect(hops(broken)[1]).toMatchObject({ since: 33 });
  });

  it("accuses the machine by what the core says of its link", () => {
    const offline = create(GatewaySchema, { ...gateway, linkState: LinkState.OFFLINE, sinceUnixMs: 42n });
    const broken = { ...seen, terminal: down(Code.GATEWAY_OFFLINE), gateway: offline };
    expect(states(broken)).toBe("edge up, core up, machine down, shell unknown");
    expect(hops(broken)[2]).toMatchObject({ since: 42 });
  });

  it("accuses the holder when only it is silent", () => {
    expect(states({ ...seen, terminal: down(Code.HOLDER_UNREACHABLE) })).toBe("edge up, core up, machine up, shell down");
  });

  it("accuses nobody while one terminal's socket comes back", () => {
    expect(states({ ...seen, terminal: down(Code.UNSPECIFIED) })).toBe("edge up, core up, machine up, shell unknown");
  });
});
