import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";

import { Code } from "../gen/chatcode/v1/code_pb";
import { Role } from "../gen/chatcode/v1/grant_pb";
import { ServerFrameSchema, type ClientFrame } from "../gen/chatcode/v1/terminal_pb";
import { Refusal } from "../link/refusal";
import { Viewer, type ViewerEvent } from "./viewer";

const ID = new Uint8Array(16).fill(7);
const text = new TextEncoder();

type Shape = MessageInitShape<typeof ServerFrameSchema>["kind"];

function told(viewer: Viewer, kind: Shape, now = 0): ViewerEvent[] {
  return viewer.handleFrame(now, create(ServerFrameSchema, { kind } as MessageInitShape<typeof ServerFrameSchema>));
}

function sent(viewer: Viewer, now = 0): ClientFrame["kind"][] {
  const frames = [];
  for (let frame = viewer.pollFrame(now); frame !== undefined; frame = viewer.pollFrame(now)) frames.push(frame.kind);
  return frames;
}

function inputs(viewer: Viewer, now = 0): [number, string][] {
  return sent(viewer, now).flatMap((kind) =>
    kind.case === "input" ? [[Number(kind.value.offset), new TextDecoder().decode(kind.value.data)] as [number, string]] : [],
  );
}

interface Standing {
  epoch?: bigint;
  offset?: number;
  live?: number;
  input?: number;
  role?: Role;
  writer?: number;
}

/** Attaches and hears who types: viewer 1, which is us, unless said otherwise. */
function attach(viewer: Viewer, at: Standing = {}): ViewerEvent[] {
  viewer.attach(0);
  const events = told(viewer, {
    case: "attached",
    value: {
      version: 1,
      epoch: at.epoch ?? 5n,
      offset: BigInt(at.offset ?? 0),
      liveOffset: BigInt(at.live ?? 0),
      inputOffset: BigInt(at.input ?? 0),
      role: at.role ?? Role.WRITER,
      viewer: 1,
    },
  });
  return [...events, ...told(viewer, { case: "presence", value: { viewers: [], writer: at.writer ?? 1 } })];
}

function output(viewer: Viewer, offset: number, data: string): ViewerEvent[] {
  return told(viewer, { case: "output", value: { offset: BigInt(offset), data: text.encode(data) } });
}

describe("output", () => {
  it("goes on after a reconnect where the viewer is", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    expect(viewer.attach(0).kind).toMatchObject({ case: "attach", value: { viewerId: ID, role: Role.WRITER } });
    attach(viewer);
    output(viewer, 0, "hello");
    viewer.handleDisconnect();
    expect(viewer.attach(0).kind.value).toMatchObject({ resume: { epoch: 5n, offset: 5n } });
  });

  it("that does not follow ends the attachment", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer);
    output(viewer, 0, "hello");
    expect(() => output(viewer, 6, "!")).toThrowError(Refusal);
    expect(() => output(viewer, 4, "!")).toThrowError(Refusal);
  });

  it("is replay below the live offset, and live from there on, within one frame", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer, { live: 3 });
    const pieces = output(viewer, 0, "hello").map((event) => (event.kind === "output" ? [event.data.length, event.live] : event.kind));
    expect(pieces).toEqual([
      [3, false],
      [2, true],
    ]);
  });

  it("names a gap, begins anew and goes on behind it", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer);
    output(viewer, 0, "hello");
    expect(told(viewer, { case: "gap", value: { from: 5n, to: 900n } })).toEqual([{ kind: "reset", skipped: { from: 5, to: 900 } }]);
    expect(output(viewer, 900, "x")).toHaveLength(1);
    expect(() => told(viewer, { case: "gap", value: { from: 7n, to: 9n } })).toThrowError(Refusal);
  });

  it("of another life begins with an empty screen", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer);
    output(viewer, 0, "hello");
    viewer.handleDisconnect();
    expect(attach(viewer, { epoch: 6n }).map(({ kind }) => kind)).toEqual(["attached", "reset", "presence"]);
    expect(output(viewer, 0, "new")).toHaveLength(1);
  });

  it("needs an answer to the attach first", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    viewer.attach(0);
    expect(() => output(viewer, 0, "x")).toThrowError(/first frame/u);
  });
});

describe("credit", () => {
  const credits = (viewer: Viewer, now: number): number[] =>
    sent(viewer, now).flatMap((kind) => (kind.case === "credit" ? [Number(kind.value.renderedOffset)] : []));

  it("is told for what is rendered, not for what arrived", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer);
    sent(viewer);
    output(viewer, 0, "hello");
    expect(credits(viewer, 1000)).toEqual([]);
    viewer.handleRendered(1000, 5);
    expect(credits(viewer, 1000)).toEqual([]);
    expect(viewer.nextTimeout()).toBeLessThanOrEqual(1010);
    expect(credits(viewer, 1010)).toEqual([5]);
    expect(credits(viewer, 2000)).toEqual([]);
  });

  it("never names bytes of before a gap or of before a reconnect", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer);
    sent(viewer);
    output(viewer, 0, "hello");
    told(viewer, { case: "gap", value: { from: 5n, to: 900n } });
    viewer.handleRendered(10, 5);
    expect(credits(viewer, 500)).toEqual([]);
    output(viewer, 900, "abc");
    viewer.handleDisconnect();
    attach(viewer, { offset: 903 });
    viewer.handleRendered(20, 3);
    expect(credits(viewer, 1000)).toEqual([]);
    output(viewer, 903, "de");
    viewer.handleRendered(30, 2);
    expect(credits(viewer, 2000)).toEqual([905]);
  });
});

