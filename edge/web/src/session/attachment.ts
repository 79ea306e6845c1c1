// One viewer's live connection to one session: the rules, the line and the
// screen put together. It lives as long as its tab.

import { fromBinary, toBinary } from "@bufbuild/protobuf";

import { Code } from "../gen/chatcode/v1/code_pb";
import { Role } from "../gen/chatcode/v1/grant_pb";
import type { Exit } from "../gen/chatcode/v1/sessions_pb";
import {
  ClientFrameSchema,
  ServerFrameSchema,
  type Attached,
  type ClientFrame,
  type Presence,
} from "../gen/chatcode/v1/terminal_pb";
import { smooth } from "../link/latency";
import { INPUT_UNCONFIRMED_BYTES, VIEWER_SILENCE_MS } from "../link/limits";
import { Line, wakeOnReturn } from "../link/line";
import { fromError, isTransient, Refusal } from "../link/refusal";
import type { Rpc } from "../link/rpc";
import { Store } from "../store";
import { ProgramsClipboard, type ClipboardPolicy } from "../terminal/clipboard";
import { Screen, type ScreenLook } from "../terminal/screen";
import { toldTheme } from "../terminal/themes";
import type { PasteRisk } from "../terminal/paste";
import { bytesText } from "../words";
import { forget, lostBytes, recall, remember } from "./remembered";
import { Viewer, type Remembered, type ViewerEvent } from "./viewer";

const ATTACH = "/chatcode.v1.Terminal/Attach";

/** Output is given to the screen in pieces of this size, so that credit goes out while it draws. */
const PIECE_BYTES = 16 * 1024;

/** More notices than this push the oldest out. */
const NOTICES = 4;

/** A paste with more on its way than this is told of while it goes. */
const LONG_PASTE_BYTES = 256 * 1024;

/** Something to say outside of the terminal; stays until it is read. */
export interface Notice {
  id: number;
  text: string;
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
  /** The life of the holder that was attached to last; 0n: none. */
  epoch: bigint;
  /** Round trip to the holder and back. */
  rttMs: number | undefined;
  notices: readonly Notice[];
  /** Lines that scrolled away are not here, because the page was behind. */
  skipped: boolean;
  /** They were asked for. */
  asked: boolean;
  /** Bytes that wait for the line to come back. */
  kept: number;
  /** Bytes of a long paste that are on their way; 0 while there is none. */
  going: number;
  risk: { risk: PasteRisk; go: () => void } | undefined;
  link: string | undefined;
  /** What a program would put on the clipboard; the person decides. */
  offered: string | undefined;
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
  epoch: 0n,
  rttMs: undefined,
  notices: [],
  skipped: false,
  asked: false,
  kept: 0,
  going: 0,
  risk: undefined,
  link: undefined,
  offered: undefined,
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
  /** Of the page before a reload; until this one has attached. */
  #before: Remembered | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires. */
  #armed = Infinity;
  /** When the oldest ping was sent since something was heard. */
  #asked: number | undefined;
  #notices = 0;
  #visible = false;
  /** Where the output ended when this attachment began: nobody looked before. */
  #live = 0;

