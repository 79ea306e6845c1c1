// The rules of a session, the viewer's end. Pure: time is passed in, frames go
// in and come out. The same as src/viewer of the contract, save that a take-over
// keeps what is typed until its answer; tests/vectors holds both to it.

import { create, type MessageInitShape } from "@bufbuild/protobuf";

import { Code } from "../gen/chatcode/v1/code_pb";
import { Role } from "../gen/chatcode/v1/grant_pb";
import type { Exit } from "../gen/chatcode/v1/sessions_pb";
import {
  ClientFrameSchema,
  type Attached,
  type ClientFrame,
  type InputRefused,
  type Presence,
  type ServerFrame,
  type Snapshot,
} from "../gen/chatcode/v1/terminal_pb";
import { DEFAULT_HISTORY_LINES, FRAME_VERSIONS, LAST_INPUT, LAST_OFFSET, VIEWER_PING_MS } from "../link/limits";
import { Refusal } from "../link/refusal";
import { Credit } from "./credit";
import { InputLog } from "./input";

export interface Size {
  rows: number;
  cols: number;
}

/** Colours, each 0xRRGGBB. */
export interface Theme {
  foreground: number;
  background: number;
  cursor: number;
}

export type ViewerEvent =
  /** The attachment stands. */
  | { kind: "attached"; attached: Attached }
  /** Bytes for the screen; `offset`: of the first. */
  | { kind: "output"; data: Uint8Array; offset: number }
  /** A part of what the screen is to be; the first is for an empty terminal of this size. */
  | { kind: "snapshot"; data: Uint8Array; part: number; parts: number; offset: number; size: Size | undefined; skipped: boolean }
  /** The screen must be emptied, because the holder is another. */
  | { kind: "reset" }
  | { kind: "presence"; presence: Presence }
  | { kind: "resized"; size: Size }
  | { kind: "titled"; title: string; name: string }
  | { kind: "exited"; exit: Exit | undefined }
  | { kind: "closing"; refusal: Refusal }
  /** Input that will not be written. */
  | { kind: "input-refused"; from: number; to: number; code: Code }
  /** Input that an ended holder may or may not have written. */
  | { kind: "input-unknown"; bytes: number }
  /** The way to the holder and back took this long. */
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
  /** Small frames that wait to be sent; each kind at most once. */
  #requests: ClientFrame[] = [];
  #size: Size | undefined;
  #theme: Theme | undefined;
  /** Lines that a snapshot may bring. */
  #historyLines = DEFAULT_HISTORY_LINES;
  /** The holder's life that `#next` counts in; missing before the first attachment. */
  #epoch: bigint | undefined;
  /** The next output byte. */
  #next = 0;
  /** The next part of a snapshot that has begun on this connection. */
  #part = 0;
  /** A snapshot has begun and not ended: the screen is half of one thing and half of another. */
  #isTorn = false;
  #number = 0;
  #mayWrite = false;
  /** Who holds the lease, 0 for nobody; missing until this connection was told. */
  #writer: number | undefined;
  #isAttached = false;
  #hasExited = false;
  #pingDue: number | undefined;
  #pings = 0;
  #pingSent: { stamp: number; at: number } | undefined;
  /** The stamp of the ping that follows a request for the lease; missing once that is answered. */
  #taking: number | undefined;

  constructor(
    private readonly id: Uint8Array,
    private readonly role: Role,
  ) {}

  /** The first frame of a connection. What a broken one had under way counts for nothing. */
  attach(): ClientFrame {
    this.handleDisconnect();
    const resume =
      this.#epoch === undefined ? {} : { resume: { epoch: this.#epoch, offset: BigInt(this.#next), redraw: this.#isTorn } };
    const winsize = this.#size === undefined ? {} : { winsize: this.#size };
    const theme = this.#theme === undefined ? {} : { theme: this.#theme };
    return frame({
      case: "attach",
      value: {
        versions: FRAME_VERSIONS,
        viewerId: this.id,
        role: this.role,
        windowBytes: this.#credit.firstWindow(),
        inputSettled: BigInt(this.#input.settled),
        historyLines: this.#historyLines,
        ...resume,
        ...winsize,
        ...theme,
      },
    });
  }

  /** Throws a `Refusal` when a frame cannot follow what came before: the connection has to be closed. */
  handleFrame(now: number, { kind }: ServerFrame): ViewerEvent[] {
    // A kind of a newer version.
    if (kind.case === undefined) return [];
    if (kind.case === "attached") return this.#attached(now, kind.value);
    if (kind.case === "closing") return [{ kind: "closing", refusal: new Refusal(kind.value.code, kind.value.message) }];
    if (!this.#isAttached) throw protocol("a frame came before `attached`");
    switch (kind.case) {
      case "output":
        return this.#output(now, Number(kind.value.offset), kind.value.data);
      case "snapshot":
        return this.#snapshot(now, kind.value);
      case "inputConfirmed":
        this.#input.handleConfirmed(Number(kind.value.offset));
        return [];
      case "inputRefused":
        return this.#refused(kind.value);
      case "presence":
        return this.#presence(kind.value);
      case "resized": {
        const { winsize } = kind.value;
        return winsize === undefined ? [] : [{ kind: "resized", size: { rows: winsize.rows, cols: winsize.cols } }];
      }
      case "exited":
        this.#hasExited = true;
        return [...this.#giveBack(Code.SESSION_ENDED), { kind: "exited", exit: kind.value.exit }];
      case "pong":
        return this.#pong(now, Number(kind.value.stamp));
      case "titled":
        return [{ kind: "titled", title: kind.value.title, name: kind.value.name }];
      default:
        throw protocol("a frame came that was never asked for");
    }
  }

  /** The screen has taken the next of the bytes that came; those of earlier connections first. */
  handleRendered(now: number, bytes: number): void {
    this.#credit.handleRendered(now, bytes);
  }

  /** The connection is gone. */
  handleDisconnect(): void {
    this.#isAttached = false;
    this.#requests = [];
    this.#pingDue = undefined;
    this.#pingSent = undefined;
    this.#taking = undefined;
  }

  /** Takes typed bytes; answers how many: fewer when many wait, none when this viewer may not type. */
  pushInput(bytes: Uint8Array): number {
    return this.takesInput ? this.#input.push(bytes) : 0;
  }

  /** How many bytes may be typed now; none when this viewer may not type. */
  get room(): number {
    return this.takesInput ? this.#input.room : 0;
  }

  /** Forgets what was typed and not sent; answers how many bytes. */
  dropUnsent(): number {
    const dropped = this.#input.giveBack();
    return dropped === undefined ? 0 : dropped.to - dropped.from;
  }

  /** The next frame to send, input first; call until it answers nothing. */
  pollFrame(now: number): ClientFrame | undefined {
    if (!this.#isAttached) return undefined;
    const run = this.#writer !== undefined && this.mayType ? this.#input.poll() : undefined;
    if (run !== undefined) return frame({ case: "input", value: { offset: BigInt(run.offset), data: run.data } });
    const request = this.#requests.shift();
    if (request !== undefined) return request;
    const credit = this.#credit.poll(now);
    if (credit !== undefined) {
      return frame({ case: "credit", value: { renderedBytes: BigInt(credit.renderedBytes), windowBytes: credit.windowBytes } });
    }
    if (this.#pingDue === undefined || now < this.#pingDue) return undefined;
    this.#pingDue = now + VIEWER_PING_MS;
    this.#pings += 1;
    this.#pingSent = { stamp: this.#pings, at: now };
    return frame({ case: "ping", value: { stamp: BigInt(this.#pings) } });
  }

  /** The viewer's terminal has this size. */
  resize(size: Size): void {
    if (this.#size?.rows === size.rows && this.#size.cols === size.cols) return;
    this.#size = size;
    this.#request({ case: "resize", value: { winsize: size } });
  }

  /** The colours of the viewer's terminal, for programs that ask. */
  setTheme(theme: Theme): void {
    const { foreground, background, cursor } = this.#theme ?? {};
    if (theme.foreground === foreground && theme.background === background && theme.cursor === cursor) return;
    this.#theme = theme;
    this.#request({ case: "theme", value: theme });
  }

  /** How many lines of history a snapshot may bring, from the next attachment on. */
  setHistoryLines(lines: number): void {
    this.#historyLines = lines;
  }

  /** Asks for a snapshot with all lines, such as those that were skipped. */
  requestSnapshot(): void {
    this.#request({ case: "snapshotRequest", value: { historyLines: this.#historyLines } });
  }

  /** Takes the lease from whoever has it. */
  takeLease(): void {
    this.#request({ case: "takeLease", value: {} });
  }

  /** Takes the lease, and keeps what is typed until the holder has answered; a ping tells when, as all is done in order. */
  takeOver(now: number): void {
    this.takeLease();
    this.#taking = this.#pings + 1;
    if (this.#isAttached) this.#pingDue = now;
  }

  /** Gives the lease to the viewer of this number; 0: to nobody. */
  handOver(viewer: number): void {
    this.#request({ case: "handOverLease", value: { viewer } });
  }

  /** Leaves for good. */
  detach(): void {
    this.#request({ case: "detach", value: {} });
  }

  /** When frames are due without anything else happening. */
  get nextTimeout(): number | undefined {
    const credit = this.#isAttached ? this.#credit.nextTimeout : undefined;
    const due = Math.min(this.#pingDue ?? Infinity, credit ?? Infinity);
    return due === Infinity ? undefined : due;
  }

  /** False when the holder would refuse what is typed; true as long as that is not known. */
  get mayType(): boolean {
    if (!this.#isAttached || this.#writer === undefined) return true;
    return this.#mayWrite && !this.#hasExited && (this.#writer === 0 || this.#writer === this.#number);
  }

  /** Whether what is typed is sent, now or when the lease that was asked for is there. */
  get takesInput(): boolean {
    return this.mayType || (this.#taking !== undefined && this.#mayWrite && !this.#hasExited);
  }

  get holdsLease(): boolean {
    return this.#isAttached && this.#writer !== undefined && this.#writer !== 0 && this.#writer === this.#number;
  }

  get isAttached(): boolean {
    return this.#isAttached;
  }

  /** Typed bytes that nothing is known of yet. */
  get unconfirmed(): number {
    return this.#input.unconfirmed;
  }

  /** For the next page in this tab; missing before the first attachment. */
  remember(): Remembered | undefined {
    return this.#epoch === undefined ? undefined : { epoch: String(this.#epoch), inputEnd: this.#input.end };
  }

  #attached(now: number, attached: Attached): ViewerEvent[] {
    const offset = Number(attached.offset);
    if (this.#isAttached) throw protocol("a second `attached` came");
    if (!FRAME_VERSIONS.includes(attached.version)) {
      throw new Refusal(Code.UNSUPPORTED_VERSION, "the machine speaks another version of chatcode; reload the page or update the machine");
    }
    if (Number(attached.inputOffset) > LAST_INPUT) throw beyond(attached.inputOffset);
    if (offset > LAST_OFFSET) throw beyond(attached.offset);
    const isSame = attached.epoch === this.#epoch;
    if (isSame && offset !== this.#next) throw protocol(`output goes on at ${offset} where ${this.#next} was asked for`);
    const events: ViewerEvent[] = [];
    let unknown = 0;
    let dropped: ViewerEvent[] = [];
    if (this.#epoch !== undefined && !isSame) {
      events.push({ kind: "reset" });
      this.#isTorn = false;
      // Keys that were meant for another shell could do harm in this one.
      dropped = this.#giveBack(Code.SESSION_ENDED);
      unknown = this.#input.beginAnew();
    }
    unknown += this.#input.handleAttached(Number(attached.inputOffset));
    if (unknown > 0) events.push({ kind: "input-unknown", bytes: unknown });
    this.#epoch = attached.epoch;
    this.#next = offset;
    this.#part = 0;
    this.#number = attached.viewer;
    this.#mayWrite = attached.role === Role.WRITER;
    // Until the presence comes, at once, nobody knows who has the lease.
    this.#writer = undefined;
    this.#isAttached = true;
    this.#hasExited = false;
    this.#credit.restart();
    this.#pingDue = now;
    return [...events, ...dropped, { kind: "attached", attached }, ...attached.refused.flatMap((range) => this.#refused(range))];
  }

  #presence(presence: Presence): ViewerEvent[] {
    this.#writer = presence.writer;
    if (this.holdsLease) this.#taking = undefined;
    return [{ kind: "presence", presence }, ...(this.takesInput ? [] : this.#giveBack(Code.NOT_WRITER))];
  }

  #output(now: number, offset: number, data: Uint8Array): ViewerEvent[] {
    if (offset !== this.#next || this.#isTorn) throw protocol(`output ${offset} came where ${this.#next} was expected`);
    if (offset + data.length > LAST_OFFSET) throw beyond(offset);
    this.#next += data.length;
    this.#credit.handleBytes(now, data.length);
    return [{ kind: "output", data, offset }];
  }

  #snapshot(now: number, { part, parts, data, winsize, skipped, ...snapshot }: Snapshot): ViewerEvent[] {
    const offset = Number(snapshot.offset);
    if (part !== this.#part || part >= parts || offset < this.#next) throw protocol(`part ${part} of a snapshot at ${offset} came out of turn`);
    if (offset > LAST_OFFSET) throw beyond(snapshot.offset);
    const isLast = part + 1 === parts;
    this.#credit.handleBytes(now, data.length);
    this.#part = isLast ? 0 : part + 1;
    this.#isTorn = !isLast;
    if (isLast) this.#next = offset;
    const size = winsize === undefined ? undefined : { rows: winsize.rows, cols: winsize.cols };
    return [{ kind: "snapshot", data, part, parts, offset, size, skipped }];
  }

  #pong(now: number, stamp: number): ViewerEvent[] {
    // The lease would have come before.
    if (this.#taking !== undefined && stamp >= this.#taking) this.#taking = undefined;
    const dropped = this.takesInput ? [] : this.#giveBack(Code.NOT_WRITER);
    if (this.#pingSent?.stamp !== stamp) return dropped;
    const ms = Math.max(now - this.#pingSent.at, 0);
    this.#pingSent = undefined;
    this.#credit.handleRtt(ms);
    return [{ kind: "rtt", ms }, ...dropped];
  }

  #refused({ from, to, code }: InputRefused): ViewerEvent[] {
    const news = this.#input.handleRefused({ from: Number(from), to: Number(to) });
    return news.map((range) => ({ kind: "input-refused", ...range, code }));
  }

  #giveBack(code: Code): ViewerEvent[] {
    const range = this.#input.giveBack();
    return range === undefined ? [] : [{ kind: "input-refused", ...range, code }];
  }

  /** A newer request of the same kind takes the older one's place. */
  #request(kind: Kind): void {
    const request = frame(kind);
    this.#requests = [...this.#requests.filter((waiting) => waiting.kind.case !== request.kind.case), request];
  }
}

function frame(kind: Kind): ClientFrame {
  return create(ClientFrameSchema, { kind } as MessageInitShape<typeof ClientFrameSchema>);
}

/** Numbers would no longer be exact. */
function beyond(offset: bigint | number): Refusal {
  return protocol(`the offset ${offset} is too close to the last one there is`);
}

function protocol(what: string): Refusal {
  return new Refusal(Code.PROTOCOL, `the session broke the rules: ${what}`);
}
