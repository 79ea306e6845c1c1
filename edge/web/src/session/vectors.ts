// Plays the shared scripts in tests/vectors, whose README says what they mean.
// For tests only; tests/vectors/main.rs plays the same for the Rust rules.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import type { Code } from "../gen/chatcode/v1/code_pb";
import { Role } from "../gen/chatcode/v1/grant_pb";
import { ServerFrameSchema, type ClientFrame } from "../gen/chatcode/v1/terminal_pb";
import { DEFAULT_HISTORY_LINES, WINDOW_MAX_BYTES } from "../link/limits";
import { codeFromName, codeName, Refusal } from "../link/refusal";
import { Viewer, type Theme, type ViewerEvent } from "./viewer";

type Refused = [from: number, to: number, code: string];

interface AttachedFrame {
  version?: number;
  epoch?: number;
  offset?: number;
  live?: number;
  input?: number;
  refused?: Refused[];
  role?: string;
  viewer?: number;
}

interface Frames {
  attached: AttachedFrame;
  output: [offset: number, data: string | number];
  snapshot: [offset: number, data: string | number, part: number, parts: number];
  confirmed: number;
  refused: Refused;
  presence: [writer: number, viewers: number[]];
  resized: [rows: number, cols: number];
  exited: [offset: number, code: number];
  pong: number;
  closing: string;
  titled: [title: string, name: string];
  unasked: "sealed";
  newer: true;
}

type Colours = [foreground: number, background: number, cursor: number];

type OneOf<T> = { [K in keyof T]: { [P in K]: T[K] } }[keyof T];

/** What is done to the viewer in one step. */
interface Deeds {
  attach: true;
  frame: OneOf<Frames>;
  type: string | number;
  rendered: number;
  resize: [rows: number, cols: number];
  take_lease: true;
  hand_over: number;
  detach: true;
  snapshot: true;
  history: number;
  theme: Colours;
  disconnect: true;
  wake: true;
}

/** What came of a step. */
export interface Outcome {
  /** The events, in order. */
  tells?: unknown[];
  /** The code of a frame that is refused. */
  fails?: string;
  /** Typed bytes that were taken; missing: all. */
  takes?: number;
  /** The frames that are to be sent, in order. */
  sends?: unknown[];
}

export type Step = { at?: number } & Partial<Deeds> & Outcome & { unconfirmed?: number; timeout?: number | null; writer?: boolean };

export interface Vector {
  name: string;
  viewer?: { role?: string; winsize?: [rows: number, cols: number] };
  /** What happened before the steps, and is not compared. */
  after?: "attach" | "lease";
  steps: Step[];
}

export const FOLDER = join(import.meta.dirname, "../../../../tests/vectors");

/** All scripts, by file. */
export function files(): [file: string, vectors: Vector[]][] {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith(".json") && name !== "limits.json");
  return names.sort().map((name) => [name, JSON.parse(readFileSync(join(FOLDER, name), "utf8")) as Vector[]]);
}

/** A viewer that a script is played to, step by step. */
export class Player {
  readonly #viewer: Viewer;
  #now = 0;

  constructor({ viewer, after }: Vector) {
    this.#viewer = new Viewer(new Uint8Array(16).fill(1), viewer?.role === "viewer" ? Role.VIEWER : Role.WRITER);
    if (viewer?.winsize !== undefined) this.#viewer.resize(size(viewer.winsize));
    const before: Step[] = [{ attach: true }, { frame: { attached: {} } }, { frame: { presence: [1, [1]] } }];
    before.slice(0, after === "lease" ? 3 : after === "attach" ? 2 : 0).forEach((step) => this.play(step));
  }

