import { afterEach, describe, expect, it, vi } from "vitest";

import { Code } from "../gen/chatcode/v1/code_pb";
import { Refusal } from "../link/refusal";
import { bytes, creationOptions, makePasskey, provePasskey, requestOptions, text } from "./passkey";

const buffer = (...all: number[]): ArrayBuffer => Uint8Array.from(all).buffer;

describe("base64url", () => {
  it("is the same bytes there and back, without padding", () => {
    for (const all of [[], [0], [251, 255], [1, 2, 3], [255, 254, 253, 252]]) {
      const encoded = text(buffer(...all));
      expect(encoded).toMatch(/^[A-Za-z0-9_-]*$/u);
      expect([...bytes(encoded)]).toEqual(all);
    }
    expect(text(buffer(251, 255))).toBe("-_8");
  });
});

describe("the options of the core", () => {
  it("become bytes where the browser wants bytes, and stay as they are elsewhere", () => {
    const made = creationOptions({ challenge: "AQID", user: { id: "-_8" }, excludeCredentials: [{ id: "AA" }], rp: { id: "localhost" } });
    expect(made.challenge).toEqual(Uint8Array.of(1, 2, 3));
    expect(made.user.id).toEqual(Uint8Array.of(251, 255));
    expect(made.excludeCredentials).toEqual([{ id: Uint8Array.of(0) }]);
    expect(made.rp).toEqual({ id: "localhost" });
    expect(requestOptions({ challenge: "AQID" })).toEqual({ challenge: Uint8Array.of(1, 2, 3), allowCredentials: [] });
  });
});

describe("a passkey", () => {
  afterEach(() => vi.unstubAllGlobals());

  const credential = (response: object) => ({ id: "AQID", rawId: buffer(1, 2, 3), type: "public-key", response });

  it("answers in the JSON of WebAuthn", async () => {
    const assertion = { authenticatorData: buffer(1), clientDataJSON: buffer(2), signature: buffer(3), userHandle: buffer(4) };
    const attestation = { attestationObject: buffer(5), clientDataJSON: buffer(6), getTransports: () => ["usb"] };
    vi.stubGlobal("navigator", {
      credentials: { get: () => Promise.resolve(credential(assertion)), create: () => Promise.resolve(credential(attestation)) },
    });
    const head = { id: "AQID", rawId: "AQID", type: "public-key", clientExtensionResults: {} };
    expect(await provePasskey({ challenge: "AQID" })).toEqual({
      ...head,
      response: { authenticatorData: "AQ", clientDataJSON: "Ag", signature: "Aw", userHandle: "BA" },
    });
    expect(JSON.parse(await makePasskey('{"challenge":"AQID","user":{"id":"AA"}}'))).toEqual({
      ...head,
      response: { attestationObject: "BQ", clientDataJSON: "Bg", transports: ["usb"] },
    });
  });

  it("that is asked for ends what waits in a field", async () => {
    const waiting = (_: unknown, { signal }: { signal: AbortSignal }): Promise<never> =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("ended"))));
    vi.stubGlobal("navigator", { credentials: { get: (options: { signal: AbortSignal }) => waiting(undefined, options) } });
    const inField = provePasskey({ challenge: "" }, true);
    const next = provePasskey({ challenge: "" }, false, AbortSignal.timeout(1));
    await expect(inField).rejects.toThrow("ended");
    await expect(next).rejects.toThrow("ended");
  });

  it("that is not used is said in words, and what the page ended itself is not", async () => {
    const fails = (name: string): void => {
      const error = Object.assign(new Error("internal words"), { name });
      vi.stubGlobal("navigator", { credentials: { get: () => Promise.reject(error), create: () => Promise.reject(error) } });
    };
    fails("NotAllowedError");
    await expect(provePasskey({ challenge: "" })).rejects.toEqual(new Refusal(Code.INVALID, "no passkey was used; try again"));
    fails("InvalidStateError");
    await expect(makePasskey('{"challenge":""}')).rejects.toThrow("this key has a passkey for your account already");
    fails("AbortError");
    await expect(provePasskey({ challenge: "" }, true, AbortSignal.abort())).rejects.toThrow("internal words");
  });
});
