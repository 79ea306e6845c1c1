import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { beforeEach, describe, expect, it, vi, type Mock } from "vitest";

import { Code } from "../gen/chatcode/v1/code_pb";
import { Role } from "../gen/chatcode/v1/grant_pb";
import { ClientFrameSchema, ServerFrameSchema } from "../gen/chatcode/v1/terminal_pb";
import { INPUT_UNCONFIRMED_BYTES } from "../link/limits";
import type { LineEvents } from "../link/line";
import { Refusal } from "../link/refusal";
import type { Rpc } from "../link/rpc";
import { Attachment } from "./attachment";

/** What the mocked modules gave last. */
const made = vi.hoisted(() => ({ line: undefined as unknown, terminal: undefined as unknown }));

vi.mock("../link/line", async () => {
  const { Store } = await import("../store");
  class Line {
    readonly state = new Store({ phase: "open", since: 0 });
    constructor(_rpc: unknown, _url: string, _call: unknown, events: unknown) {
      made.line = events;
    }
    start = vi.fn();
    stop = vi.fn();
    send = vi.fn();
    stands = vi.fn();
    tryNow = vi.fn();
    fail = (refusal: Refusal): void => (made.line as LineEvents).closed(refusal);
  }
  return { Line, wakeOnReturn: () => () => undefined };
});

