// xterm.js, held by one hand: bytes in with a word when they are on the
// screen, keys out, and nothing that output could do beyond drawing. No other
// file touches a Terminal, and none hands it out.

import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { Unicode11Addon } from "@xterm/addon-unicode11";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { WebglAddon } from "@xterm/addon-webgl";
import { Terminal } from "@xterm/xterm";

import { DEFAULT_HISTORY_LINES } from "../link/limits";
import { isMac } from "../platform";
import type { Size } from "../session/viewer";
import { ClipboardWrites } from "./clipboard-writes";
import { hasGraphicsCard } from "./graphics";
import { buttonCode, KeyCodes, withHeld } from "./key-codes";
import { KeyFlags } from "./key-flags.mjs";
import { isWebLink, openLink } from "./links";
import { Lookback, type LookbackEvents } from "./lookback";
import { mend } from "./mend.mjs";
import { cleanPaste, pasteRisk, type PasteRisk } from "./paste";
import { Picture } from "./picture";
import { ProgramColours } from "./program-colours.mjs";
import { swallowQueries } from "./queries";
import { searchMarks, terminalTheme, type Scheme } from "./themes";
import { WholeCharacters } from "./whole";

export interface ScreenEvents extends LookbackEvents {
  /** Keys, pastes, mouse and focus reports. `byHand`: somebody pressed a key. */
  typed(bytes: Uint8Array, byHand: boolean): void;
  /** The size that would fill the room there is. */
  fitted(size: Size): void;
  rang(): void;
  /** A program asks for the clipboard or sets it: the data of an OSC 52 that came whole while somebody looked. */
  clipboard(data: string): void;
  /** A paste that would run lines at once; call `go` to let it happen. */
  riskyPaste(risk: PasteRisk, go: () => void): void;
  /** The target of the link under the pointer. */
  hovered(link: string | undefined): void;
  searched(found: number, current: number): void;
}

export interface ScreenLook {
  scheme: Scheme;
  fontSize: number;
  screenReader: boolean;
}

const FONT = '"JetBrains Mono Variable", ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
const SMALLEST_FONT = 7;
const FIT_DELAY_MS = 40;
/** RIS, and the ends of all colours that programs have set, which it leaves. */
const RESET = new TextEncoder().encode("\x1bc\x1b]104\x07\x1b]110\x07\x1b]111\x07\x1b]112\x07");
const NOTHING = new Uint8Array(0);

export class Screen {
  readonly #terminal: Terminal;
  readonly #fit = new FitAddon();
  readonly #search = new SearchAddon();
  readonly #encoder = new TextEncoder();
  readonly #whole = new WholeCharacters();
  readonly #keyCodes = new KeyCodes(isMac());
  readonly #clipboard: ClipboardWrites;
  readonly #keyFlags: KeyFlags;
  readonly #colours: ProgramColours;
  readonly #picture: Picture;
  readonly #lookback: Lookback;
  #webgl: WebglAddon | undefined;
  #host: HTMLElement | undefined;
  #observer: ResizeObserver | undefined;
  #fitTimer: ReturnType<typeof setTimeout> | undefined;
  #ownSize = true;
  #size: Size | undefined;
  #fontSize: number;
  #scheme: Scheme;
  /** What is searched for. */
  #sought = "";
  #held: { key: "ctrl" | "alt"; used: () => void } | undefined;

