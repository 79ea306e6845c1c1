import { afterEach, describe, expect, it, vi } from "vitest";

import { Code } from "../gen/chatcode/v1/code_pb";
import { createRpc } from "./rpc";

/** An edge whose core wants a new proof for the first calls. */
function edge(refused: number): { calls: () => number } {
  let calls = 0;
  vi.stubGlobal("fetch", () => {
    calls += 1;
    const words = calls <= refused ? ["grpc-status: 7", "chatcode-code: step_up_required"] : ["grpc-status: 0"];
    const trailers = new TextEncoder().encode(words.map((word) => `${word}\r\n`).join(""));
    const frames = [...(calls <= refused ? [] : [0, 0, 0, 0, 0]), 128, 0, 0, 0, trailers.length, ...trailers];
    return Promise.resolve(new Response(Uint8Array.from(frames), { headers: { "content-type": "application/grpc-web+proto" } }));
  });
  return { calls: () => calls };
}

describe("an act that needs a new proof", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("is done once the person has proven who they are", async () => {
    const { calls } = edge(1);
    let asked = 0;
    const rpc = createRpc("http://localhost", () => Promise.resolve((asked += 1) === 1));
    await rpc.identities.remove({ id: "1" });
    expect([asked, calls()]).toEqual([1, 2]);
  });

  it("is refused when they do not, and asked for once only", async () => {
    const { calls } = edge(9);
    const never = createRpc("http://localhost", () => Promise.resolve(false));
    await expect(never.identities.remove({ id: "1" })).rejects.toMatchObject({ code: Code.STEP_UP_REQUIRED });
    expect(calls()).toBe(1);
    const always = createRpc("http://localhost", () => Promise.resolve(true));
    await expect(always.identities.remove({ id: "1" })).rejects.toMatchObject({ code: Code.STEP_UP_REQUIRED });
    expect(calls()).toBe(3);
  });
});

describe("a call", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("says as whom it is made, each time anew", async () => {
    const seen: [string, string | null][] = [];
    vi.stubGlobal("fetch", (input: string, { headers }: { headers: Headers }) => {
      seen.push([new URL(input).pathname, headers.get("chatcode-expect")]);
      const trailers = new TextEncoder().encode("grpc-status: 0\r\n");
      return Promise.resolve(new Response(Uint8Array.from([0, 0, 0, 0, 0, 128, 0, 0, 0, trailers.length, ...trailers]), { headers: { "content-type": "application/grpc-web+proto" } }));
    });
    let who = "person/1";
    const as = (path: string): Record<string, string> => (path.endsWith("/WhoAmI") ? {} : { "chatcode-expect": who });
    const rpc = createRpc("http://localhost", () => Promise.resolve(false), as);
    await rpc.accounts.whoAmI({});
    await rpc.identities.remove({ id: "1" });
    who = "person/2";
    await rpc.identities.remove({ id: "1" });
    expect(seen).toEqual([
      ["/chatcode.v1.Accounts/WhoAmI", null],
      ["/chatcode.v1.Identities/Remove", "person/1"],
      ["/chatcode.v1.Identities/Remove", "person/2"],
    ]);
  });
});
