// What programs write to the clipboard (OSC 52), as far as the person lets them.

import { CLIPBOARD_BYTES } from "../link/limits";
import { cleanPaste } from "./paste";

export const CLIPBOARD_POLICIES = ["never", "ask", "always"] as const;
/** Whether programs may write the clipboard. */
export type ClipboardPolicy = (typeof CLIPBOARD_POLICIES)[number];

/** Clipboard and primary selection, which a browser has one of. */
const SELECTIONS = /^[cps]*$/u;

export interface ClipboardWorld {
  policy(): ClipboardPolicy;
  /** Whether the session is the one that is looked at. */
  isInView(): boolean;
  write(text: string): Promise<void>;
  /** Lets the person decide on the text, and no longer on an earlier one. */
  ask(text: string): void;
}

/** The clipboard as the programs of one session see it; at most one text is being written, and one waits. */
export class ProgramsClipboard {
  #next: string | undefined;
  #isWriting = false;

  constructor(private readonly world: ClipboardWorld) {}

  /** Data of an OSC 52. */
  set(data: string): void {
    const policy = this.world.policy();
    if (policy === "never" || !this.world.isInView()) return;
    const text = clipboardText(data);
    if (text === undefined) return;
    if (policy === "ask") this.world.ask(text);
    else void this.#write(text);
  }

  async #write(text: string): Promise<void> {
    this.#next = text;
    if (this.#isWriting) return;
    this.#isWriting = true;
    for (let next = this.#take(); next !== undefined; next = this.#take()) {
      try {
        await this.world.write(next);
      } catch {
        // The browser wants the person's own click.
        this.world.ask(next);
      }
    }
    this.#isWriting = false;
  }

  #take(): string | undefined {
    const next = this.#next;
    this.#next = undefined;
    return next;
  }
}

/** The text in the data of an OSC 52, without control characters but tab and newline; undefined: a question, or no such text. */
export function clipboardText(data: string): string | undefined {
  const at = data.indexOf(";");
  const base64 = data.slice(at + 1);
  if (at < 0 || !SELECTIONS.test(data.slice(0, at)) || base64.length > Math.ceil(CLIPBOARD_BYTES / 3) * 4) return undefined;
  try {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    if (bytes.length > CLIPBOARD_BYTES) return undefined;
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return cleanPaste(text.replace(/\r\n?/gu, "\n")) || undefined;
  } catch {
    return undefined;
  }
}