  constructor(
    look: ScreenLook,
    private readonly events: ScreenEvents,
  ) {
    this.#fontSize = look.fontSize;
    this.#scheme = look.scheme;
    const link = {
      activate: (_: MouseEvent, uri: string) => void openLink(uri),
      hover: (_: MouseEvent, uri: string) => events.hovered(isWebLink(uri) ? uri : undefined),
      leave: () => events.hovered(undefined),
    };
    const terminal = new Terminal({
      allowProposedApi: true, // unicode 11
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      cursorStyle: "bar",
      cursorWidth: 2,
      cursorInactiveStyle: "outline",
      fontFamily: FONT,
      fontSize: look.fontSize,
      fontWeight: 400,
      fontWeightBold: 650,
      lineHeight: 1.2,
      // What a program prints is no fault of the page, and thousands of lines of it slow the console.
      logLevel: "off",
      linkHandler: { ...link, allowNonHttpProtocols: false },
      macOptionClickForcesSelection: true,
      overviewRuler: { width: 10 },
      scrollback: DEFAULT_HISTORY_LINES,
      screenReaderMode: look.screenReader,
      theme: terminalTheme(look.scheme),
    });
    this.#terminal = terminal;
    mend(terminal);
    terminal.loadAddon(new Unicode11Addon());
    terminal.unicode.activeVersion = "11";
    terminal.loadAddon(this.#fit);
    terminal.loadAddon(this.#search);
    terminal.loadAddon(new WebLinksAddon(link.activate, { hover: link.hover, leave: link.leave }));
    swallowQueries(terminal);
    this.#clipboard = new ClipboardWrites(terminal, (data) => events.clipboard(data));
    this.#keyFlags = new KeyFlags(terminal);
    this.#colours = new ProgramColours(terminal);
    this.#picture = new Picture(terminal, this.#colours);
    this.#lookback = new Lookback(terminal, events);
    terminal.onData((text) => this.#typed(text));
    terminal.onBinary((text) => events.typed(Uint8Array.from(text, (c) => c.charCodeAt(0)), false));
    terminal.onBell(() => events.rang());
    this.#search.onDidChangeResults(({ resultCount, resultIndex }) => events.searched(resultCount, resultIndex));
  }

  /** Puts the terminal into the page, once; afterwards `host` may move. */
  open(host: HTMLElement, keys: (event: KeyboardEvent) => boolean): void {
    this.#host = host;
    this.#terminal.open(host);
    this.#terminal.attachCustomKeyEventHandler((event) => keys(event) && this.#pressed(event));
    host.addEventListener("paste", this.#pasted, true);
    this.#lookback.open(host);
    this.#observer = new ResizeObserver(() => this.refit());
    this.#observer.observe(host);
    this.#markSize();
    this.refit();
  }

  /** Bytes of the session, and whether somebody looks as they come; `done` when they are on the screen. */
  write(data: Uint8Array, isSeen: boolean, done: () => void): void {
    this.#clipboard.mark(isSeen);
    this.#terminal.write(this.#whole.take(data), done);
  }

  /** An empty terminal, after all that was written. */
  reset(): void {
    this.#whole.clear();
    this.#terminal.write(RESET);
    this.drawn(false);
  }

  /** An empty terminal of this size for a snapshot that is written next; what is in view stays until `drawn`. */
  drawAnew(size: Size | undefined): void {
    this.#whole.clear();
    this.#then(() => {
      this.#lookback.begin();
      this.#picture.hold();
    });
    this.#terminal.write(RESET);
    if (size !== undefined) this.resized(size);
  }

  /** All of a snapshot was written; with `skipped` it has no history. */
  drawn(skipped: boolean): void {
    this.#then(() => {
      this.#lookback.end(skipped);
      this.#picture.release();
      if (this.#sought === "") return;
      this.#search.clearDecorations();
      this.find(this.#sought, true, false);
    });
  }

  /** The rest of a snapshot that has begun, if one has, will not come: what is there is shown. */
  brokenOff(): void {
    this.#then(() => {
      this.#lookback.brokenOff();
      this.#picture.release();
    });
  }

