// How the page looks and what it lets programs do, remembered on this device.

import { Store } from "../store";
import { CLIPBOARD_POLICIES, type ClipboardPolicy } from "../terminal/clipboard";
import type { Scheme } from "../terminal/themes";

export type SchemeChoice = "auto" | Scheme;

export interface Look {
  choice: SchemeChoice;
  fontSize: number;
  screenReader: boolean;
  /** Whether programs may write the clipboard. */
  clipboard: ClipboardPolicy;
}

const KEY = "chatcode.look";
const FIRST: Look = { choice: "auto", fontSize: 14, screenReader: false, clipboard: "never" };
const FONT_SIZES = { smallest: 9, largest: 28 };

const dark = matchMedia("(prefers-color-scheme: dark)");

export class LookKeeper {
  readonly look = new Store<Look>(read());
  /** The scheme that is in force. */
  readonly scheme = new Store<Scheme>(resolve(read().choice));

  constructor() {
    dark.addEventListener("change", () => this.#apply());
    this.#apply();
  }

  set(change: Partial<Look>): void {
    const fontSize = Math.min(Math.max(change.fontSize ?? this.look.get().fontSize, FONT_SIZES.smallest), FONT_SIZES.largest);
    this.look.patch({ ...change, fontSize });
    localStorage.setItem(KEY, JSON.stringify(this.look.get()));
    this.#apply();
  }

  cycleScheme(): void {
    const next: Record<SchemeChoice, SchemeChoice> = { auto: "dark", dark: "light", light: "auto" };
    this.set({ choice: next[this.look.get().choice] });
  }

  #apply(): void {
    const { choice } = this.look.get();
    const scheme = resolve(choice);
    document.documentElement.dataset["scheme"] = scheme;
    this.scheme.set(scheme);
  }
}

function resolve(choice: SchemeChoice): Scheme {
  if (choice !== "auto") return choice;
  return dark.matches ? "dark" : "light";
}

function read(): Look {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Look>;
    return {
      choice: stored.choice === "dark" || stored.choice === "light" ? stored.choice : "auto",
      fontSize: typeof stored.fontSize === "number" ? stored.fontSize : FIRST.fontSize,
      screenReader: stored.screenReader === true,
      clipboard: CLIPBOARD_POLICIES.find((policy) => policy === stored.clipboard) ?? FIRST.clipboard,
    };
  } catch {
    return FIRST;
  }
}
