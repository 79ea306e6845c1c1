import { afterEach, describe, expect, it, vi } from "vitest";

import { Code } from "../gen/chatcode/v1/code_pb";
import { passwordProof, signInBy, signInMethods } from "./sign-in";

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
