// One viewer's live connection to one session: the rules, the line and the
// screen put together. It lives as long as its tab.

import { fromBinary, toBinary } from "@bufbuild/protobuf";

import { Code } from "../gen/chatcode/v1/code_pb";
import { Role } from "../gen/chatcode/v1/grant_pb";
import type { Exit } from "../gen/chatcode/v1/sessions_pb";
import { ClientFrameSchema, ServerFrameSchema, type ClientFrame, type Presence } from "../gen/chatcode/v1/terminal_pb";
import { Line, wakeOnReturn } from "../link/line";
import { fromError, Refusal } from "../link/refusal";
import type { Rpc } from "../link/rpc";
import { Store } from "../store";
import { Screen, type ScreenLook } from "../terminal/screen";
import type { PasteRisk } from "../terminal/paste";
import { bytesText } from "../words";
import { REMEMBERED } from "./viewer-id";
import { Viewer, type Remembered, type ViewerEvent } from "./viewer";

const ATTACH = "/chatcode.v1.Terminal/Attach";

/** Output is given to the screen in pieces of this size, so that credit goes out while it draws. */
const PIECE_BYTES = 16 * 1024;

/** More notices than this push the oldest out. */
const NOTICES = 4;

/** Something to say outside of the terminal; stays until it is read. */
export interface Notice {
  id: number;
  kind: "gap" | "input";
  text: string;
  /** Of a gap: how many were skipped. */
  bytes: number;
}

export interface AttachmentStatus {
  attached: boolean;
  /** Whether it was attached in this page's life. */
  seen: boolean;
  role: Role;
  /** Our number in `presence`. */
  viewer: number;
  presence: Presence | undefined;
  title: string;
  name: string;
  exit: Exit | undefined;
  exited: boolean;
  /** Round trip to the holder and back. */
  rttMs: number | undefined;
  notices: readonly Notice[];
  /** Bytes that wait for the line to come back. */
  kept: number;
  risk: { risk: PasteRisk; go: () => void } | undefined;
  link: string | undefined;
  search: { found: number; current: number };
  /** Counts keys that did nothing because somebody else types. */
  refusedKeys: number;
  rang: boolean;
  /** There is output that nobody looked at. */
  unseen: boolean;
}

const FIRST: AttachmentStatus = {
  attached: false,
  seen: false,
  role: Role.WRITER,
  viewer: 0,
  presence: undefined,
  title: "",
  name: "",
  exit: undefined,
  exited: false,
  rttMs: undefined,
  notices: [],
  kept: 0,
  risk: undefined,
  link: undefined,
  search: { found: 0, current: -1 },
  refusedKeys: 0,
  rang: false,
  unseen: false,
};

export class Attachment {
  readonly status = new Store<AttachmentStatus>(FIRST);
  readonly screen: Screen;
  readonly line: Line;
  readonly #viewer: Viewer;
  readonly #forget: () => void;
  readonly #remember = (): void => this.#store();
  readonly #key: string;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires. */
  #armed = Infinity;
  #notices = 0;
  #visible = false;
  #writerAnswers = false;

