// A session of the mock: a real shell and just enough of the holder's rules to
// show every state of the page. The rules that count are in src/session of the
// contract.

import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import headless from "@xterm/headless";
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";

import { Code } from "../src/gen/chatcode/v1/code_pb";
import { Role } from "../src/gen/chatcode/v1/grant_pb";
import { SessionSchema, SessionState, type Session } from "../src/gen/chatcode/v1/sessions_pb";
import { ClientFrameSchema, ServerFrameSchema, type Attach } from "../src/gen/chatcode/v1/terminal_pb";

const LOG_BYTES = 1024 * 1024;
/** A viewer that is further behind is moved to the present. */
const BACKLOG_BYTES = 256 * 1024;
const OUTPUT_BYTES = 64 * 1024;

export interface Peer {
  send(bytes: Uint8Array): void;
  end(code: Code, message: string): void;
}

interface Viewer {
  number: number;
  key: string;
  name: string;
  role: Role;
  peer: Peer;
  offset: number;
  /** Bytes of output and snapshots that were sent and rendered. */
  sent: number;
  rendered: number;
  window: number;
  /** Parts of a snapshot that are still to be sent. */
  snapshot: Kind[];
  /** It has asked for a snapshot with history. */
  wished: boolean;
  size: { rows: number; cols: number } | undefined;
}

type Kind = NonNullable<MessageInitShape<typeof ServerFrameSchema>["kind"]>;

export class MockSession {
  readonly info: Session;
  readonly #viewers = new Map<Peer, Viewer>();
  readonly #inputs = new Map<string, number>();
  readonly #shell: ChildProcessWithoutNullStreams;
  readonly #epoch = BigInt(Math.floor(Math.random() * 1e9) + 1);
  /** Answers what programs ask. */
  readonly #terminal = new headless.Terminal({ allowProposedApi: true });
  #log = Buffer.alloc(0);
  #base = 0;
  #numbers = 0;
  #writer = 0;

  constructor(
    name: string,
    folder: string,
    command: string[],
    private readonly changed: () => void,
    id: string = randomUUID(),
  ) {
    const home = process.env["HOME"] ?? "/tmp";
    const path = folder === "" ? home : folder.replace(/^~(?=\/|$)/u, home);
    this.info = create(SessionSchema, {
      id,
      name: name === "" ? (command[0] ?? "bash") : name,
      state: SessionState.RUNNING,
      createdUnixMs: BigInt(Date.now()),
      command,
      folder: path,
      winsize: { rows: 24, cols: 80 },
      epoch: this.#epoch,
    });
    const argv = command.length === 0 ? ["bash"] : command;
    this.#shell = spawn("python3", [join(import.meta.dirname, "shell.py"), "24", "80", path, ...argv]);
    this.#terminal.onData((text) => this.#toShell("i", Buffer.from(text)));
    this.#shell.stdout.on("data", (data: Buffer) => this.#output(data));
    this.#shell.stderr.on("data", (data: Buffer) => this.#output(data));
    this.#shell.on("exit", (code) => this.#exited(code ?? 0, 0));
  }

  get end(): number {
    return this.#base + this.#log.length;
  }

