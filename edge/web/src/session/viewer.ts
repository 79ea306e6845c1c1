// The rules of a session, the viewer's end; the same as src/viewer of the
// contract. Pure: time is passed in, frames go in and come out.

import { create, type MessageInitShape } from "@bufbuild/protobuf";

import { Code } from "../gen/chatcode/v1/code_pb";
import { Role } from "../gen/chatcode/v1/grant_pb";
import type { Exit, Session, Winsize } from "../gen/chatcode/v1/sessions_pb";
import {
  ClientFrameSchema,
  QueryAnswerer,
  type Attached,
  type ClientFrame,
  type InputRefused,
  type Presence,
  type ServerFrame,
} from "../gen/chatcode/v1/terminal_pb";
import { COLS_MAX, FRAME_VERSIONS, PING_MS, ROWS_MAX, SILENCE_MS } from "../link/limits";
import { smooth } from "../link/latency";
import { Refusal } from "../link/refusal";
import { Credit } from "./credit";
import { InputLog } from "./input";

export interface Size {
  rows: number;
  cols: number;
}

export type ViewerEvent =
  | { kind: "attached"; role: Role; viewer: number; session: Session | undefined; writerAnswers: boolean }
  /** Bytes for the screen; `live` when a query in them is not answered yet. */
  | { kind: "output"; data: Uint8Array; live: boolean }
  /** The screen begins anew; `skipped` names the gap, missing for another life or a snapshot. */
  | { kind: "reset"; skipped?: { from: number; to: number } }
  | { kind: "presence"; presence: Presence }
  | { kind: "resized"; size: Size }
  | { kind: "titled"; title: string; name: string }
  | { kind: "exited"; exit: Exit | undefined }
  | { kind: "closing"; refusal: Refusal }
  | { kind: "input-refused"; bytes: number; code: Code }
  /** Nobody knows what became of them. */
  | { kind: "input-unknown"; bytes: number }
  /** Typed before a reload; they never arrived. */
  | { kind: "input-lost"; bytes: number }
  | { kind: "rtt"; ms: number };

/** What a page remembers of a viewer over a reload. */
export interface Remembered {
  epoch: string;
  inputEnd: number;
}

type Kind = MessageInitShape<typeof ClientFrameSchema>["kind"];

export class Viewer {
  readonly #credit = new Credit();
  readonly #input = new InputLog();
  readonly #control: ClientFrame[] = [];
  #attached = false;
  #epoch: bigint | undefined;
  /** The first output byte that has not arrived. */
  #offset = 0;
  #liveOffset = 0;
  #number = 0;
  /** Who holds the lease, 0 for nobody; missing until this attachment was told. */
  #writer: number | undefined = 0;
  #role: Role;
  #size: Size | undefined;
  #rttMs: number | undefined;
  #nextPing = 0;
  #pinged: number | undefined;
  #heard = 0;
  #snapshotPart = 0;
  #exited = false;
  /** What was written and not rendered yet belongs to an older stream below this count. */
  #stale = 0;
  #inFlight = 0;

  constructor(
    private readonly id: Uint8Array,
    private readonly wanted: Role,
    private remembered?: Remembered,
  ) {
    this.#role = wanted;
  }