  constructor(
    rpc: Rpc,
    socketUrl: string,
    readonly gateway: string,
    readonly session: string,
    viewerId: Uint8Array,
    look: ScreenLook,
  ) {
    this.#key = `${REMEMBERED}${session}`;
    this.#viewer = new Viewer(viewerId, Role.WRITER, remembered(this.#key));
    this.screen = new Screen(look, {
      typed: (bytes, byHand) => this.type(bytes, byHand),
      fitted: (size) => {
        this.#viewer.resize(size);
        this.#flush();
        // The first frame carries the size, so the line waits for it.
        if (this.line.state.get().phase === "idle") this.line.start();
      },
      rang: () => this.status.patch({ rang: !this.#visible }),
      riskyPaste: (risk, go) => this.status.patch({ risk: { risk, go } }),
      hovered: (link) => this.status.patch({ link }),
      searched: (found, current) => this.status.patch({ search: { found, current } }),
    });
    this.line = new Line(rpc, socketUrl, { method: ATTACH, gateway, session }, {
      opened: () => this.#send(this.#viewer.attach(performance.now())),
      message: (bytes) => this.#message(bytes),
      closed: (refusal) => this.#closed(refusal),
    });
    this.#forget = wakeOnReturn(this.line.tryNow);
    window.addEventListener("pagehide", this.#remember);
  }

  /** Typed bytes: sent at once, or kept until the line is back. */
  type(bytes: Uint8Array, byHand: boolean): void {
    const viewer = this.#viewer;
    const { exited, refusedKeys } = this.status.get();
    if (exited) return;
    if (!viewer.mayType) {
      if (byHand) this.status.patch({ refusedKeys: refusedKeys + 1 });
      return;
    }
    // Reports are worth nothing later.
    if (!byHand && !viewer.isAttached) return;
    const taken = viewer.pushInput(bytes);
    if (taken < bytes.length) this.#notice("input", `${bytesText(bytes.length - taken)} of input had no room and were not kept`);
    this.#flush();
    this.#tellKept();
  }

  takeOver(): void {
    this.#viewer.takeLease();
    this.#flush();
  }

  handOver(viewer: number): void {
    this.#viewer.handOver(viewer);
    this.#flush();
  }

  /** Forgets what was typed while the line was down. */
  dropKept(): void {
    this.#viewer.dropUnsent();
    this.#tellKept();
  }

  dismiss(id: number): void {
    this.status.patch({ notices: this.status.get().notices.filter((notice) => notice.id !== id) });
  }

  dismissRisk(): void {
    this.status.patch({ risk: undefined });
    this.screen.focus();
  }

  /** Dials again after an end that was final: another page took the place, say. */
  again(): void {
    this.line.start();
  }

  setVisible(visible: boolean): void {
    this.#visible = visible;
    if (visible) {
      this.status.patch({ rang: false, unseen: false });
      this.screen.show();
    } else {
      this.screen.hide();
    }
  }

  /** Leaves for good: the lease is free at once. */
  close(): void {
    if (this.#viewer.isAttached) this.#send(this.#viewer.detach());
    this.#forget();
    this.#disarm();
    window.removeEventListener("pagehide", this.#remember);
    sessionStorage.removeItem(this.#key);
    this.line.stop();
    this.screen.dispose();
  }

  #message(bytes: Uint8Array): void {
    try {
      const events = this.#viewer.handleFrame(performance.now(), fromBinary(ServerFrameSchema, bytes));
      for (const event of events) this.#apply(event);
    } catch (error) {
      this.line.fail(error instanceof Refusal ? error : new Refusal(Code.PROTOCOL, fromError(error).message));
      return;
    }
    this.#flush();
  }

  #apply(event: ViewerEvent): void {
    switch (event.kind) {
      case "output": {
        const { data, live } = event;
        for (let at = 0; at < data.length; at += PIECE_BYTES) this.#show(data.subarray(at, at + PIECE_BYTES), live);
        if (!this.#visible && live) this.status.patch({ unseen: true });
        break;
      }
      case "rtt":
        this.status.patch({ rttMs: event.ms });
        break;
      case "attached":
        this.#writerAnswers = event.writerAnswers;
        this.line.stands();
        this.status.patch({ attached: true, seen: true, role: event.role, viewer: event.viewer, exited: false, exit: undefined });
        if (event.session !== undefined) this.status.patch({ name: event.session.name });
        break;
      case "reset":
        this.#reset(event.skipped);
        break;
      case "presence":
        this.status.patch({ presence: event.presence });
        this.#leaseChanged();
        break;
      case "resized":
        this.screen.resized(event.size);
        break;
      case "titled":
        this.status.patch({ title: event.title, name: event.name });
        break;
      case "exited":
        this.status.patch({ exited: true, exit: event.exit });
        break;
      case "closing":
        throw event.refusal;
      case "input-refused":
        this.#notice("input", `${bytesText(event.bytes)} of input were not taken: ${refusedBecause(event.code)}`);
        break;
      case "input-unknown":
        this.#notice("input", `${bytesText(event.bytes)} of input were on their way when the session's keeper ended; nobody knows whether they arrived`);
        break;
      case "input-lost":
        this.#notice("input", `${bytesText(event.bytes)} of input typed before the reload did not arrive`);
        break;
    }
    this.#tellKept();
  }

  #show(piece: Uint8Array, live: boolean): void {
    this.screen.write(piece, live, () => {
      this.#viewer.handleRendered(performance.now(), piece.length);
      this.#flush();
    });
  }

  #reset(skipped: { from: number; to: number } | undefined): void {
    if (skipped === undefined) {
      this.screen.reset();
      return;
    }
    const bytes = skipped.to - skipped.from;
    this.screen.reset(`${bytesText(bytes)} skipped`);
    this.#gap(bytes);
  }

  #leaseChanged(): void {
    const own = this.#viewer.holdsLease;
    this.screen.setAnswers(own && this.#writerAnswers);
    this.screen.setOwnSize(this.#viewer.mayType);
  }

  #closed(refusal: Refusal): void {
    this.#viewer.handleDisconnect();
    this.#disarm();
    this.screen.setAnswers(false);
    this.status.patch({ attached: false, rttMs: undefined });
    // DONE and SESSION_ENDED after the exit are the natural end of the call.
    if (refusal.code === Code.SESSION_ENDED) this.status.patch({ exited: true });
    this.#tellKept();
  }

  #flush(): void {
    const now = performance.now();
    for (let frame = this.#viewer.pollFrame(now); frame !== undefined; frame = this.#viewer.pollFrame(now)) this.#send(frame);
    this.#arm();
  }

  #send(frame: ClientFrame): void {
    this.line.send(toBinary(ClientFrameSchema, frame) as Uint8Array<ArrayBuffer>);
  }

  /** One timer for the rules' next deadline. */
  #arm(): void {
    const due = this.#viewer.nextTimeout() ?? Infinity;
    if (due >= this.#armed) return;
    this.#disarm();
    this.#armed = due;
    this.#timer = setTimeout(() => this.#timeout(), Math.max(due - performance.now(), 0));
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    this.#armed = Infinity;
  }

  #timeout(): void {
    this.#armed = Infinity;
    try {
      this.#viewer.handleTimeout(performance.now());
    } catch (error) {
      this.line.fail(fromError(error));
      return;
    }
    this.#flush();
  }

  #tellKept(): void {
    this.status.patch({ kept: this.#viewer.isAttached ? 0 : this.#viewer.unconfirmed });
  }

  #notice(kind: Notice["kind"], text: string, bytes = 0): void {
    this.#notices += 1;
    const notices = [...this.status.get().notices, { id: this.#notices, kind, text, bytes }].slice(-NOTICES);
    this.status.patch({ notices });
  }

  /** One notice for all gaps since it was last dismissed. */
  #gap(bytes: number): void {
    const { notices } = this.status.get();
    const before = notices.find(({ kind }) => kind === "gap");
    const skipped = (before?.bytes ?? 0) + bytes;
    this.status.patch({ notices: notices.filter((notice) => notice !== before) });
    this.#notice("gap", `${bytesText(skipped)} of output skipped`, skipped);
  }

  #store(): void {
    const state = this.#viewer.remember();
    if (state !== undefined) sessionStorage.setItem(this.#key, JSON.stringify(state));
  }
}

function refusedBecause(code: Code): string {
  return code === Code.NOT_WRITER ? "somebody else types here" : "the session cannot take them";
}

function remembered(key: string): Remembered | undefined {
  try {
    const value = JSON.parse(sessionStorage.getItem(key) ?? "null") as Partial<Remembered> | null;
    if (value === null || typeof value.epoch !== "string" || typeof value.inputEnd !== "number") return undefined;
    return { epoch: value.epoch, inputEnd: value.inputEnd };
  } catch {
    return undefined;
  }
}