  message(peer: Peer, bytes: Uint8Array, who: string, role: Role): void {
    const { kind } = fromBinary(ClientFrameSchema, bytes);
    if (kind.case === "attach") return this.#attach(peer, kind.value, who, role);
    const viewer = this.#viewers.get(peer);
    if (viewer === undefined) return peer.end(Code.PROTOCOL, "attach first");
    switch (kind.case) {
      case "input":
        return this.#input(viewer, Number(kind.value.offset), kind.value.data);
      case "credit":
        viewer.rendered = Number(kind.value.renderedBytes);
        viewer.window = kind.value.windowBytes;
        return this.#feed(viewer);
      case "snapshotRequest":
        viewer.wished = true;
        return this.#feed(viewer);
      case "resize":
        viewer.size = kind.value.winsize;
        return this.#applySize();
      case "takeLease":
        if (viewer.role === Role.WRITER) this.#lease(viewer);
        return;
      case "handOverLease": {
        const other = [...this.#viewers.values()].find((each) => each.number === kind.value.viewer);
        if (this.#writer === viewer.number && other !== undefined) this.#lease(other);
        return;
      }
      case "ping":
        return this.#send(viewer, { case: "pong", value: { stamp: kind.value.stamp } });
      case "detach":
        return this.gone(peer);
      default:
    }
  }

  gone(peer: Peer): void {
    const viewer = this.#viewers.get(peer);
    if (viewer === undefined) return;
    this.#viewers.delete(peer);
    if (this.#writer === viewer.number) this.#writer = 0;
    this.#presence();
  }

  rename(name: string): void {
    this.info.name = name;
    this.changed();
  }

  stop(): void {
    this.info.state = SessionState.ENDING;
    this.changed();
    this.#shell.stdin.end();
  }

  #attach(peer: Peer, attach: Attach, who: string, role: Role): void {
    this.#numbers += 1;
    const key = Buffer.from(attach.viewerId).toString("hex");
    for (const [other, each] of this.#viewers) {
      if (each.key === key) {
        this.#viewers.delete(other);
        other.end(Code.FENCED, "a newer attachment of this viewer took its place");
      }
    }
    const { resume } = attach;
    const goesOn = resume?.epoch === this.#epoch && !resume.redraw && Number(resume.offset) >= this.#base;
    const from = resume?.epoch === this.#epoch ? Number(resume.offset) : 0;
    const viewer: Viewer = {
      number: this.#numbers,
      key,
      name: who,
      role,
      peer,
      offset: from,
      sent: 0,
      rendered: 0,
      window: attach.windowBytes,
      snapshot: [],
      wished: !goesOn,
      size: attach.winsize,
    };
    this.#viewers.set(peer, viewer);
    this.#send(viewer, {
      case: "attached",
      value: {
        version: 1,
        epoch: this.#epoch,
        offset: BigInt(from),
        liveOffset: BigInt(this.end),
        inputOffset: BigInt(this.#inputs.get(key) ?? 0),
        role,
        viewer: viewer.number,
        session: this.info,
      },
    });
    if (role === Role.WRITER && this.#writer === 0) this.#lease(viewer);
    else this.#presence();
    this.#feed(viewer);
  }

  #input(viewer: Viewer, offset: number, data: Uint8Array): void {
    const expected = this.#inputs.get(viewer.key) ?? 0;
    if (offset > expected) return viewer.peer.end(Code.INPUT_GAP, "input with a hole");
    const fresh = data.subarray(expected - offset);
    const next = expected + fresh.length;
    this.#inputs.set(viewer.key, next);
    if (this.#writer === 0 && viewer.role === Role.WRITER) this.#lease(viewer);
    if (this.#writer !== viewer.number) {
      return this.#send(viewer, { case: "inputRefused", value: { from: BigInt(expected), to: BigInt(next), code: Code.NOT_WRITER } });
    }
    this.#toShell("i", Buffer.from(fresh));
    this.#send(viewer, { case: "inputConfirmed", value: { offset: BigInt(next) } });
  }

  #lease(viewer: Viewer): void {
    this.#writer = viewer.number;
    this.#presence();
    this.#applySize();
  }

  #applySize(): void {
    const size = [...this.#viewers.values()].find(({ number }) => number === this.#writer)?.size;
    const now = this.info.winsize;
    if (size === undefined || now === undefined || (size.rows === now.rows && size.cols === now.cols)) return;
    now.rows = size.rows;
    now.cols = size.cols;
    const body = Buffer.alloc(4);
    body.writeUInt16BE(size.rows, 0);
    body.writeUInt16BE(size.cols, 2);
    this.#toShell("r", body);
    this.#terminal.resize(size.cols, size.rows);
    for (const viewer of this.#viewers.values()) {
      this.#send(viewer, { case: "resized", value: { winsize: size, offset: BigInt(viewer.offset) } });
    }
  }

  #presence(): void {
    const viewers = [...this.#viewers.values()].map(({ number, name, role }) => ({ viewer: number, displayName: name, role }));
    for (const viewer of this.#viewers.values()) {
      this.#send(viewer, { case: "presence", value: { viewers, writer: this.#writer } });
    }
    this.info.viewers = viewers.length;
    this.changed();
  }

  #output(data: Buffer): void {
    this.#terminal.write(data);
    this.#log = Buffer.concat([this.#log, data]);
    const over = this.#log.length - LOG_BYTES;
    if (over > 0) {
      this.#log = this.#log.subarray(over);
      this.#base += over;
    }
    for (const viewer of this.#viewers.values()) this.#feed(viewer);
  }

  /** The bytes again stand for a picture of the screen: all that are kept, or the last rows. */
  #draw(viewer: Viewer, skipped: boolean): void {
    const size = this.info.winsize ?? { rows: 24, cols: 80 };
    let from = 0;
    if (skipped) {
      from = this.#log.length;
      for (let row = 0; row < size.rows && from > 0; row += 1) from = this.#log.lastIndexOf(10, from - 2) + 1;
    }
    const data = this.#log.subarray(from);
    const parts = Math.max(Math.ceil(data.length / OUTPUT_BYTES), 1);
    viewer.snapshot = Array.from({ length: parts }, (_, part) => ({
      case: "snapshot",
      value: {
        offset: BigInt(this.end),
        part,
        parts,
        data: data.subarray(part * OUTPUT_BYTES, (part + 1) * OUTPUT_BYTES),
        winsize: { rows: size.rows, cols: size.cols },
        skipped,
      },
    }));
    viewer.offset = this.end;
    viewer.wished = false;
  }

