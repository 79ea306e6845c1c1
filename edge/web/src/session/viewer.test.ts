// What only the page's viewer has; tests/vectors has the rules.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";

import { Role } from "../gen/chatcode/v1/grant_pb";
import { ServerFrameSchema } from "../gen/chatcode/v1/terminal_pb";
import { lostBytes } from "./remembered";
import { Viewer, type ViewerEvent } from "./viewer";

const ID = new Uint8Array(16).fill(7);
const text = new TextEncoder();

type Shape = MessageInitShape<typeof ServerFrameSchema>["kind"];

function told(viewer: Viewer, kind: Shape): ViewerEvent[] {
  return viewer.handleFrame(0, create(ServerFrameSchema, { kind } as MessageInitShape<typeof ServerFrameSchema>));
}

/** Viewer 1 attaches to life 5 and holds the lease. */
function attach(viewer: Viewer, { input = 0 } = {}): void {
  viewer.attach();
  const value = { version: 1, epoch: 5n, inputOffset: BigInt(input), role: Role.WRITER, viewer: 1 };
  told(viewer, { case: "attached", value });
  told(viewer, { case: "presence", value: { viewers: [], writer: 1 } });
}

function inputs(viewer: Viewer): [number, string][] {
  const found: [number, string][] = [];
  for (let frame = viewer.pollFrame(0); frame !== undefined; frame = viewer.pollFrame(0)) {
    const { kind } = frame;
    if (kind.case === "input") found.push([Number(kind.value.offset), new TextDecoder().decode(kind.value.data)]);
  }
  return found;
}

describe("a viewer", () => {
  it("says who it is and what it speaks", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    expect(viewer.attach().kind).toMatchObject({ case: "attach", value: { viewerId: ID, role: Role.WRITER, versions: [1] } });
  });

  it("says for which size a snapshot is, and whether lines were skipped", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer);
    const part = { offset: 9n, part: 0, parts: 1, data: text.encode("drawn"), winsize: { rows: 5, cols: 20 }, skipped: true };
    expect(told(viewer, { case: "snapshot", value: part })).toEqual([
      { kind: "snapshot", data: text.encode("drawn"), part: 0, parts: 1, offset: 9, size: { rows: 5, cols: 20 }, skipped: true },
    ]);
  });

  it("keeps what was sent when the person drops what waits", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer);
    viewer.pushInput(text.encode("abc"));
    inputs(viewer);
    viewer.handleDisconnect();
    viewer.pushInput(text.encode("rm"));
    expect(viewer.dropUnsent()).toBe(2);
    expect(viewer.dropUnsent()).toBe(0);
    attach(viewer, { input: 1 });
    viewer.pushInput(text.encode("d"));
    expect(inputs(viewer)).toEqual([[1, "bcd"]]);
  });

  it("knows when typing makes no sense", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    expect(viewer.mayType).toBe(true);
    attach(viewer);
    expect(viewer.mayType).toBe(true);
    told(viewer, { case: "presence", value: { viewers: [], writer: 2 } });
    expect(viewer.mayType).toBe(false);
    viewer.handleDisconnect();
    expect(viewer.mayType).toBe(true);
  });
});

describe("a reload", () => {
  it("loses what was typed and never came to the holder", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    expect(viewer.remember()).toBeUndefined();
    attach(viewer);
    viewer.pushInput(text.encode("abcd"));
    const before = viewer.remember();
    expect(lostBytes(before, { epoch: 5n, inputOffset: 1n })).toBe(3);
    expect(lostBytes(before, { epoch: 5n, inputOffset: 4n })).toBe(0);
    expect(lostBytes(before, { epoch: 6n, inputOffset: 0n })).toBe(0);
    expect(lostBytes(undefined, { epoch: 5n, inputOffset: 1n })).toBe(0);
  });
});