  /** What comes of the step; of the viewer's state, what the step asks for. */
  play(step: Step): Outcome & Step {
    this.#now = step.at ?? this.#now;
    const outcome: Outcome & Step = {};
    const sends: unknown[] = [];
    try {
      const tells = this.#act(step, outcome, sends);
      if (tells.length > 0) outcome.tells = tells.map(told);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      outcome.fails = codeName(error.code);
    }
    for (let frame = this.#viewer.pollFrame(this.#now); frame !== undefined; frame = this.#viewer.pollFrame(this.#now)) sends.push(sent(frame));
    if (sends.length > 0) outcome.sends = sends;
    if (step.unconfirmed !== undefined) outcome.unconfirmed = this.#viewer.unconfirmed;
    if (step.timeout !== undefined) outcome.timeout = this.#viewer.nextTimeout ?? null;
    if (step.writer !== undefined) outcome.writer = this.#viewer.holdsLease;
    return outcome;
  }

  #act(step: Step, outcome: Outcome, sends: unknown[]): ViewerEvent[] {
    const viewer = this.#viewer;
    if (step.frame !== undefined) return viewer.handleFrame(this.#now, create(ServerFrameSchema, { kind: frame(step.frame) }));
    if (step.attach) sends.push(sent(viewer.attach()));
    if (step.type !== undefined) {
      const bytes = data(step.type);
      const taken = viewer.pushInput(bytes);
      if (taken < bytes.length) outcome.takes = taken;
    }
    if (step.rendered !== undefined) viewer.handleRendered(this.#now, step.rendered);
    if (step.resize !== undefined) viewer.resize(size(step.resize));
    if (step.take_lease) viewer.takeLease();
    if (step.hand_over !== undefined) viewer.handOver(step.hand_over);
    if (step.detach) viewer.detach();
    if (step.snapshot) viewer.requestSnapshot();
    if (step.history !== undefined) viewer.setHistoryLines(step.history);
    if (step.theme !== undefined) viewer.setTheme(theme(step.theme));
    if (step.disconnect) viewer.handleDisconnect();
    return [];
  }
}

type Kind = MessageInitShape<typeof ServerFrameSchema>["kind"] & object;

function frame(frames: OneOf<Frames>): Kind {
  const one = frames as Partial<Frames>;
  if (one.attached !== undefined) return { case: "attached", value: attached(one.attached) };
  if (one.output !== undefined) return { case: "output", value: { offset: BigInt(one.output[0]), data: data(one.output[1]) } };
  if (one.snapshot !== undefined) {
    const [offset, text, part, parts] = one.snapshot;
    return { case: "snapshot", value: { offset: BigInt(offset), data: data(text), part, parts } };
  }
  if (one.confirmed !== undefined) return { case: "inputConfirmed", value: { offset: BigInt(one.confirmed) } };
  if (one.refused !== undefined) return { case: "inputRefused", value: refused(one.refused) };
  if (one.presence !== undefined) {
    const [writer, viewers] = one.presence;
    return { case: "presence", value: { writer, viewers: viewers.map((viewer) => ({ viewer })) } };
  }
  if (one.resized !== undefined) return { case: "resized", value: { winsize: size(one.resized) } };
  if (one.exited !== undefined) return { case: "exited", value: { offset: BigInt(one.exited[0]), exit: { code: one.exited[1] } } };
  if (one.pong !== undefined) return { case: "pong", value: { stamp: BigInt(one.pong) } };
  if (one.closing !== undefined) return { case: "closing", value: { code: code(one.closing) } };
  if (one.titled !== undefined) return { case: "titled", value: { title: one.titled[0], name: one.titled[1] } };
  if (one.unasked !== undefined) return { case: one.unasked, value: {} } as Kind;
  return { case: undefined };
}

function attached({ version = 1, epoch = 7, offset = 0, live = 0, input = 0, refused: ranges = [], role = "writer", viewer = 1 }: AttachedFrame) {
  return {
    version,
    epoch: BigInt(epoch),
    offset: BigInt(offset),
    liveOffset: BigInt(live),
    inputOffset: BigInt(input),
    refused: ranges.map(refused),
    role: role === "viewer" ? Role.VIEWER : Role.WRITER,
    viewer,
  };
}

function refused([from, to, name]: Refused) {
  return { from: BigInt(from), to: BigInt(to), code: code(name) };
}

function code(name: string): Code {
  const known = codeFromName(name);
  if (known === undefined) throw new Error(`no code has the name ${name}`);
  return known;
}

function size([rows, cols]: [rows: number, cols: number]): { rows: number; cols: number } {
  return { rows, cols };
}

function theme([foreground, background, cursor]: Colours): Theme {
  return { foreground, background, cursor };
}

function colours({ foreground, background, cursor }: Theme): Colours {
  return [foreground, background, cursor];
}

/** Text, or that many letters from "a" on, over and over. */
function data(text: string | number): Uint8Array {
  if (typeof text === "string") return new TextEncoder().encode(text);
  return Buffer.alloc(text, "abcdefghijklmnopqrstuvwxyz");
}

/** Text that is long is cut in the middle. */
function shown(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes);
  return text.length <= 32 ? text : `${text.slice(0, 4)}..${text.length} bytes..${text.slice(-4)}`;
}

function roleName(role: Role): string {
  return role === Role.VIEWER ? "viewer" : "writer";
}

/** A frame as it is compared; what is as usual is left out of an attach. */
function sent({ kind }: ClientFrame): unknown {
  switch (kind.case) {
    case "attach": {
      const { role, inputSettled, windowBytes, resume, winsize, historyLines, theme: shade } = kind.value;
      return {
        attach: {
          ...(role === Role.WRITER ? {} : { role: roleName(role) }),
          ...(inputSettled === 0n ? {} : { settled: Number(inputSettled) }),
          ...(windowBytes === WINDOW_MAX_BYTES ? {} : { window: windowBytes }),
          ...(resume === undefined ? {} : { resume: [Number(resume.epoch), Number(resume.offset), ...(resume.redraw ? [true] : [])] }),
          ...(winsize === undefined ? {} : { winsize: [winsize.rows, winsize.cols] }),
          ...(historyLines === DEFAULT_HISTORY_LINES ? {} : { history: historyLines }),
          ...(shade === undefined ? {} : { theme: colours(shade) }),
        },
      };
    }
    case "input":
      return { input: [Number(kind.value.offset), shown(kind.value.data)] };
    case "credit":
      return { credit: [Number(kind.value.renderedBytes), kind.value.windowBytes] };
    case "resize":
      return { resize: [kind.value.winsize?.rows, kind.value.winsize?.cols] };
    case "handOverLease":
      return { hand_over: kind.value.viewer };
    case "ping":
      return { ping: Number(kind.value.stamp) };
    case "snapshotRequest":
      return { snapshot: kind.value.historyLines };
    case "theme":
      return { theme: colours(kind.value) };
    case "takeLease":
      return "take_lease";
    default:
      return kind.case;
  }
}

/** An event as it is compared. */
function told(event: ViewerEvent): unknown {
  switch (event.kind) {
    case "attached":
      return { attached: [event.attached.viewer, roleName(event.attached.role)] };
    case "output":
      return { output: shown(event.data) };
    case "reset":
      return { reset: null };
    case "snapshot":
      return { snapshot: [event.offset, event.part, event.parts, shown(event.data)] };
    case "presence":
      return { presence: [event.presence.writer, event.presence.viewers.map(({ viewer }) => viewer)] };
    case "resized":
      return { resized: [event.size.rows, event.size.cols] };
    case "titled":
      return { titled: [event.title, event.name] };
    case "exited":
      return { exited: event.exit?.code };
    case "closing":
      return { closing: codeName(event.refusal.code) };
    case "input-refused":
      return { refused: [event.from, event.to, codeName(event.code)] };
    case "input-unknown":
      return { unknown: event.bytes };
    case "rtt":
      return { rtt: event.ms };
  }
}
