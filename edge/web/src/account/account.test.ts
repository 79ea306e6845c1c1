import { afterEach, describe, expect, it, vi } from "vitest";

import { Code } from "../gen/chatcode/v1/code_pb";
import { Refusal } from "../link/refusal";
import type { Rpc } from "../link/rpc";
import { AccountKeeper } from "./account";

async function signOut(edge: () => Promise<Response>): Promise<{ state: string; code: Code | undefined }> {
  vi.stubGlobal("fetch", edge);
  const keeper = new AccountKeeper({} as Rpc, () => undefined);
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
    const keeper = new AccountKeeper({ accounts: { whoAmI } } as unknown as Rpc, () => undefined);
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
    const keeper = new AccountKeeper({ accounts: { whoAmI: () => me } } as unknown as Rpc, () => undefined);
    keeper.account.set({ state: "signed-in", principal: "person/1", displayName: "Ada", installation: "7c41e09a", version: "0" });
    const looks = keeper.renewed();
    await keeper.signOut();
    answer({ principal: "person/1" });
    expect([await looks, keeper.account.get()]).toEqual([false, { state: "signed-out", why: undefined }]);
    vi.unstubAllGlobals();
  });

  it("says nothing of who signs in in this very page meanwhile", async () => {
    const meanwhile = async (principal: string): Promise<unknown> => {
      let answer: (me: { principal: string }) => void = () => undefined;
      const me = new Promise<{ principal: string }>((resolve) => {
        answer = resolve;
      });
      const keeper = new AccountKeeper({ accounts: { whoAmI: () => me } } as unknown as Rpc, () => undefined);
      const ada = { state: "signed-in", principal: "person/1", displayName: "Ada", installation: "7c41e09a", version: "0" } as const;
      keeper.account.set(ada);
      const looks = keeper.renewed();
      keeper.account.set({ ...ada, principal });
      answer({ principal });
      return [await looks, keeper.account.get().state];
    };
    expect(await meanwhile("person/1")).toEqual([true, "signed-in"]);
    expect(await meanwhile("person/2")).toEqual([false, "signed-in"]);
  });

  it("is another person's when another tab says so", () => {
    const keeper = new AccountKeeper({} as Rpc, () => undefined);
    expect(keeper.replacedBy("person/2")).toBe(false);
    keeper.account.set({ state: "signed-in", principal: "person/1", displayName: "Ada", installation: "7c41e09a", version: "0" });
    expect([keeper.replacedBy("person/1"), keeper.account.get().state]).toEqual([false, "signed-in"]);
    expect([keeper.replacedBy("person/2"), keeper.account.get()]).toMatchObject([true, { state: "signed-out", why: expect.stringMatching(/^Somebody else/u) }]);
  });

  it("is over when there is none, or another person's", async () => {
    expect(await renewed([])).toEqual({ renewed: false, state: "signed-out", asked: 3 });
    expect(await renewed(["person/2"])).toEqual({ renewed: false, state: "signed-out", asked: 1 });
  });
});

describe("a sign-in that has to wait", () => {
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  /** Opens a link that is refused for a while; answers when it was tried, in seconds, and what was shown meanwhile. */
  async function tries(headers: HeadersInit, times: number): Promise<{ at: number[]; waited: unknown }> {
    vi.useFakeTimers();
    const begun = Date.now();
    const at: number[] = [];
    const limited = { code: "rate_limited", message: "too much was tried" };
    vi.stubGlobal("location", { hash: "#login=secret", pathname: "/", search: "" });
    vi.stubGlobal("history", { replaceState: () => undefined });
    vi.stubGlobal("window", { addEventListener: () => undefined });
    vi.stubGlobal("fetch", () => {
      at.push((Date.now() - begun) / 1000);
      return Promise.resolve(at.length > times ? Response.json({ display_name: "Ada" }) : Response.json(limited, { status: 429, headers }));
    });
    const me = { principal: "ada", displayName: "Ada", permissions: [], installation: "", coreVersion: "" };
    const whoAmI = () => (at.length > times ? Promise.resolve(me) : Promise.reject(new Refusal(Code.UNAUTHENTICATED, "nobody")));
    const keeper = new AccountKeeper({ accounts: { whoAmI } } as unknown as Rpc, () => undefined);
    await keeper.start();
    const waited = keeper.account.get();
    await vi.runAllTimersAsync();
    expect(keeper.account.get()).toMatchObject({ state: "signed-in", principal: "ada" });
    return { at, waited };
  }

  it("says what the edge said, and is tried again when the edge says so", async () => {
    const { at, waited } = await tries({ "retry-after": "6" }, 1);
    expect(waited).toMatchObject({ state: "waiting", refusal: { code: Code.RATE_LIMITED, message: "too much was tried" } });
    expect(at.length).toBe(2);
    expect(at[1]).toBeGreaterThanOrEqual(6);
    expect(at[1]).toBeLessThan(7);
  });

  it("does not hammer where no time is told, and waits for no longer than a minute whatever is told", async () => {
    const { at } = await tries({}, 2);
    expect(at[1]).toBeGreaterThanOrEqual(5);
    expect((at[2] ?? 0) - (at[1] ?? 0)).toBeGreaterThanOrEqual(5);
    for (const told of ["9999999999", "-1", "soon", "0"]) {
      const [, second] = (await tries({ "retry-after": told }, 1)).at;
      expect(second, told).toBeGreaterThanOrEqual(told === "0" ? 1 : 5);
      expect(second, told).toBeLessThan(61);
    }
  });
});