  /** The first frame of every connection. */
  attach(now: number): ClientFrame {
    this.#attached = false;
    this.#pinged = undefined;
    this.#heard = now;
    this.#control.length = 0;
    const resume = this.#epoch === undefined ? {} : { resume: { epoch: this.#epoch, offset: BigInt(this.#offset) } };
    const winsize = this.#size === undefined ? {} : { winsize: this.#size };
    return frame({
      case: "attach",
      value: {
        versions: FRAME_VERSIONS,
        viewerId: this.id,
        role: this.wanted,
        windowBytes: this.#credit.window(this.#rttMs),
        inputSettled: BigInt(this.#input.settled),
        ...resume,
        ...winsize,
      },
    });
  }

  /** Throws a `Refusal` when the holder breaks the rules: the attachment is over. */
  handleFrame(now: number, { kind }: ServerFrame): ViewerEvent[] {
    this.#heard = now;
    if (kind.case === "closing") {
      return [{ kind: "closing", refusal: new Refusal(kind.value.code, kind.value.message) }];
    }
    if (!this.#attached) {
      if (kind.case === "attached") return this.#begin(now, kind.value);
      throw protocol("the first frame was not an answer to the attach");
    }
    switch (kind.case) {
      case "output":
        return this.#output(now, Number(kind.value.offset), kind.value.data);
      case "gap":
        return this.#gap(Number(kind.value.from), Number(kind.value.to));
      case "snapshot":
        return this.#snapshot(Number(kind.value.offset), kind.value.part, kind.value.parts, kind.value.data);
      case "inputConfirmed":
        this.#input.confirm(Number(kind.value.offset));
        return [];
      case "inputRefused":
        return this.#refused([kind.value]);
      case "presence":
        this.#writer = kind.value.writer;
        return [{ kind: "presence", presence: kind.value }];
      case "resized":
        return resized(kind.value.winsize);
      case "exited":
        this.#exited = true;
        return [{ kind: "exited", exit: kind.value.exit }];
      case "pong":
        return this.#pong(now, Number(kind.value.stamp));
      case "titled":
        return [{ kind: "titled", title: kind.value.title, name: kind.value.name }];
      case "attached":
        throw protocol("a second answer to the attach");
      case "sealed":
        throw protocol("a sealed frame that was not asked for");
      default:
        // A kind of a newer version, or history that nobody asked for.
        return [];
    }
  }

  /** The screen took the next `bytes`; makes credit. */
  handleRendered(now: number, bytes: number): void {
    this.#inFlight -= bytes;
    if (this.#stale > 0) {
      this.#stale -= bytes;
      return;
    }
    this.#credit.rendered(now, bytes, this.#offset - this.#inFlight);
  }

  /** Answers how many bytes were taken; the rest found no room. */
  pushInput(bytes: Uint8Array): number {
    return this.#input.push(bytes);
  }

  /** The next frame to send; call until it answers nothing. */
  pollFrame(now: number): ClientFrame | undefined {
    if (!this.#attached) return undefined;
    const control = this.#control.shift();
    if (control !== undefined) return control;
    const run = this.mayType && this.#writer !== undefined ? this.#input.next() : undefined;
    if (run !== undefined) return frame({ case: "input", value: { offset: BigInt(run.offset), data: run.data } });
    const rendered = this.#credit.poll(now, this.#rttMs);
    if (rendered === undefined) return undefined;
    const windowBytes = this.#credit.window(this.#rttMs);
    return frame({ case: "credit", value: { renderedOffset: BigInt(rendered), windowBytes } });
  }

  resize(size: Size): void {
    const bounded = {
      rows: Math.min(Math.max(Math.round(size.rows), 1), ROWS_MAX),
      cols: Math.min(Math.max(Math.round(size.cols), 1), COLS_MAX),
    };
    if (this.#size?.rows === bounded.rows && this.#size.cols === bounded.cols) return;
    this.#size = bounded;
    if (this.#attached) this.#control.push(frame({ case: "resize", value: { winsize: bounded } }));
  }

  takeLease(): void {
    if (this.#attached) this.#control.push(frame({ case: "takeLease", value: {} }));
  }

  /** 0: let it go. */
  handOver(viewer: number): void {
    if (this.#attached) this.#control.push(frame({ case: "handOverLease", value: { viewer } }));
  }

  /** The frame to send before leaving for good. */
  detach(): ClientFrame {
    return frame({ case: "detach", value: {} });
  }

  handleDisconnect(): void {
    this.#attached = false;
    this.#pinged = undefined;
  }

  /** Forgets what was typed and not sent; answers how many bytes. */
  dropUnsent(): number {
    return this.#input.dropUnsent();
  }

  /** When `handleTimeout` wants to be called. */
  nextTimeout(): number | undefined {
    if (!this.#attached) return undefined;
    const ping = this.#pinged === undefined ? this.#nextPing : this.#heard + SILENCE_MS;
    return Math.min(ping, this.#credit.due ?? Infinity);
  }

  /** Throws a `Refusal` when the holder was silent for too long. */
  handleTimeout(now: number): void {
    if (!this.#attached) return;
    if (this.#pinged !== undefined && now - this.#heard >= SILENCE_MS) {
      throw new Refusal(Code.TIMEOUT, "the session went silent");
    }
    if (this.#pinged === undefined && now >= this.#nextPing) this.#ping(now);
  }

  /** Whether typing makes sense: the lease is ours or free, as far as we know. */
  get mayType(): boolean {
    const ours = this.#writer === undefined || this.#writer === 0 || this.#writer === this.#number;
    return this.#role === Role.WRITER && !this.#exited && ours;
  }

  get holdsLease(): boolean {
    return this.#attached && this.#writer === this.#number;
  }

  get isAttached(): boolean {
    return this.#attached;
  }

  /** Typed bytes that nothing is known of yet. */
  get unconfirmed(): number {
    return this.#input.kept;
  }

  get size(): Size | undefined {
    return this.#size;
  }

  /** For the next page in this tab; missing before the first attachment. */
  remember(): Remembered | undefined {
    return this.#epoch === undefined ? undefined : { epoch: String(this.#epoch), inputEnd: this.#input.end };
  }

  #begin(now: number, attached: Attached): ViewerEvent[] {
    if (!FRAME_VERSIONS.includes(attached.version)) {
      throw new Refusal(Code.UNSUPPORTED_VERSION, "the machine speaks another version of chatcode; reload the page or update the machine");
    }
    const events: ViewerEvent[] = [
      {
        kind: "attached",
        role: attached.role,
        viewer: attached.viewer,
        session: attached.session,
        writerAnswers: attached.queryAnswerer === QueryAnswerer.WRITER,
      },
    ];
    const expected = Number(attached.inputOffset);
    if (this.#epoch === undefined) {
      this.#input.begin(expected);
      events.push(...this.#lost(attached.epoch, expected));
      this.#startOutput(Number(attached.offset));
    } else if (this.#epoch !== attached.epoch) {
      const unknown = this.#input.restart(expected);
      if (unknown > 0) events.push({ kind: "input-unknown", bytes: unknown });
      events.push({ kind: "reset" });
      this.#startOutput(Number(attached.offset));
    } else {
      this.#input.resume(expected);
      events.push(...this.#refused(attached.refused));
      // What was written and not rendered stays on the screen; the new
      // attachment counts from here on.
      if (Number(attached.offset) !== this.#offset) throw protocol("output does not go on where this viewer is");
      this.#startOutput(this.#offset);
    }
    this.#epoch = attached.epoch;
    this.#liveOffset = Number(attached.liveOffset);
    this.#role = attached.role;
    this.#number = attached.viewer;
    this.#writer = undefined;
    this.#exited = false;
    this.#attached = true;
    events.push(...resized(attached.session?.winsize));
    this.#ping(now);
    return events;
  }

  #output(now: number, offset: number, data: Uint8Array): ViewerEvent[] {
    if (offset !== this.#offset) throw protocol(`output at ${offset} where ${this.#offset} follows`);
    const events: ViewerEvent[] = [];
    const replay = Math.min(Math.max(this.#liveOffset - offset, 0), data.length);
    if (replay > 0) events.push({ kind: "output", data: data.subarray(0, replay), live: false });
    if (replay < data.length) events.push({ kind: "output", data: data.subarray(replay), live: true });
    this.#offset += data.length;
    this.#arrived(now, data.length);
    return events;
  }

  #gap(from: number, to: number): ViewerEvent[] {
    if (from !== this.#offset || to < from) throw protocol(`a gap at ${from} where ${this.#offset} follows`);
    this.#startOutput(to);
    return [{ kind: "reset", skipped: { from, to } }];
  }

  #snapshot(offset: number, part: number, parts: number, data: Uint8Array): ViewerEvent[] {
    if (part !== this.#snapshotPart || part >= parts) throw protocol("parts of a snapshot out of order");
    const events: ViewerEvent[] = [];
    if (part === 0) {
      this.#startOutput(offset);
      events.push({ kind: "reset" });
    }
    this.#snapshotPart = part + 1 === parts ? 0 : part + 1;
    // A snapshot has no offsets of its own: it is rendered, and makes no credit.
    this.#inFlight += data.length;
    this.#stale += data.length;
    events.push({ kind: "output", data, live: false });
    return events;
  }

  #startOutput(offset: number): void {
    this.#offset = offset;
    this.#stale = this.#inFlight;
    this.#credit.restart(offset);
  }

  #arrived(now: number, bytes: number): void {
    this.#inFlight += bytes;
    this.#credit.arrived(now, bytes);
  }

  #lost(epoch: bigint, expected: number): ViewerEvent[] {
    const before = this.remembered;
    this.remembered = undefined;
    if (before === undefined) return [];
    if (before.epoch !== String(epoch) || before.inputEnd <= expected) return [];
    return [{ kind: "input-lost", bytes: before.inputEnd - expected }];
  }

  #refused(ranges: InputRefused[]): ViewerEvent[] {
    return ranges.flatMap(({ from, to, code }): ViewerEvent[] => {
      const bytes = this.#input.refuse({ from: Number(from), to: Number(to) });
      return bytes > 0 ? [{ kind: "input-refused", bytes, code }] : [];
    });
  }

  #ping(now: number): void {
    this.#pinged = now;
    this.#control.push(frame({ case: "ping", value: { stamp: BigInt(Math.round(now * 1000)) } }));
  }

  #pong(now: number, stamp: number): ViewerEvent[] {
    this.#pinged = undefined;
    this.#nextPing = now + (this.#rttMs === undefined ? PING_MS / 4 : PING_MS);
    this.#rttMs = smooth(this.#rttMs, now - stamp / 1000);
    return [{ kind: "rtt", ms: this.#rttMs }];
  }
}

function frame(kind: Kind): ClientFrame {
  return create(ClientFrameSchema, { kind } as MessageInitShape<typeof ClientFrameSchema>);
}

function resized(winsize: Winsize | undefined): ViewerEvent[] {
  return winsize === undefined ? [] : [{ kind: "resized", size: { rows: winsize.rows, cols: winsize.cols } }];
}

function protocol(what: string): Refusal {
  return new Refusal(Code.PROTOCOL, `the session broke the rules: ${what}`);
}