describe("input", () => {
  it("is numbered, confirmed and sent once", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer);
    viewer.pushInput(text.encode("ab"));
    expect(inputs(viewer)).toEqual([[0, "ab"]]);
    viewer.pushInput(text.encode("c"));
    expect(inputs(viewer)).toEqual([[2, "c"]]);
    expect(viewer.unconfirmed).toBe(3);
    told(viewer, { case: "inputConfirmed", value: { offset: 3n } });
    expect(viewer.unconfirmed).toBe(0);
    expect(inputs(viewer)).toEqual([]);
  });

  it("that was typed while the line was down goes once, after what the holder lacks", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer);
    viewer.pushInput(text.encode("abcd"));
    inputs(viewer);
    viewer.handleDisconnect();
    viewer.pushInput(text.encode("ef"));
    expect(inputs(viewer)).toEqual([]);
    attach(viewer, { input: 3 });
    expect(inputs(viewer)).toEqual([[3, "def"]]);
  });

  it("of a viewer that comes back after a reload goes on at the holder's number", () => {
    const viewer = new Viewer(ID, Role.WRITER, { epoch: "5", inputEnd: 12 });
    viewer.pushInput(text.encode("x"));
    expect(attach(viewer, { input: 10 })).toContainEqual({ kind: "input-lost", bytes: 2 });
    expect(inputs(viewer)).toEqual([[10, "x"]]);
  });

  it("waits until it is known who types", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    viewer.pushInput(text.encode("x"));
    attach(viewer, { writer: 2 });
    expect(viewer.mayType).toBe(false);
    expect(inputs(viewer)).toEqual([]);
    told(viewer, { case: "presence", value: { viewers: [], writer: 0 } });
    expect(inputs(viewer)).toEqual([[0, "x"]]);
  });

  it("that is refused is said once and its numbers are used up", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer);
    viewer.pushInput(text.encode("abcd"));
    inputs(viewer);
    const refused = { from: 1n, to: 3n, code: Code.NOT_WRITER };
    expect(told(viewer, { case: "inputRefused", value: refused })).toEqual([{ kind: "input-refused", bytes: 2, code: Code.NOT_WRITER }]);
    expect(told(viewer, { case: "inputRefused", value: refused })).toEqual([]);
    told(viewer, { case: "inputConfirmed", value: { offset: 1n } });
    expect(viewer.unconfirmed).toBe(1);
    viewer.handleDisconnect();
    attach(viewer, { input: 4 });
    viewer.pushInput(text.encode("e"));
    expect(inputs(viewer)).toEqual([[4, "e"]]);
  });

  it("is unknown when the holder is another", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer);
    viewer.pushInput(text.encode("abc"));
    inputs(viewer);
    viewer.handleDisconnect();
    expect(attach(viewer, { epoch: 6n })).toContainEqual({ kind: "input-unknown", bytes: 3 });
    viewer.pushInput(text.encode("d"));
    expect(inputs(viewer)).toEqual([[0, "d"]]);
  });

  it("is bounded and cut into frames", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer);
    expect(viewer.pushInput(new Uint8Array(2 * 1024 * 1024))).toBe(1024 * 1024);
    expect(viewer.pushInput(new Uint8Array(1))).toBe(0);
    expect(sent(viewer).filter((kind) => kind.case === "input").every((kind) => kind.value.data.length <= 32 * 1024)).toBe(true);
    told(viewer, { case: "inputConfirmed", value: { offset: 1n } });
    expect(viewer.pushInput(new Uint8Array(2))).toBe(1);
  });

  it("of a viewer that may only look is never sent", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer, { role: Role.VIEWER, writer: 0 });
    viewer.pushInput(text.encode("x"));
    expect(inputs(viewer)).toEqual([]);
  });
});

describe("life", () => {
  it("measures the way and gives a silent session up", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    attach(viewer);
    const ping = sent(viewer).find((kind) => kind.case === "ping");
    expect(ping).toBeDefined();
    expect(told(viewer, { case: "pong", value: { stamp: ping?.case === "ping" ? ping.value.stamp : 0n } }, 40)).toEqual([{ kind: "rtt", ms: 40 }]);
    const next = viewer.nextTimeout() ?? 0;
    viewer.handleTimeout(next);
    expect(sent(viewer, next).some((kind) => kind.case === "ping")).toBe(true);
    expect(() => viewer.handleTimeout(next + 60_000)).toThrowError(/silent/u);
  });

  it("says its size on attach and after a change, within bounds", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    viewer.resize({ rows: 40, cols: 5000 });
    expect(viewer.attach(0).kind.value).toMatchObject({ winsize: { rows: 40, cols: 1000 } });
    attach(viewer);
    viewer.resize({ rows: 41, cols: 100 });
    expect(sent(viewer)).toContainEqual(expect.objectContaining({ case: "resize" }));
  });

  it("refuses a version that it does not speak", () => {
    const viewer = new Viewer(ID, Role.WRITER);
    viewer.attach(0);
    expect(() => told(viewer, { case: "attached", value: { version: 9 } })).toThrowError(/version/u);
  });
});