  #feed(viewer: Viewer): void {
    const room = (): number => viewer.window - (viewer.sent - viewer.rendered);
    const isBehind = viewer.offset < this.#base || this.end - viewer.offset > BACKLOG_BYTES + viewer.window;
    if (viewer.snapshot.length === 0 && room() > viewer.window / 2 && (viewer.wished || isBehind)) this.#draw(viewer, !viewer.wished);
    while (viewer.snapshot.length > 0 && room() > 0) {
      const part = viewer.snapshot.shift();
      if (part?.case !== "snapshot") return;
      viewer.sent += part.value.data?.length ?? 0;
      this.#send(viewer, part);
    }
    while (viewer.snapshot.length === 0 && viewer.offset >= this.#base && viewer.offset < this.end && room() > 0) {
      const at = viewer.offset - this.#base;
      const data = this.#log.subarray(at, at + Math.min(OUTPUT_BYTES, room()));
      this.#send(viewer, { case: "output", value: { offset: BigInt(viewer.offset), data } });
      viewer.offset += data.length;
      viewer.sent += data.length;
    }
  }

  #exited(code: number, signal: number): void {
    const exit = {
      $typeName: "chatcode.v1.Exit" as const,
      code,
      signal,
      durationMs: BigInt(Date.now()) - this.info.createdUnixMs,
      endedUnixMs: BigInt(Date.now()),
      outOfMemory: false,
    };
    this.info.state = SessionState.EXITED;
    this.info.exit = exit;
    for (const viewer of this.#viewers.values()) {
      this.#send(viewer, { case: "exited", value: { offset: BigInt(this.end), exit } });
      viewer.peer.end(Code.DONE, "");
    }
    this.#viewers.clear();
    this.changed();
  }

  #toShell(kind: "i" | "r", body: Buffer): void {
    if (this.info.state === SessionState.EXITED) return;
    const head = Buffer.alloc(5);
    head.write(kind, 0, "latin1");
    head.writeUInt32BE(body.length, 1);
    this.#shell.stdin.write(Buffer.concat([head, body]));
  }

  #send(viewer: Viewer, kind: Kind): void {
    const frame = create(ServerFrameSchema, { kind } as MessageInitShape<typeof ServerFrameSchema>);
    viewer.peer.send(toBinary(ServerFrameSchema, frame));
  }
}
