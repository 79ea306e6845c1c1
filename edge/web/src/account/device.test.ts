import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Rpc } from "../link/rpc";
import { DeviceKeeper, takeCode } from "./device";

const kept = new Map<string, string>();

/** A browser that is at this address. */
function at(address: string): { open: (hash: string) => void; now: () => string } {
  const url = new URL(address);
  const heard: (() => void)[] = [];
  vi.stubGlobal("location", url);
  vi.stubGlobal("history", { replaceState: (_: unknown, __: string, next: string) => (url.href = new URL(next, url.origin).href) });
  vi.stubGlobal("window", { addEventListener: (_: string, listener: () => void) => heard.push(listener) });
  const open = (hash: string): void => {
    url.hash = hash;
    for (const listener of heard) listener();
  };
  return { open, now: () => url.href.slice(url.origin.length) };
}

beforeEach(() => {
  kept.clear();
  const storage = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => kept.set(key, value), removeItem: (key: string) => kept.delete(key) };
  vi.stubGlobal("sessionStorage", storage);
});
afterEach(() => vi.unstubAllGlobals());

test("a code is taken out of the address, and an address without one asks for it", () => {
  for (const [address, code] of [["https://c.example/#device=BCDF-GHJK", "BCDF-GHJK"], ["https://c.example/#device", ""], ["https://c.example/#device=", ""]] as const) {
    const browser = at(address);
    expect(takeCode(location, history)).toBe(code);
    expect(browser.now()).toBe("/");
  }
  const other = at("https://c.example/#login=SECRET");
  expect(takeCode(location, history)).toBeUndefined();
  expect(other.now()).toBe("/#login=SECRET");
  at(`https://c.example/#device=${"B".repeat(100)}`);
  expect(takeCode(location, history)).toHaveLength(32);
});

test("a code outlives the way through a sign-in, and nothing after it", () => {
  at("https://c.example/#device=BCDF-GHJK");
  const device = new DeviceKeeper({} as Rpc);
  device.start();
  expect(device.asked.get()).toBe("BCDF-GHJK");
  const back = new DeviceKeeper({} as Rpc);
  back.start();
  expect(back.asked.get()).toBe("BCDF-GHJK");
  back.over();
  const browser = at("https://c.example/");
  const later = new DeviceKeeper({} as Rpc);
  later.start();
  expect(later.asked.get()).toBeUndefined();
  browser.open("#device=LMNP-QRST");
  expect(later.asked.get()).toBe("LMNP-QRST");
});
