import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Entering, guestPage, takeShare } from "./entering";

const SHARE = "0a1b2c3d-0000-4000-8000-000000000000";
const OF = { share: SHARE, session_name: "build", role: "writer", expires_unix_ms: 5, shared_by: "Ada" };

function storage(): Storage {
  const kept = new Map<string, string>();
  return {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => void kept.set(name, value),
    removeItem: (name: string) => void kept.delete(name),
  } as Storage;
}

describe("coming by a link", () => {
  const asked: { path: string; body: unknown }[] = [];
  let answer: () => Response;
  const gone: string[] = [];

  beforeEach(() => {
    asked.length = 0;
    gone.length = 0;
    answer = () => Response.json({ guest_of: OF, passphrase: true, accounts_only: false, signed_in_as: "", is_in: false });
    vi.stubGlobal("fetch", (path: string, init: RequestInit) => {
      asked.push({ path, body: JSON.parse(init.body as string) });
      return Promise.resolve(answer());
    });
    vi.stubGlobal("sessionStorage", storage());
    vi.stubGlobal("localStorage", storage());
    vi.stubGlobal("location", new URL("https://c.example/#share=SECRET"));
    vi.stubGlobal("history", { replaceState: (_: unknown, __: string, next: string) => (location.href = new URL(next, location.origin).href) });
    vi.stubGlobal("window", { addEventListener: () => undefined });
  });
  afterEach(() => vi.unstubAllGlobals());

  async function come(): Promise<Entering> {
    const entering = new Entering((path) => gone.push(path));
    entering.start();
    await vi.waitFor(() => expect(entering.coming.get()?.state).not.toBe("looking"));
    return entering;
  }

  it("takes the secret out of the address and asks what it leads to", async () => {
    const entering = await come();
    expect(location.href).toBe("https://c.example/");
    expect(asked).toEqual([{ path: "/api/share/look", body: { secret: "SECRET" } }]);
    expect(entering.coming.get()).toMatchObject({ state: "asked", passphrase: true, guestOf: { sessionName: "build", writer: true, sharedBy: "Ada" } });
  });

  it("goes to the page of guests, and remembers the name", async () => {
    const entering = await come();
    await entering.enter("Bo", "open the gate");
    expect(asked[1]).toEqual({ path: "/api/share/enter", body: { secret: "SECRET", passphrase: "open the gate", display_name: "Bo" } });
    expect(gone).toEqual([`/s/${SHARE}`]);
    expect(entering.lastName).toBe("Bo");
  });

  it("says why it was refused", async () => {
    answer = () => Response.json({ code: "bad_token", message: "this link does not count" }, { status: 401 });
    expect((await come()).coming.get()).toEqual({ state: "refused", words: "this link does not count" });
  });

  it("goes nowhere that is no page of guests", async () => {
    answer = () => Response.json({ guest_of: { ...OF, share: "../../evil" } });
    expect((await come()).coming.get()).toMatchObject({ state: "refused" });
    expect(gone).toEqual([]);
  });

  it("waits for a sign-in, and is looked at again then, once", async () => {
    const entering = await come();
    entering.signInFirst();
    expect(entering.coming.get()).toBeUndefined();
    entering.signedIn();
    await vi.waitFor(() => expect(entering.coming.get()?.state).toBe("asked"));
    entering.leave();
    entering.signedIn();
    expect(entering.coming.get()).toBeUndefined();
    expect(asked).toHaveLength(2);
  });
});

describe("addresses", () => {
  it("of guests have the id of a link", () => {
    expect(guestPage(`/s/${SHARE}`)).toBe(SHARE);
    for (const path of ["/", "/s/", `/s/${SHARE}/`, `/s/${SHARE.toUpperCase()}`, "/s/0a1b2c3d", `/x/s/${SHARE}`]) expect(guestPage(path)).toBeUndefined();
  });

  it("without a link are left as they are", () => {
    const url = new URL("https://c.example/?a=b#login=x");
    expect(takeShare(url as unknown as Location, {} as History)).toBeUndefined();
  });
});
