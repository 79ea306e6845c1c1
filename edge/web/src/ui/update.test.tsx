import { create } from "@bufbuild/protobuf";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it, vi } from "vitest";

import { UpdateStatusSchema } from "../gen/chatcode/v1/host_pb";
import { Store } from "../store";
import { outcomeText, UpdateOffer } from "./update";

const state = new Store(new Map([["m", create(UpdateStatusSchema, { installed: "0.1.0", available: "0.2.0" })]]));
vi.mock("./hooks", () => ({ useApp: () => ({ updates: { state } }), useStore: <T,>(store: Store<T>): T => store.get() }));

describe("an update of a machine", () => {
  it("is offered where there is one and the machine is online", () => {
    const offer = (gateway: string, online: boolean): string => renderToStaticMarkup(<UpdateOffer gateway={gateway} name="box" online={online} />);
    expect(offer("m", true)).toContain("Update available: 0.2.0");
    expect(offer("m", false)).toBe("");
    expect(offer("another", true)).toBe("");
  });

  it("ends in words: it runs, it went back, or why it did not begin", () => {
    const tried = { from: "0.1.0", to: "0.2.0", reason: "it ended at once" };
    expect(outcomeText({ ...tried, done: true }, undefined).words).toBe("Version 0.2.0 runs.");
    expect(outcomeText({ ...tried, done: false }, undefined).words).toBe("Version 0.2.0 was not taken, version 0.1.0 goes on: it ended at once");
    const none = { done: false, from: "", to: "0.2.0", reason: "" };
    expect(outcomeText(none, create(UpdateStatusSchema, { problem: "not signed" })).words).toBe("not signed");
    expect(outcomeText(none, undefined).words).toBe("The machine has nothing newer.");
  });
});