/** The page's terminal without a page: it counts what is drawn. */
vi.mock("@xterm/xterm", async () => {
  const { default: headless } = await import("@xterm/headless");
  class Renderer {
    drawn = 0;
    renderRows(): void {
      this.drawn += 1;
    }
    clear(): void {
      this.drawn += 1;
    }
  }
  class Terminal extends headless.Terminal {
    readonly renderer = new Renderer();
    /** Of programs, by number; a theme takes their place. */
    readonly colours = new Map<number, string>();
    constructor(...options: ConstructorParameters<typeof headless.Terminal>) {
      super(...options);
      const core = (this as unknown as Inside)._core;
      core._renderService = { _renderer: { value: this.renderer } };
      Object.setPrototypeOf(core, Object.assign(Object.create(Object.getPrototypeOf(core) as object), { _handleColorEvent: this.#color }));
      core._inputHandler.onColor((requests) => core._handleColorEvent(requests));
      core.optionsService.onSpecificOptionChange("theme", () => this.colours.clear());
      made.terminal = this;
    }
    readonly #color = (requests: ColourRequest[]): void => {
      for (const { index, color } of requests) {
        if (color !== undefined) this.colours.set(index ?? 0, String(color));
        else for (const each of index === undefined ? [...this.colours.keys()].filter((each) => each < 256) : [index]) this.colours.delete(each);
      }
    };
    registerLinkProvider(): void {}
    refresh(): void {}
  }
  return { Terminal };
});

vi.mock("../terminal/graphics", () => ({ hasGraphicsCard: () => false }));

interface ColourRequest {
  index?: number;
  color?: number[];
}
interface Inside {
  _core: {
    _renderService: object;
    _inputHandler: { onColor: (listen: (requests: ColourRequest[]) => void) => void };
    _handleColorEvent: (requests: ColourRequest[]) => void;
    optionsService: { onSpecificOptionChange: (option: string, listen: () => void) => void };
  };
}

type Kind = MessageInitShape<typeof ServerFrameSchema>["kind"];
interface Drawn {
  colours: Map<number, string>;
  renderer: { renderRows: () => void; drawn: number };
  write: (text: string, done: () => void) => void;
}

let attachment: Attachment;
let clipboard: string[];

beforeEach(() => {
  clipboard = [];
  vi.stubGlobal("matchMedia", () => ({ matches: true }));
  vi.stubGlobal("navigator", { userAgent: "test", clipboard: { writeText: async (text: string) => clipboard.push(text) } });
  vi.stubGlobal("document", { hidden: false });
  vi.stubGlobal("window", new EventTarget());
  vi.stubGlobal("sessionStorage", { getItem: () => null, setItem: () => undefined, removeItem: () => undefined });
  const look = { scheme: "dark", fontSize: 14, screenReader: false } as const;
  attachment = new Attachment({} as Rpc, "", "gateway", "session", new Uint8Array(16), look, () => "always");
});

const line = (): LineEvents => made.line as LineEvents;

function frame(kind: Kind): void {
  line().message(toBinary(ServerFrameSchema, create(ServerFrameSchema, { kind } as MessageInitShape<typeof ServerFrameSchema>)));
}

function attached(epoch: bigint, offset = 0, liveOffset = offset): void {
  line().opened();
  const [from, live] = [BigInt(offset), BigInt(liveOffset)];
  frame({ case: "attached", value: { version: 1, epoch, offset: from, liveOffset: live, role: Role.WRITER, viewer: 1 } });
}

function part(part: number, parts: number, offset = 0): void {
  frame({ case: "snapshot", value: { part, parts, offset: BigInt(offset), data: new TextEncoder().encode("half"), winsize: { rows: 5, cols: 20 } } });
}

async function parsed(): Promise<void> {
  const { write } = made.terminal as Drawn;
  await new Promise<void>((done) => write.call(made.terminal, "", done));
}

/** Whether what is drawn reaches the picture, after all that was written. */
async function isLive(): Promise<boolean> {
  const { renderer } = made.terminal as Drawn;
  await parsed();
  const before = renderer.drawn;
  renderer.renderRows();
  return renderer.drawn > before;
}

describe("a picture that is held while a snapshot comes", () => {
  beforeEach(async () => {
    attached(5n);
    expect(await isLive()).toBe(true);
    part(0, 2);
    expect(await isLive()).toBe(false);
  });

  it("is let go with the last part", async () => {
    part(1, 2);
    expect(await isLive()).toBe(true);
  });

  it("stays when the line broke, until the next snapshot is there", async () => {
    line().closed(new Refusal(Code.UNSPECIFIED, "broken"));
    expect(await isLive()).toBe(false);
    attached(5n);
    part(0, 1);
    expect(await isLive()).toBe(true);
  });

  it.each([Code.SESSION_ENDED, Code.UNKNOWN_SESSION, Code.FORBIDDEN, Code.FENCED, Code.DONE])("is let go by an end for good: %i", async (code) => {
    line().closed(new Refusal(code, "over"));
    expect(await isLive()).toBe(true);
  });

  it("is let go when the session's word says so", async () => {
    frame({ case: "closing", value: { code: Code.SESSION_ENDED, message: "over" } });
    expect(await isLive()).toBe(true);
  });

  it("is let go when another life has nothing to draw", async () => {
    line().closed(new Refusal(Code.UNSPECIFIED, "broken"));
    attached(6n);
    expect(await isLive()).toBe(true);
  });
});

/** What a program prints to put a text on the clipboard. */
const copy = (text: string): string => `\x1b]52;c;${Buffer.from(text).toString("base64")}\x07`;

function output(offset: number, text: string): void {
  frame({ case: "output", value: { offset: BigInt(offset), data: new TextEncoder().encode(text) } });
}

describe("the clipboard, where programs may always write it", () => {
  const early = copy("early");

  beforeEach(() => attachment.setVisible(true));

  it("takes what is printed while somebody looks", async () => {
    attached(5n);
    output(0, copy("seen"));
    await parsed();
    expect(clipboard).toEqual(["seen"]);
  });

  it("takes nothing that was printed before the page was back, also where one frame has both", async () => {
    attached(5n, 0, early.length);
    output(0, early + copy("seen"));
    await parsed();
    expect(clipboard).toEqual(["seen"]);
    line().closed(new Refusal(Code.UNSPECIFIED, "broken"));
    const next = early.length + copy("seen").length;
    attached(5n, next, next + 2 * early.length);
    output(next, early);
    output(next + early.length, early);
    output(next + 2 * early.length, copy("again"));
    await parsed();
    expect(clipboard).toEqual(["seen", "again"]);
  });

  it("takes nothing that waited in another tab of the page, or while the browser showed another", async () => {
    attached(5n);
    attachment.setVisible(false);
    output(0, early);
    attachment.setVisible(true);
    vi.stubGlobal("document", { hidden: true });
    output(early.length, early);
    vi.stubGlobal("document", { hidden: false });
    output(2 * early.length, copy("seen"));
    await parsed();
    expect(clipboard).toEqual(["seen"]);
  });

  it("takes nothing of which a part came while nobody looked", async () => {
    attached(5n, 0, 10);
    output(0, early);
    await parsed();
    frame({ case: "snapshot", value: { part: 0, parts: 1, offset: BigInt(early.length), data: new TextEncoder().encode(early.slice(0, 10)) } });
    output(early.length, early.slice(10));
    await parsed();
    expect(clipboard).toEqual([]);
  });
});

describe("colours that a program has set", () => {
  const set = "\x1b]4;1;#010203\x07\x1b]10;#111111;#222222;#333333\x07";
  const colours = async (): Promise<number[]> => {
    await parsed();
    return [...(made.terminal as Drawn).colours.keys()];
  };

  beforeEach(async () => {
    attached(5n);
    output(0, set);
    expect(await colours()).toEqual([1, 256, 257, 258]);
  });

  it("are over with a snapshot that has none, and not before it is there", async () => {
    part(0, 2, set.length);
    expect(await colours()).toEqual([1, 256, 257, 258]);
    part(1, 2, set.length);
    expect(await colours()).toEqual([]);
  });

  it("are over with the shell's life", async () => {
    line().closed(new Refusal(Code.UNSPECIFIED, "broken"));
    attached(6n);
    expect(await colours()).toEqual([]);
  });

  it("stay over another scheme", async () => {
    attachment.setLook({ scheme: "light", fontSize: 14, screenReader: false });
    expect(await colours()).toEqual([1, 256, 257, 258]);
  });
});

describe("keys after *Take over*", () => {
  const bytes = new TextEncoder();
  const frames = () => (attachment.line.send as unknown as Mock<(bytes: Uint8Array) => void>).mock.calls.map(([sent]) => fromBinary(ClientFrameSchema, sent).kind);
  const typed = (): string =>
    frames()
      .map((kind) => (kind.case === "input" ? new TextDecoder().decode(kind.value.data) : ""))
      .join("");
  const type = (keys: string): void => [...keys].forEach((key) => attachment.type(bytes.encode(key), true));
  const writes = (writer: number): void => frame({ case: "presence", value: { viewers: [], writer } });
  /** The holder has done all that was asked of it before. */
  const answered = (): void => {
    const stamp = frames().reduce((last, kind) => (kind.case === "ping" ? kind.value.stamp : last), 0n);
    frame({ case: "pong", value: { stamp } });
  };
  const nudges = (): number => attachment.status.get().refusedKeys;

  beforeEach(() => {
    attached(5n);
    writes(2);
    answered();
  });

  it("wait for the answer and go out once and in order with the lease", () => {
    attachment.takeOver();
    type("echo ");
    expect([frames().filter((kind) => kind.case === "takeLease").length, typed()]).toEqual([1, ""]);
    writes(1);
    type("one\r");
    answered();
    expect([typed(), nudges(), attachment.status.get().notices]).toEqual(["echo one\r", 0, []]);
  });

  it("wait on while the holder tells of others before it has come to the request", () => {
    attachment.takeOver();
    type("ls");
    writes(2);
    writes(1);
    expect([typed(), nudges()]).toEqual(["ls", 0]);
  });

  it("are dropped as a whole, with a nudge, when the lease is another's by the answer", () => {
    attachment.takeOver();
    type("rm");
    writes(3);
    answered();
    expect([typed(), nudges(), attachment.status.get().notices.length]).toEqual(["", 1, 1]);
    type("x");
    writes(1);
    expect([typed(), nudges()]).toEqual(["", 2]);
  });

  it("are kept over a break, and go out when the holder had given the lease", () => {
    attachment.takeOver();
    type("ec");
    line().closed(new Refusal(Code.UNSPECIFIED, "broken"));
    type("ho");
    attached(5n);
    writes(1);
    expect([typed(), nudges()]).toEqual(["echo", 0]);
  });

  it("are dropped as a whole over a break when the holder never heard of the request", () => {
    attachment.takeOver();
    type("ec");
    line().closed(new Refusal(Code.UNSPECIFIED, "broken"));
    type("ho");
    attached(5n);
    writes(2);
    answered();
    writes(1);
    expect([typed(), nudges(), attachment.status.get().notices.length]).toEqual(["", 1, 1]);
  });

  it("are as bounded as those that wait for a line, and reports of the terminal do not wait", () => {
    attachment.takeOver();
    attachment.type(bytes.encode("\x1b[I"), false);
    attachment.type(new Uint8Array(INPUT_UNCONFIRMED_BYTES + 1), true);
    type("x");
    writes(1);
    expect([typed(), attachment.status.get().notices.length]).toEqual(["x", 1]);
  });
});