  /** The session's size from here on in the stream. */
  resized(size: Size): void {
    this.#then(() => {
      this.#size = size;
      this.#terminal.resize(size.cols, size.rows);
      this.#scale();
      this.#markSize();
    });
  }

  /** Whether the session follows our size, or we follow the session's. */
  setOwnSize(own: boolean): void {
    if (this.#ownSize === own) return;
    this.#ownSize = own;
    this.#scale();
    this.refit();
  }

  /** The session has ended and has no size any more: what is shown fits the room. */
  letGo(): void {
    this.#size = undefined;
    this.#scale();
    this.refit();
  }

  setLook(look: ScreenLook): void {
    this.#fontSize = look.fontSize;
    this.#scheme = look.scheme;
    this.#terminal.options.theme = terminalTheme(look.scheme);
    this.#colours.showAgain();
    this.#terminal.options.screenReaderMode = look.screenReader;
    this.#scale();
    this.refit();
  }

  /** Draws by the graphics card where there is one; a software one is slower than the page itself. */
  show(): void {
    if (this.#webgl === undefined && hasGraphicsCard()) {
      try {
        const webgl = new WebglAddon();
        webgl.onContextLoss(() => this.hide());
        this.#terminal.loadAddon(webgl);
        this.#webgl = webgl;
        // Drawn as text, xterm.js mends inverse colours for the wrong ground, so only here.
        this.#terminal.options.minimumContrastRatio = 3;
      } catch {
        this.#webgl = undefined;
      }
    }
    this.refit();
  }

  /** Gives the graphics card back; browsers have few contexts. */
  hide(): void {
    if (this.#webgl === undefined) return;
    this.#webgl.dispose();
    this.#webgl = undefined;
    this.#terminal.options.minimumContrastRatio = 1;
  }

  refit(): void {
    clearTimeout(this.#fitTimer);
    this.#fitTimer = setTimeout(() => this.#refitNow(), FIT_DELAY_MS);
  }

  focus(): void {
    this.#terminal.focus();
  }

  /** Types for a person who has no such key. */
  press(text: string): void {
    this.#terminal.input(buttonCode(text, this.#keyFlags.now), true);
  }

  /** The next key is pressed as if this one were held; `used` when it was. */
  hold(key: "ctrl" | "alt" | undefined, used: () => void): void {
    this.#held = key === undefined ? undefined : { key, used };
  }

  get applicationCursor(): boolean {
    return this.#terminal.modes.applicationCursorKeysMode;
  }

  get selection(): string {
    return this.#terminal.getSelection();
  }

  clearSelection(): void {
    this.#terminal.clearSelection();
  }

  selectAll(): void {
    this.#terminal.selectAll();
  }

  paste(text: string): void {
    const clean = cleanPaste(text);
    if (clean === "") return;
    const go = (): void => {
      this.#terminal.paste(clean);
      this.#terminal.focus();
    };
    const risk = pasteRisk(clean, this.#terminal.modes.bracketedPasteMode);
    if (risk === undefined) go();
    else this.events.riskyPaste(risk, go);
  }

  find(text: string, backwards: boolean, incremental: boolean): void {
    this.#sought = text;
    const decorations = searchMarks(this.#scheme);
    if (backwards) this.#search.findPrevious(text, { decorations });
    else this.#search.findNext(text, { decorations, incremental });
  }

  endFind(): void {
    this.#sought = "";
    this.#search.clearDecorations();
    this.#terminal.focus();
  }

  dispose(): void {
    clearTimeout(this.#fitTimer);
    this.#observer?.disconnect();
    this.#host?.removeEventListener("paste", this.#pasted, true);
    this.hide();
    this.#terminal.dispose();
  }

  /** Does something after all that was written. */
  #then(what: () => void): void {
    this.#terminal.write(NOTHING, what);
  }

  /** Tells a key as the program wants it; true when xterm.js is to do so. */
  #pressed(event: KeyboardEvent): boolean {
    const text = this.#keyCodes.encode(event, this.#keyFlags.now);
    if (text === undefined) return true;
    event.preventDefault();
    event.stopPropagation();
    if (event.type === "keydown") this.#terminal.input(text, true);
    else this.events.typed(this.#encoder.encode(text), false);
    return false;
  }

  #typed(text: string): void {
    const byHand = !isReport(text);
    const held = byHand ? this.#held : undefined;
    this.#held = byHand ? undefined : this.#held;
    const told = held === undefined ? text : withHeld(held.key, text, this.#keyFlags.now);
    this.events.typed(this.#encoder.encode(told), byHand);
    held?.used();
  }

  readonly #pasted = (event: ClipboardEvent): void => {
    event.preventDefault();
    event.stopPropagation();
    this.paste(event.clipboardData?.getData("text/plain") ?? "");
  };

  #refitNow(): void {
    const host = this.#host;
    if (host === undefined || host.clientWidth === 0 || host.clientHeight === 0) return;
    const fits = this.#fitAtFullSize();
    if (fits === undefined) return;
    if (!this.#ownSize) this.#scale();
    this.events.fitted(fits);
    if (this.#size === undefined) {
      this.#terminal.resize(fits.cols, fits.rows);
      this.#markSize();
    }
  }

  /** Rows and columns that the room holds at the font size that the person chose. */
  #fitAtFullSize(): Size | undefined {
    const now = this.#fit.proposeDimensions();
    if (now === undefined || !Number.isFinite(now.cols) || !Number.isFinite(now.rows)) return undefined;
    const scale = (this.#terminal.options.fontSize ?? this.#fontSize) / this.#fontSize;
    return { cols: Math.max(Math.floor(now.cols * scale), 2), rows: Math.max(Math.floor(now.rows * scale), 1) };
  }

  /** A size that is not ours is shown smaller until it fits; below the smallest font it scrolls. */
  #scale(): void {
    const size = this.#size;
    let wanted = this.#fontSize;
    if (!this.#ownSize && size !== undefined) {
      const fits = this.#fitAtFullSize();
      if (fits === undefined) return;
      const shrink = Math.min(fits.cols / size.cols, fits.rows / size.rows, 1);
      wanted = Math.max(Math.floor(this.#fontSize * shrink * 2) / 2, SMALLEST_FONT);
    }
    if (this.#terminal.options.fontSize !== wanted) this.#terminal.options.fontSize = wanted;
  }

  /** For tests and for people who look at the page's source. */
  #markSize(): void {
    const host = this.#host;
    if (host === undefined) return;
    host.dataset["cols"] = String(this.#terminal.cols);
    host.dataset["rows"] = String(this.#terminal.rows);
  }
}

/** Reports of the terminal's own (focus, mouse), not keys. */
function isReport(text: string): boolean {
  // eslint-disable-next-line no-control-regex
  return /^\x1b\[(?:[IO]$|<|M)/u.test(text);
}
