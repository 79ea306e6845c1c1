import { beforeEach, describe, expect, it, vi } from "vitest";

import type { Rpc } from "../link/rpc";
import { Store } from "../store";
import type { LookKeeper } from "./look";
import { inView, keyOf, Workspace } from "./workspace";

vi.mock("../session/attachment", () => ({ Attachment: vi.fn() }));

const revoked = { gateway: "before", session: "shell" };
const anew = { gateway: "after", session: "shell" };

function workspace(): Workspace {
  const look = { look: new Store({}), scheme: new Store("dark") } as unknown as LookKeeper;
  return new Workspace({} as Rpc, "", new Uint8Array(16), look, () => undefined);
}

beforeEach(() => {
  const kept = new Map<string, string>();
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
});

describe("a session whose machine was enrolled anew", () => {
  it("opens in a tab of its own beside the one of the revoked machine", async () => {
    const before = workspace();
    await before.open(revoked.gateway, revoked.session);
    const after = workspace();
    expect(inView(after.tabs.get())).toEqual(revoked);
    await after.open(anew.gateway, anew.session);
    expect(after.tabs.get()).toEqual({ open: [revoked, anew], active: keyOf(anew) });
    after.close(revoked);
    expect(after.tabs.get()).toEqual({ open: [anew], active: keyOf(anew) });
    expect(inView(workspace().tabs.get())).toEqual(anew);
  });
});

describe("the tabs", () => {
  it("stay with their person over a reload, and close when another one comes", async () => {
    const before = workspace();
    expect(before.belongsTo("person/1")).toBe(false);
    await before.open(revoked.gateway, revoked.session);
    expect(before.belongsTo("person/1")).toBe(false);
    const reloaded = workspace();
    expect([reloaded.belongsTo("person/1"), reloaded.tabs.get().open]).toEqual([false, [revoked]]);
    expect([reloaded.belongsTo("person/2"), reloaded.tabs.get()]).toEqual([true, { open: [], active: undefined }]);
    expect(workspace().tabs.get().open).toEqual([]);
  });
});
