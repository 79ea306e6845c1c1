// Keys as escape codes, for programs that asked for them by the kitty keyboard
// protocol. What they do not want so, xterm.js tells as ever.

/** The flags of the protocol. */
const DISAMBIGUATE = 1;
const EVENT_TYPES = 2;
const ALTERNATE_KEYS = 4;
const ALL_KEYS = 8;
const TEXT = 16;
/** With one of these, keys that are no text are escape codes: event types alone make no sense otherwise. */
const ESCAPES = DISAMBIGUATE | EVENT_TYPES | ALL_KEYS;

const [SHIFT, ALT, CTRL, SUPER, CAPS_LOCK, NUM_LOCK] = [1, 2, 4, 8, 64, 128] as const;
const [PRESS, REPEAT, RELEASE] = [1, 2, 3] as const;

/** What is read of a KeyboardEvent. */
export type Key = Pick<
  KeyboardEvent,
  "altKey" | "code" | "ctrlKey" | "getModifierState" | "isComposing" | "key" | "keyCode" | "metaKey" | "repeat" | "shiftKey" | "type"
>;

/** Number and last letter of `CSI number ; modifiers letter`, by KeyboardEvent.key. */
const FUNCTIONAL: Readonly<Record<string, readonly [number, string]>> = {
  ArrowUp: [1, "A"],
  ArrowDown: [1, "B"],
  ArrowRight: [1, "C"],
  ArrowLeft: [1, "D"],
  End: [1, "F"],
  Home: [1, "H"],
  Insert: [2, "~"],
  Delete: [3, "~"],
  PageUp: [5, "~"],
  PageDown: [6, "~"],
  F1: [1, "P"],
  F2: [1, "Q"],
  F3: [13, "~"],
  F4: [1, "S"],
  F5: [15, "~"],
  F6: [17, "~"],
  F7: [18, "~"],
  F8: [19, "~"],
  F9: [20, "~"],
  F10: [21, "~"],
  F11: [23, "~"],
  F12: [24, "~"],
  ...unicodes(57376, "F13 F14 F15 F16 F17 F18 F19 F20 F21 F22 F23 F24 F25"),
  Escape: [27, "u"],
  Enter: [13, "u"],
  Tab: [9, "u"],
  Backspace: [127, "u"],
  ...unicodes(57358, "CapsLock ScrollLock NumLock PrintScreen Pause ContextMenu"),
};
/** Keys of the keypad, by KeyboardEvent.code, while they are text. */
const KEYPAD: Readonly<Record<string, readonly [number, string]>> = {
  ...unicodes(57399, "Numpad0 Numpad1 Numpad2 Numpad3 Numpad4 Numpad5 Numpad6 Numpad7 Numpad8 Numpad9"),
  ...unicodes(57409, "NumpadDecimal NumpadDivide NumpadMultiply NumpadSubtract NumpadAdd NumpadEnter NumpadEqual NumpadComma"),
};
/** The same by KeyboardEvent.key, while they are not. */
const KEYPAD_FUNCTIONAL = unicodes(57417, "ArrowLeft ArrowRight ArrowUp ArrowDown PageUp PageDown Home End Insert Delete Clear");
const MODIFIERS: Readonly<Record<string, readonly [number, string]>> = {
  ...unicodes(57441, "ShiftLeft ControlLeft AltLeft MetaLeft"),
  ...unicodes(57447, "ShiftRight ControlRight AltRight MetaRight"),
};
const MODIFIER_KEYS: readonly string[] = ["Shift", "Control", "Alt", "AltGraph", "Meta", "CapsLock", "NumLock", "ScrollLock"];
/** They tell what they always did, so that a person can type `reset` after a program that broke off. */
const PLAIN_KEYS: readonly string[] = ["Enter", "Tab", "Backspace"];
/** What a key that is being composed is called. */
const UNFINISHED: readonly string[] = ["Dead", "Process", "Unidentified"];
/** KeyboardEvent.keyCode of a key that goes to an input method. */
const COMPOSED = 229;

/** Each key of the standard layout by its code, without and with Shift. */
const STANDARD: Readonly<Record<string, string>> = {
  ...Object.fromEntries([..."abcdefghijklmnopqrstuvwxyz"].map((c) => [`Key${c.toUpperCase()}`, c + c.toUpperCase()])),
  ...Object.fromEntries([..."1234567890"].map((c, i) => [`Digit${c}`, c + "!@#$%^&*()".charAt(i)])),
  Backquote: "`~",
  Backslash: "\\|",
  BracketLeft: "[{",
  BracketRight: "]}",
  Comma: ",<",
  Equal: "=+",
  Minus: "-_",
  Period: ".>",
  Quote: "'\"",
  Semicolon: ";:",
  Slash: "/?",
  Space: "  ",
};

/** The keys of one terminal: a release is told only of a key that was pressed in it. */
export class KeyCodes {
  readonly #down = new Set<string>();

  constructor(private readonly isMac: boolean) {}

  /** What the key is to a program with these flags; undefined: what it is without the protocol. */
  encode(event: Key, flags: number): string | undefined {
    const wasDown = event.type === "keyup" && this.#down.delete(event.code);
    if ((flags & ESCAPES) === 0 || isOthers(event)) return undefined;
    if (event.type === "keydown") this.#down.add(event.code);
    else if (!wasDown || (flags & EVENT_TYPES) === 0) return undefined;
    return this.#encode(event, flags);
  }