describe("a link", () => {
  afterEach(() => vi.unstubAllGlobals());

  interface Opened {
    keeper: AccountKeeper;
    /** The bodies of the sign-ins, in order. */
    asked: unknown[];
    /** Whom the page was told of, and who was shown then. */
    arrived: string[];
  }

  /** Opens the link of Bob where this person is signed in, or nobody. */
  async function open(before: string | undefined): Promise<Opened> {
    let principal = before;
    const asked: unknown[] = [];
    const arrived: string[] = [];
    vi.stubGlobal("location", { hash: "#login=secret", pathname: "/", search: "" });
    vi.stubGlobal("history", { replaceState: () => undefined });
    vi.stubGlobal("window", { addEventListener: () => undefined });
    vi.stubGlobal("fetch", (_: string, init: RequestInit) => {
      const body = JSON.parse(String(init.body)) as { same_person?: boolean };
      asked.push(body);
      const another = { code: "forbidden", message: "this is of another account" };
      if (body.same_person === true && principal !== "bob") return Promise.resolve(Response.json(another, { status: 403 }));
      principal = "bob";
      return Promise.resolve(Response.json({ display_name: "Bob", instead_of: before === undefined ? "" : "Ada" }));
    });
    const whoAmI = () =>
      principal === undefined
        ? Promise.reject(new Refusal(Code.UNAUTHENTICATED, "nobody"))
        : Promise.resolve({ principal, displayName: principal, permissions: [], installation: "", coreVersion: "" });
    const keeper: AccountKeeper = new AccountKeeper({ accounts: { whoAmI } } as unknown as Rpc, (who) => {
      const shown = keeper.account.get();
      arrived.push(`${who} at ${shown.state === "signed-in" ? shown.principal : shown.state}`);
    });
    await keeper.start();
    return { keeper, asked, arrived };
  }

  it("signs in at once where nobody is, and where it is of the same person", async () => {
    const first = await open(undefined);
    expect(first.asked).toEqual([{ secret: "secret" }]);
    expect([first.keeper.account.get(), first.keeper.othersLink.get()]).toMatchObject([{ state: "signed-in", principal: "bob" }, false]);
    const again = await open("bob");
    expect(again.asked).toEqual([{ secret: "secret", same_person: true }]);
    expect([again.keeper.byUrl.get(), again.keeper.othersLink.get()]).toEqual([true, false]);
  });

  it("of another person changes nothing unless that is said", async () => {
    const { keeper, asked, arrived } = await open("ada");
    expect(asked).toEqual([{ secret: "secret", same_person: true }]);
    expect([keeper.account.get(), keeper.othersLink.get()]).toMatchObject([{ state: "signed-in", principal: "ada" }, true]);
    await keeper.takeOthersLink();
    expect(asked.slice(1)).toEqual([{ secret: "secret" }]);
    expect(keeper.account.get()).toMatchObject({ state: "signed-in", principal: "bob" });
    expect([keeper.othersLink.get(), keeper.insteadOf.get()]).toEqual([false, "Ada"]);
    expect(arrived, "told before anything of theirs is shown").toEqual(["ada at asking", "bob at ada"]);
  });

  it("of another person that is left is not used", async () => {
    const { keeper, asked } = await open("ada");
    keeper.leaveOthersLink();
    await keeper.takeOthersLink();
    expect([asked.length, keeper.othersLink.get()]).toEqual([1, false]);
    expect(keeper.account.get()).toMatchObject({ principal: "ada" });
  });
});