  constructor(
    rpc: Rpc,
    socketUrl: string,
    readonly gateway: string,
    readonly session: string,
    viewerId: Uint8Array,
    look: ScreenLook,
    clipboardPolicy: () => ClipboardPolicy,
  ) {
    this.#before = recall(session);
    this.#viewer = new Viewer(viewerId, Role.WRITER);
    this.#viewer.setTheme(toldTheme(look.scheme));
    const clipboard = new ProgramsClipboard({
      policy: clipboardPolicy,
      isInView: () => this.#isInView,
      write: async (text) => navigator.clipboard.writeText(text),
      ask: (offered) => this.status.patch({ offered }),
    });
    this.screen = new Screen(look, {
      typed: (bytes, byHand) => this.type(bytes, byHand),
      fitted: (size) => {
        this.#viewer.resize(size);
        this.#flush();
        // The first frame carries the size, so the line waits for it.
        if (this.line.state.get().phase === "idle") this.line.start();
      },
      rang: () => this.status.patch({ rang: !this.#visible }),
      clipboard: (data) => clipboard.set(data),
      riskyPaste: (risk, go) => this.status.patch({ risk: { risk, go } }),
      hovered: (link) => this.status.patch({ link }),
      searched: (found, current) => this.status.patch({ search: { found, current } }),
      lacks: (skipped) => this.status.patch(skipped ? { skipped } : { skipped, asked: false }),
      lookedBack: () => this.askForSkipped(),
    });
    this.line = new Line(rpc, socketUrl, { method: ATTACH, gateway, session }, {
      opened: () => this.#send(this.#viewer.attach()),
      message: (bytes) => this.#message(bytes),
      closed: (refusal) => this.#closed(refusal),
    });
    this.#forget = wakeOnReturn(this.line.tryNow);
    window.addEventListener("pagehide", this.#remember);
  }

  /** Typed bytes: sent at once, or kept until the line is back or the lease is there. */
  type(bytes: Uint8Array, byHand: boolean): void {
    const viewer = this.#viewer;
    const { exited, role } = this.status.get();
    if (exited) return;
    if (!viewer.takesInput || role !== Role.WRITER) {
      if (byHand) this.#nudge();
      return;
    }
    // Reports are worth nothing later.
    if (!byHand && !(viewer.isAttached && viewer.mayType)) return;
    // A part of a paste is worse than none, and would not end the paste for the program.
    if (bytes.length > viewer.room) {
      this.#notice(`${bytesText(bytes.length)} at once are more than can wait (${bytesText(INPUT_UNCONFIRMED_BYTES)} in all); nothing of it was sent. Copy it to the machine as a file.`);
      return;
    }
    viewer.pushInput(bytes);
    this.#flush();
    this.#tellKept();
  }

  /** Asks for the lines that were skipped, once. */
  askForSkipped(): void {
    const { attached, skipped, asked } = this.status.get();
    if (!attached || !skipped || asked) return;
    this.status.patch({ asked: true });
    this.#viewer.requestSnapshot();
    this.#flush();
  }

  /** Searches, also in what was skipped. */
  find(text: string, backwards: boolean, incremental: boolean): void {
    this.askForSkipped();
    this.screen.find(text, backwards, incremental);
  }

  setLook(look: ScreenLook): void {
    this.screen.setLook(look);
    this.#viewer.setTheme(toldTheme(look.scheme));
    this.#flush();
  }

  /** Takes the lease; keys that are typed until the answer wait for it. */
  takeOver(): void {
    this.#viewer.takeOver(performance.now());
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

  /** The person has decided on it. */
  dismissOffered(): void {
    this.status.patch({ offered: undefined });
    this.screen.focus();
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
    this.#viewer.detach();
    this.#flush();
    this.#forget();
    this.#disarm();
    window.removeEventListener("pagehide", this.#remember);
    forget(this.session);
    this.line.stop();
    this.screen.dispose();
  }

  #message(bytes: Uint8Array): void {
    this.#asked = undefined;
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
      case "output":
        this.#output(event.data, event.offset);
        break;
      case "snapshot":
        if (event.part === 0) this.screen.drawAnew(event.size);
        this.#show(event.data, false);
        if (event.part + 1 === event.parts) this.screen.drawn(event.skipped);
        break;
      case "rtt":
        this.status.patch({ rttMs: smooth(this.status.get().rttMs, event.ms) });
        break;
      case "attached":
        this.#attached(event.attached);
        break;
      case "reset":
        this.screen.reset();
        break;
      case "presence":
        this.status.patch({ presence: event.presence });
        this.screen.setOwnSize(this.#viewer.mayType);
        break;
      case "resized":
        this.screen.resized(event.size);
        break;
      case "titled":
        this.status.patch({ title: event.title, name: event.name });
        break;
      case "exited":
        this.status.patch({ exited: true, exit: event.exit });
        this.screen.letGo();
        break;
      case "closing":
        throw event.refusal;
      case "input-refused":
        if (event.code === Code.NOT_WRITER) this.#nudge();
        this.#notice(`${bytesText(event.to - event.from)} of input were not taken: ${refusedBecause(event.code)}`);
        break;
      case "input-unknown":
        this.#notice(`${bytesText(event.bytes)} of input were on their way when the session's holder lost track of them; nobody knows whether they arrived`);
        break;
    }
    this.#tellKept();
  }

  #attached({ epoch, inputOffset, liveOffset, role, viewer, session }: Attached): void {
    this.line.stands();
    this.#live = Number(liveOffset);
    this.status.patch({ attached: true, seen: true, role, viewer, epoch, exited: false, exit: undefined });
    if (session !== undefined) this.status.patch({ name: session.name });
    const lost = lostBytes(this.#before, { epoch, inputOffset });
    this.#before = undefined;
    if (lost > 0) this.#notice(`${bytesText(lost)} of input typed before the reload did not arrive`);
  }

  get #isInView(): boolean {
    return this.#visible && !document.hidden;
  }

  #output(data: Uint8Array, offset: number): void {
    const missed = Math.min(Math.max(this.#live - offset, 0), data.length);
    this.#show(data.subarray(0, missed), false);
    this.#show(data.subarray(missed), this.#isInView);
  }

  #show(data: Uint8Array, isSeen: boolean): void {
    for (let at = 0; at < data.length; at += PIECE_BYTES) {
      const piece = data.subarray(at, at + PIECE_BYTES);
      this.screen.write(piece, isSeen, () => {
        this.#viewer.handleRendered(performance.now(), piece.length);
        this.#flush();
      });
    }
    if (!this.#visible) this.status.patch({ unseen: true });
  }

  #closed(refusal: Refusal): void {
    this.#viewer.handleDisconnect();
    this.#asked = undefined;
    this.#disarm();
    this.status.patch({ attached: false, asked: false, rttMs: undefined });
    // DONE and SESSION_ENDED after the exit are the natural end of the call.
    if (refusal.code === Code.SESSION_ENDED) this.status.patch({ exited: true });
    if (!isTransient(refusal.code)) this.screen.brokenOff();
    this.#tellKept();
  }

  #flush(): void {
    const now = performance.now();
    for (let frame = this.#viewer.pollFrame(now); frame !== undefined; frame = this.#viewer.pollFrame(now)) this.#send(frame);
    this.#arm();
  }

  #send(frame: ClientFrame): void {
    if (frame.kind.case === "ping") this.#asked ??= performance.now();
    this.line.send(toBinary(ClientFrameSchema, frame) as Uint8Array<ArrayBuffer>);
  }

  /** One timer for what is due next: of the rules, or silence that is too long. */
  #arm(): void {
    const silent = this.#asked === undefined ? Infinity : this.#asked + VIEWER_SILENCE_MS;
    const due = Math.min(this.#viewer.nextTimeout ?? Infinity, silent);
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
    if (this.#asked !== undefined && performance.now() - this.#asked >= VIEWER_SILENCE_MS) {
      this.line.fail(new Refusal(Code.TIMEOUT, "the session went silent"));
      return;
    }
    this.#flush();
  }

  #tellKept(): void {
    const { isAttached, unconfirmed } = this.#viewer;
    this.status.patch({ kept: isAttached ? 0 : unconfirmed, going: isAttached && unconfirmed > LONG_PASTE_BYTES ? unconfirmed : 0 });
  }

  /** Points at who types here. */
  #nudge(): void {
    this.status.patch({ refusedKeys: this.status.get().refusedKeys + 1 });
  }

  #notice(text: string): void {
    this.#notices += 1;
    this.status.patch({ notices: [...this.status.get().notices, { id: this.#notices, text }].slice(-NOTICES) });
  }

  #store(): void {
    const state = this.#viewer.remember();
    if (state !== undefined) remember(this.session, state);
  }
}

function refusedBecause(code: Code): string {
  if (code === Code.NOT_WRITER) return "somebody else types here";
  return code === Code.SESSION_ENDED ? "they were typed for a shell that has ended" : "the session cannot take them";
}