  #encode(event: Key, flags: number): string | undefined {
    const text = isOne(event.key) ? event.key : "";
    const held = modifiers(event, flags, text !== "" && this.#isThirdLevel(event));
    const kind = event.type === "keyup" ? RELEASE : event.repeat && (flags & EVENT_TYPES) !== 0 ? REPEAT : PRESS;
    if ((flags & ALL_KEYS) === 0 && isPlain(event, text, held, kind)) return undefined;
    const [number, last] = numberOf(event, text) ?? [];
    if (number === undefined || last === undefined) return undefined;
    const isKeyOfText = text !== "" && last === "u" && KEYPAD[event.code] === undefined;
    const codes = isKeyOfText && (flags & ALTERNATE_KEYS) !== 0 ? alternates(event, number) : String(number);
    const types = kind === PRESS ? "" : `:${kind}`;
    const hasText = (flags & TEXT) !== 0 && (flags & ALL_KEYS) !== 0 && kind !== RELEASE && (held & (ALT | CTRL)) === 0;
    const fields = [codes, held === 0 && types === "" ? "" : `${held + 1}${types}`, hasText ? codesOf(text) : ""];
    while (fields.at(-1) === "") fields.pop();
    return `\x1b[${fields.length === 1 && codes === "1" ? "" : fields.join(";")}${last}`;
  }

  /** AltGr, or Option on a Mac, belongs to the character then. */
  #isThirdLevel(event: Key): boolean {
    return event.getModifierState("AltGraph") || (this.isMac && event.altKey && !event.ctrlKey);
  }
}

/** What a button of the page for a key tells to a program with these flags. */
export function buttonCode(text: string, flags: number): string {
  if ((flags & ESCAPES) === 0) return text;
  if (text === "\x1b") return "\x1b[27u";
  if (text === "\x03") return `\x1b[99;${CTRL + 1}u`;
  return text.replace("\x1bO", "\x1b[");
}

/** What a character tells to it while such a button holds Ctrl or Alt. */
export function withHeld(key: "ctrl" | "alt", text: string, flags: number): string {
  const code = text.charCodeAt(0);
  if ((flags & ESCAPES) !== 0 && isOne(text) && code >= 0x20 && code !== 0x7f) {
    return `\x1b[${lowerCode(text)};${(key === "ctrl" ? CTRL : ALT) + 1}u`;
  }
  if (key === "alt") return `\x1b${text}`;
  if (text === " ") return "\0";
  const upper = text.toUpperCase();
  return text.length === 1 && upper >= "@" && upper <= "_" ? String.fromCharCode(upper.charCodeAt(0) & 0x1f) : text;
}

/** Keys of an input method, the browser and the system; with Shift alone also those that scroll and paste. */
function isOthers(event: Key): boolean {
  if (event.isComposing || event.keyCode === COMPOSED || UNFINISHED.includes(event.key)) return true;
  if (event.metaKey && event.key !== "Meta") return true;
  if (event.altKey) return false;
  if (event.key === "Insert") return event.shiftKey !== event.ctrlKey;
  return event.shiftKey && !event.ctrlKey && (event.key === "PageUp" || event.key === "PageDown");
}

/** Whether the key is no escape code as long as not all are. */
function isPlain(event: Key, text: string, held: number, kind: number): boolean {
  if (MODIFIER_KEYS.includes(event.key)) return true;
  if (text !== "") return kind !== RELEASE && (held & (ALT | CTRL)) === 0;
  return PLAIN_KEYS.includes(event.key) && event.code !== "NumpadEnter" && (held === 0 || kind === RELEASE);
}

function modifiers(event: Key, flags: number, isThirdLevel: boolean): number {
  const locks = (flags & ALL_KEYS) !== 0;
  return (
    (event.shiftKey ? SHIFT : 0) |
    (event.altKey && !isThirdLevel ? ALT : 0) |
    (event.ctrlKey && !isThirdLevel ? CTRL : 0) |
    (event.metaKey ? SUPER : 0) |
    (locks && event.getModifierState("CapsLock") ? CAPS_LOCK : 0) |
    (locks && event.getModifierState("NumLock") ? NUM_LOCK : 0)
  );
}

function numberOf(event: Key, text: string): readonly [number, string] | undefined {
  if (event.key === "AltGraph") return [57453, "u"];
  const modifier = MODIFIERS[event.code];
  if (modifier !== undefined) return modifier;
  if (event.code.startsWith("Numpad")) return KEYPAD_FUNCTIONAL[event.key] ?? KEYPAD[event.code];
  return text === "" ? FUNCTIONAL[event.key] : [unshifted(event), "u"];
}

/** The code of the key without Shift, as far as the browser lets one know the layout. */
function unshifted({ code, key, shiftKey }: Key): number {
  const [plain, shifted] = STANDARD[code] ?? "";
  const isSign = code.startsWith("Digit") && key.toLowerCase() === key;
  return shiftKey && plain !== undefined && (key === shifted || isSign) ? lowerCode(plain) : lowerCode(key);
}

/** `code:with Shift:in the standard layout`, the last two only when they tell more. */
function alternates(event: Key, code: number): string {
  const own = event.key.codePointAt(0);
  const [plain] = STANDARD[event.code] ?? "";
  const fields = [code, event.shiftKey && own !== code ? own : "", plain !== undefined && lowerCode(plain) !== code ? lowerCode(plain) : ""];
  while (fields.at(-1) === "") fields.pop();
  return fields.join(":");
}

function lowerCode(text: string): number {
  const lower = text.toLowerCase();
  return (isOne(lower) ? lower : text).codePointAt(0) ?? 0;
}

function codesOf(text: string): string {
  return [...text].map((c) => c.codePointAt(0)).join(":");
}

function isOne(text: string): boolean {
  return [...text].length === 1;
}

function unicodes(first: number, names: string): Record<string, readonly [number, string]> {
  return Object.fromEntries(names.split(" ").map((name, at) => [name, [first + at, "u"] as const]));
}
