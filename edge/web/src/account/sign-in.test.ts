import { afterEach, describe, expect, it, vi } from "vitest";

import { Code } from "../gen/chatcode/v1/code_pb";
import { CHALLENGE_FRESH_MS } from "../link/limits";
import { passwordProof, signInBy, signInInField, signInMethods } from "./sign-in";

const asksPasskey = vi.hoisted(() => vi.fn<(options: object, inField: boolean, signal: AbortSignal) => Promise<object>>());
vi.mock("./passkey", () => ({ provePasskey: asksPasskey }));

interface Asked {
  path: string;
  body: unknown;
}

function edge(answer: () => Promise<Response>): Asked[] {
  const asked: Asked[] = [];
  vi.stubGlobal("fetch", (path: string, init: RequestInit) => {
    asked.push({ path, body: init.body === undefined ? undefined : JSON.parse(String(init.body)) });
    return answer();
  });
  return asked;
}

describe("signing in", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("shows the ways that are open, and no other", async () => {
    edge(() => Promise.resolve(Response.json({ passkeys: true, passwords: false, providers: [{ id: "work", name: "Work" }, 7], later: true })));
    expect(await signInMethods()).toEqual({ passkeys: true, passwords: false, mail: false, providers: [{ id: "work", name: "Work" }] });
  });

  it("says whose the browser is now, and whose it was", async () => {
    const asked = edge(() => Promise.resolve(Response.json({ display_name: "Ada", instead_of: "Bob" })));
    expect(await signInBy({ secret: "s" })).toEqual({ displayName: "Ada", insteadOf: "Bob" });
    expect(await signInBy(passwordProof(" ada@example.org ", "cafe\u0301"), true)).toEqual({ displayName: "Ada", insteadOf: "Bob" });
    const password = { email: "ada@example.org", password: "caf\u00e9" };
    expect(asked.map(({ body }) => body)).toEqual([{ secret: "s" }, { password, same_person: true }]);
  });

  it("that is refused says why, and an edge that is away is one", async () => {
    edge(() => Promise.resolve(Response.json({ code: "bad_token", message: "words" }, { status: 401 })));
    await expect(signInBy({ secret: "s" })).rejects.toMatchObject({ code: Code.BAD_TOKEN, message: "words" });
    edge(() => Promise.reject(new TypeError("Failed to fetch")));
    await expect(signInBy({ secret: "s" })).rejects.toMatchObject({ code: Code.UNSPECIFIED });
  });
});

describe("a passkey in a field", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  /** Plays these passkeys: one that never comes, or one that the core takes or refuses. Answers what was asked and said. */
  async function play(all: ("old" | "wrong" | "right" | "none")[]): Promise<{ begun: number; words: string[]; name: string | undefined }> {
    const left = [...all];
    let begun = 0;
    vi.stubGlobal("fetch", (path: string) => {
      if (path.endsWith("/begin")) {
        begun += 1;
        return Promise.resolve(Response.json({ passkey: {} }));
      }
      if (left.shift() === "right") return Promise.resolve(Response.json({ display_name: "Ada" }));
      return Promise.resolve(Response.json({ code: "bad_token", message: "not known here" }, { status: 401 }));
    });
    // Each challenge ages at once when its turn is to grow old.
    vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
      const aged = new AbortController();
      if (ms === CHALLENGE_FRESH_MS && left[0] === "old") aged.abort();
      return aged.signal;
    });
    asksPasskey.mockImplementation((_, __, signal) => {
      if (left[0] === "none") return Promise.reject(new Error("asked for something else"));
      if (!signal.aborted) return Promise.resolve({});
      left.shift();
      return Promise.reject(new Error("aborted"));
    });
    const words: string[] = [];
    const signedIn = await signInInField(new AbortController().signal, (said) => words.push(said)).catch(() => undefined);
    return { begun, words, name: signedIn?.displayName };
  }

  it("is offered anew when its challenge has grown old", async () => {
    expect(await play(["old", "old", "right"])).toEqual({ begun: 3, words: [], name: "Ada" });
  });

  it("that is no good is told, and offered anew", async () => {
    expect(await play(["wrong", "right"])).toEqual({ begun: 2, words: ["not known here"], name: "Ada" });
  });

  it("is given up when the browser asks for another", async () => {
    expect(await play(["none"])).toEqual({ begun: 1, words: [], name: undefined });
  });
});
