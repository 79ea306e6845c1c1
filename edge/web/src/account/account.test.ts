import { afterEach, describe, expect, it, vi } from "vitest";

import { Code } from "../gen/chatcode/v1/code_pb";
import type { Rpc } from "../link/rpc";
import { AccountKeeper } from "./account";

async function signOut(edge: () => Promise<Response>): Promise<{ state: string; code: Code | undefined }> {
  vi.stubGlobal("fetch", edge);
  const keeper = new AccountKeeper({} as Rpc);
  keeper.account.set({ state: "signed-in", principal: "person/1", displayName: "Ada", installation: "7c41e09a", version: "0" });
  const refusal = await keeper.signOut();
  return { state: keeper.account.get().state, code: refusal?.code };
}

const refused = (status: number, code: string) => () => Promise.resolve(Response.json({ code, message: "words" }, { status }));

describe("signing out", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("is done when the edge says so, or knows nobody", async () => {
    expect(await signOut(() => Promise.resolve(Response.json({})))).toEqual({ state: "signed-out", code: undefined });
    expect(await signOut(refused(401, "unauthenticated"))).toEqual({ state: "signed-out", code: undefined });
  });

  it("is not done while the cookie lives", async () => {
    expect(await signOut(refused(503, "core_unreachable"))).toEqual({ state: "signed-in", code: Code.CORE_UNREACHABLE });
    expect(await signOut(refused(403, "bad_origin"))).toEqual({ state: "signed-in", code: Code.BAD_ORIGIN });
    expect(await signOut(() => Promise.reject(new TypeError("Failed to fetch")))).toEqual({ state: "signed-in", code: Code.UNSPECIFIED });
  });
});

describe("a sign-in that has ended", () => {
  afterEach(() => vi.useRealTimers());

  async function renewed(answers: (string | undefined)[]): Promise<{ renewed: boolean; state: string; asked: number }> {
    vi.useFakeTimers();
    let asked = 0;
    const whoAmI = () => {
      const principal = answers[asked];
      asked += 1;
      return principal === undefined ? Promise.reject(new Error("unauthenticated")) : Promise.resolve({ principal });
    };
    const keeper = new AccountKeeper({ accounts: { whoAmI } } as unknown as Rpc);
    keeper.account.set({ state: "signed-in", principal: "person/1", displayName: "Ada", installation: "7c41e09a", version: "0" });
    const looks = keeper.renewed();
    await vi.runAllTimersAsync();
    return { renewed: await looks, state: keeper.account.get().state, asked };
  }

  it("goes on with that of another tab, also when its cookie comes a moment later", async () => {
    expect(await renewed(["person/1"])).toEqual({ renewed: true, state: "signed-in", asked: 1 });
    expect(await renewed([undefined, "person/1"])).toEqual({ renewed: true, state: "signed-in", asked: 2 });
  });

  it("is not brought back after the person has signed out meanwhile", async () => {
    vi.stubGlobal("fetch", () => Promise.resolve(Response.json({})));
    let answer: (me: { principal: string }) => void = () => undefined;
    const me = new Promise<{ principal: string }>((resolve) => {
      answer = resolve;
    });
    const keeper = new AccountKeeper({ accounts: { whoAmI: () => me } } as unknown as Rpc);
    keeper.account.set({ state: "signed-in", principal: "person/1", displayName: "Ada", installation: "7c41e09a", version: "0" });
    const looks = keeper.renewed();
    await keeper.signOut();
    answer({ principal: "person/1" });
    expect([await looks, keeper.account.get()]).toEqual([false, { state: "signed-out", why: undefined }]);
    vi.unstubAllGlobals();
  });

  it("is over when there is none, or another person's", async () => {
    expect(await renewed([])).toEqual({ renewed: false, state: "signed-out", asked: 3 });
    expect(await renewed(["person/2"])).toEqual({ renewed: false, state: "signed-out", asked: 1 });
  });
});
