import { afterEach, describe, expect, it, vi } from "vitest";

import { Code } from "../gen/chatcode/v1/code_pb";
import { Refusal } from "../link/refusal";
import type { Rpc } from "../link/rpc";
import type { AccountKeeper } from "./account";
import { Elsewhere, takeAnswer, takeLink } from "./elsewhere";

/** A browser that is at this address. */
function at(address: string): { place: Location; past: History; now: () => string } {
  const url = new URL(address);
  const past = { replaceState: (_: unknown, __: string, next: string) => (url.href = new URL(next, url.origin).href) };
  return { place: url as unknown as Location, past: past as unknown as History, now: () => url.href.slice(url.origin.length) };
}

describe("what somebody comes with", () => {
  it("is taken out of the address, so that it stays in no history", () => {
    const mail = at("https://c.example/#mail=SECRET");
    expect(takeLink(mail.place, mail.past)).toBe("SECRET");
    expect(mail.now()).toBe("/");
    const back = at("https://c.example/auth/callback/works?code=c&state=in.s&iss=https%3A%2F%2Fid.example");
    expect(takeAnswer(back.place, back.past)).toEqual({ kind: "provider", answer: { id: "works", code: "c", state: "in.s", issuer: "https://id.example" } });
    expect(back.now()).toBe("/");
  });

  it("is nothing at any other address", () => {
    for (const address of ["https://c.example/", "https://c.example/?code=c&state=s", "https://c.example/auth/other?code=c&state=s", "https://c.example/auth/callback?code=c&state=s", "https://c.example/auth/callback/works/x?code=c&state=s", "https://c.example/#login=x"]) {
      const other = at(address);
      expect(takeLink(other.place, other.past)).toBeUndefined();
      expect(takeAnswer(other.place, other.past)).toBeUndefined();
      expect(other.now()).toBe(address.slice("https://c.example".length));
    }
  });

  it("is told when the provider refused, or said nothing", () => {
    const words = (query: string): string => {
      const { place, past } = at(`https://c.example/auth/callback/works${query}`);
      const told = takeAnswer(place, past);
      return told?.kind === "refused" ? told.words : "";
    };
    expect(words("?error=access_denied&state=in.s")).toContain("It was refused there.");
    for (const forged of ["?error=access_denied&error_description=Call+0900", "?error=Call+0900", "?error=Call+0900&state=in.s"]) expect(words(forged)).not.toContain("0900");
    expect(words("?code=c")).toContain("Begin anew");
  });
});

describe("leaving for a provider", () => {
  afterEach(() => vi.unstubAllGlobals());

  async function leave(provider: unknown): Promise<{ gone: string[]; refused: Code | undefined }> {
    const gone: string[] = [];
    vi.stubGlobal("fetch", () => Promise.resolve(Response.json({ provider })));
    vi.stubGlobal("location", { assign: (url: string) => gone.push(url) });
    const refused = await new Elsewhere({} as Rpc, {} as AccountKeeper).goTo("work").then(
      () => undefined,
      (error: unknown) => (error instanceof Refusal ? error.code : undefined),
    );
    return { gone, refused };
  }

  it("goes to web pages only", async () => {
    expect(await leave("https://id.example/a?b=c")).toEqual({ gone: ["https://id.example/a?b=c"], refused: undefined });
    for (const wrong of ["javascript:alert(1)", "data:text/html,x", "/relative", "", 7, undefined]) {
      expect(await leave(wrong)).toEqual({ gone: [], refused: Code.INTERNAL });
    }
  });
});
