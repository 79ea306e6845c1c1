import headless from "@xterm/headless";
import { describe, expect, it } from "vitest";

import { buttonCode, KeyCodes, withHeld, type Key } from "./key-codes";
import { KeyFlags } from "./key-flags.mjs";

const [DISAMBIGUATE, EVENT_TYPES, ALTERNATE_KEYS, ALL_KEYS, TEXT] = [1, 2, 4, 8, 16] as const;
const AS_EVER = undefined;

interface Given extends Partial<Omit<Key, "getModifierState">> {
  /** Of CapsLock, NumLock and AltGraph. */
  on?: string[];
}

/** "Ctrl+Shift+C": the event of a standard keyboard. */
function key(name: string, given: Given = {}): Key {
  const parts = name === "+" ? ["+"] : name.split("+");
  const last = parts.at(-1) ?? "";
  const on = given.on ?? [];
  return {
    altKey: parts.includes("Alt"),
    code: /^[a-z]$/iu.test(last) ? `Key${last.toUpperCase()}` : /^\d$/u.test(last) ? `Digit${last}` : last,
    ctrlKey: parts.includes("Ctrl"),
    isComposing: false,
    key: last,
    keyCode: 0,
    metaKey: parts.includes("Meta"),
    repeat: false,
    shiftKey: parts.includes("Shift"),
    type: "keydown",
    ...given,
    getModifierState: (modifier) => on.includes(modifier),
  };
}

function pressed(name: string, flags: number, given: Given = {}, isMac = false): string | undefined {
  return new KeyCodes(isMac).encode(key(name, given), flags)?.replace("\x1b[", "CSI ");
}

/** A press and a release. */
function released(name: string, flags: number, given: Given = {}): string | undefined {
  const codes = new KeyCodes(false);
  codes.encode(key(name, given), flags);
  return codes.encode(key(name, { ...given, type: "keyup" }), flags)?.replace("\x1b[", "CSI ");
}

describe("keys without the protocol", () => {
  it.each(["a", "Enter", "Escape", "Shift+Enter", "Ctrl+c", "ArrowUp", "F1"])("%s is what it ever was", (name) => {
    expect(pressed(name, 0)).toBe(AS_EVER);
    expect(pressed(name, ALTERNATE_KEYS | TEXT)).toBe(AS_EVER);
    expect(released(name, 0)).toBe(AS_EVER);
  });
});

describe("disambiguated keys", () => {
  it.each([
    ["a", AS_EVER],
    ["Shift+A", AS_EVER],
    ["Enter", AS_EVER],
    ["Tab", AS_EVER],
    ["Backspace", AS_EVER],
    ["Shift+Enter", "CSI 13;2u"],
    ["Ctrl+Enter", "CSI 13;5u"],
    ["Alt+Enter", "CSI 13;3u"],
    ["Shift+Tab", "CSI 9;2u"],
    ["Ctrl+Backspace", "CSI 127;5u"],
    ["Escape", "CSI 27u"],
    ["Ctrl+i", "CSI 105;5u"],
    ["Ctrl+m", "CSI 109;5u"],
    ["Ctrl+c", "CSI 99;5u"],
    ["Ctrl+Shift+C", "CSI 99;6u"],
    ["Alt+b", "CSI 98;3u"],
    ["Ctrl+Alt+Shift+B", "CSI 98;8u"],
    ["ArrowUp", "CSI A"],
    ["Ctrl+ArrowLeft", "CSI 1;5D"],
    ["Home", "CSI H"],
    ["Shift+End", "CSI 1;2F"],
    ["Insert", "CSI 2~"],
    ["Alt+Delete", "CSI 3;3~"],
    ["PageUp", "CSI 5~"],
    ["Ctrl+PageDown", "CSI 6;5~"],
    ["F1", "CSI P"],
    ["Shift+F2", "CSI 1;2Q"],
    ["F3", "CSI 13~"],
    ["Ctrl+F4", "CSI 1;5S"],
    ["F5", "CSI 15~"],
    ["F12", "CSI 24~"],
    ["F13", "CSI 57376u"],
    ["F24", "CSI 57387u"],
    ["ContextMenu", "CSI 57363u"],
  ])("%s", (name, expected) => {
    expect(pressed(name, DISAMBIGUATE)).toBe(expected);
  });

  it("a modifier or a lock alone is nothing", () => {
    for (const name of ["Shift", "Control", "Alt", "Meta", "CapsLock", "NumLock"]) expect(pressed(name, DISAMBIGUATE | EVENT_TYPES)).toBe(AS_EVER);
  });

  it("locks change nothing", () => {
    const on = ["CapsLock", "NumLock"];
    expect(pressed("ArrowUp", DISAMBIGUATE, { on })).toBe("CSI A");
    expect(pressed("Enter", DISAMBIGUATE, { on })).toBe(AS_EVER);
    expect(pressed("Ctrl+C", DISAMBIGUATE, { on })).toBe("CSI 99;5u");
  });

  it("signs with Shift are told by the key below them", () => {
    expect(pressed("Ctrl+Shift+!", DISAMBIGUATE, { code: "Digit1" })).toBe("CSI 49;6u");
    expect(pressed("Ctrl+Shift+?", DISAMBIGUATE, { code: "Slash" })).toBe("CSI 47;6u");
    expect(pressed('Ctrl+Shift+"', DISAMBIGUATE, { code: "Digit2" })).toBe("CSI 50;6u");
    expect(pressed("Ctrl+ ", DISAMBIGUATE, { code: "Space" })).toBe("CSI 32;5u");
  });

  it("the keypad is told from the other keys, unless it types text", () => {
    expect(pressed("Enter", DISAMBIGUATE, { code: "NumpadEnter" })).toBe("CSI 57414u");
    expect(pressed("Home", DISAMBIGUATE, { code: "Numpad7" })).toBe("CSI 57423u");
    expect(pressed("Clear", DISAMBIGUATE, { code: "Numpad5" })).toBe("CSI 57427u");
    expect(pressed("Delete", DISAMBIGUATE, { code: "NumpadDecimal" })).toBe("CSI 57426u");
    expect(pressed("7", DISAMBIGUATE, { code: "Numpad7" })).toBe(AS_EVER);
    expect(pressed("Ctrl+7", DISAMBIGUATE, { code: "Numpad7" })).toBe("CSI 57406;5u");
  });
});

describe("keys that are not the program's", () => {
  const all = DISAMBIGUATE | EVENT_TYPES | ALTERNATE_KEYS | ALL_KEYS | TEXT;

  it("the system's and the browser's", () => {
    for (const name of ["Meta+c", "Meta+v", "Meta+Shift+Enter"]) expect(pressed(name, all)).toBe(AS_EVER);
  });

  it("those that scroll, copy and paste", () => {
    for (const name of ["Shift+PageUp", "Shift+PageDown", "Shift+Insert", "Ctrl+Insert"]) expect(pressed(name, all)).toBe(AS_EVER);
  });

  it("those of an input method", () => {
    expect(pressed("a", all, { isComposing: true })).toBe(AS_EVER);
    expect(pressed("a", all, { keyCode: 229 })).toBe(AS_EVER);
    for (const name of ["Dead", "Process", "Unidentified"]) expect(pressed(name, all)).toBe(AS_EVER);
  });

  it("characters that AltGr or Option write", () => {
    expect(pressed("Ctrl+Alt+@", DISAMBIGUATE, { code: "KeyQ", on: ["AltGraph"] })).toBe(AS_EVER);
    expect(pressed("Alt+å", DISAMBIGUATE, { code: "KeyA" }, true)).toBe(AS_EVER);
    expect(pressed("Alt+Enter", DISAMBIGUATE, {}, true)).toBe("CSI 13;3u");
  });

  it("the second event of a key, which only text has", () => {
    expect(pressed("Shift+Enter", DISAMBIGUATE, { type: "keypress" })).toBe(AS_EVER);
    expect(pressed("a", all, { type: "keypress" })).toBe(AS_EVER);
  });
});

describe("types of events", () => {
  const flags = DISAMBIGUATE | EVENT_TYPES;

  it.each([
    ["ArrowUp", "CSI 1;1:3A"],
    ["Ctrl+ArrowUp", "CSI 1;5:3A"],
    ["Escape", "CSI 27;1:3u"],
    ["Delete", "CSI 3;1:3~"],
    ["Ctrl+c", "CSI 99;5:3u"],
    ["a", "CSI 97;1:3u"],
    ["Enter", AS_EVER],
    ["Shift+Enter", AS_EVER],
    ["Tab", AS_EVER],
    ["Backspace", AS_EVER],
  ])("the release of %s", (name, expected) => {
    expect(released(name, flags)).toBe(expected);
    expect(released(name, DISAMBIGUATE)).toBe(AS_EVER);
  });

  it("where all keys are escape codes Enter has a release too", () => {
    expect(released("Enter", EVENT_TYPES | ALL_KEYS)).toBe("CSI 13;1:3u");
  });

  it("a repeat is one only for who asked", () => {
    expect(pressed("ArrowUp", flags, { repeat: true })).toBe("CSI 1;1:2A");
    expect(pressed("ArrowUp", DISAMBIGUATE, { repeat: true })).toBe("CSI A");
    expect(pressed("Shift+Enter", flags, { repeat: true })).toBe("CSI 13;2:2u");
    expect(pressed("a", flags, { repeat: true })).toBe(AS_EVER);
  });

  it("a release is told once, and only of a key that was pressed here", () => {
    const codes = new KeyCodes(false);
    const up = key("ArrowUp", { type: "keyup" });
    expect(codes.encode(up, flags)).toBe(AS_EVER);
    codes.encode(key("ArrowUp"), 0);
    expect(codes.encode(up, flags), "pressed before anybody asked").toBe(AS_EVER);
    codes.encode(key("ArrowUp"), flags);
    expect(codes.encode(up, flags)).toBe("\x1b[1;1:3A");
    expect(codes.encode(up, flags)).toBe(AS_EVER);
  });
});

describe("alternate keys", () => {
  const flags = DISAMBIGUATE | ALTERNATE_KEYS;

  it("the key with Shift, and the one in its place on a standard keyboard", () => {
    expect(pressed("Ctrl+Shift+A", flags)).toBe("CSI 97:65;6u");
    expect(pressed("Ctrl+a", flags)).toBe("CSI 97;5u");
    expect(pressed("Ctrl+с", flags, { code: "KeyC" })).toBe("CSI 1089::99;5u");
    expect(pressed("Ctrl+Shift+С", flags, { code: "KeyC" })).toBe("CSI 1089:1057:99;6u");
  });

  it("other keys have none", () => {
    expect(pressed("Shift+Enter", flags)).toBe("CSI 13;2u");
    expect(pressed("Shift+ArrowUp", flags)).toBe("CSI 1;2A");
    expect(pressed("Ctrl+7", flags, { code: "Numpad7" })).toBe("CSI 57406;5u");
  });
});

describe("all keys as escape codes", () => {
  it.each([
    ["a", "CSI 97u"],
    ["Shift+A", "CSI 97;2u"],
    ["Enter", "CSI 13u"],
    ["Tab", "CSI 9u"],
    ["Backspace", "CSI 127u"],
    ["Escape", "CSI 27u"],
    ["é", "CSI 233u"],
    ["😀", "CSI 128512u"],
  ])("%s", (name, expected) => {
    expect(pressed(name, ALL_KEYS)).toBe(expected);
  });

  it("modifiers and locks are keys", () => {
    expect(pressed("Shift", ALL_KEYS, { code: "ShiftLeft", shiftKey: true })).toBe("CSI 57441;2u");
    expect(pressed("Control", ALL_KEYS, { code: "ControlRight", ctrlKey: true })).toBe("CSI 57448;5u");
    expect(pressed("Meta", ALL_KEYS, { code: "MetaLeft", metaKey: true })).toBe("CSI 57444;9u");
    expect(pressed("AltGraph", ALL_KEYS, { code: "AltRight" })).toBe("CSI 57453u");
    expect(pressed("CapsLock", ALL_KEYS, { on: ["CapsLock"] })).toBe("CSI 57358;65u");
    expect(released("Shift", ALL_KEYS | EVENT_TYPES, { code: "ShiftLeft", shiftKey: false })).toBe("CSI 57441;1:3u");
  });

  it("a character that AltGr or Option writes is a key of its own", () => {
    expect(pressed("Ctrl+Alt+@", ALL_KEYS, { code: "KeyQ", on: ["AltGraph"] })).toBe("CSI 64u");
    expect(pressed("Alt+å", ALL_KEYS | TEXT, { code: "KeyA" }, true)).toBe("CSI 229;;229u");
  });

  it("locks that are on are told", () => {
    expect(pressed("A", ALL_KEYS, { on: ["CapsLock"] })).toBe("CSI 97;65u");
    expect(pressed("ArrowUp", ALL_KEYS, { on: ["NumLock"] })).toBe("CSI 1;129A");
  });

  it("with the text that they write, if it is wanted", () => {
    const flags = ALL_KEYS | TEXT;
    expect(pressed("a", flags)).toBe("CSI 97;;97u");
    expect(pressed("Shift+A", flags | ALTERNATE_KEYS)).toBe("CSI 97:65;2;65u");
    expect(pressed("a", flags | EVENT_TYPES, { repeat: true })).toBe("CSI 97;1:2;97u");
    expect(released("a", flags | EVENT_TYPES)).toBe("CSI 97;1:3u");
    expect(pressed("Ctrl+a", flags)).toBe("CSI 97;5u");
    expect(pressed("Enter", flags)).toBe("CSI 13u");
    expect(pressed("7", flags, { code: "Numpad7" })).toBe("CSI 57406;;55u");
    expect(pressed("a", DISAMBIGUATE | TEXT), "which only comes with all keys").toBe(AS_EVER);
  });
});

describe("keys of the page's row", () => {
  it("are as ever without the protocol", () => {
    for (const text of ["\x1b", "\x03", "\t", "\x1b[A", "\x1bOA", "|"]) expect(buttonCode(text, 0)).toBe(text);
    expect(withHeld("ctrl", "c", 0)).toBe("\x03");
    expect(withHeld("ctrl", " ", 0)).toBe("\0");
    expect(withHeld("ctrl", "[", 0)).toBe("\x1b");
    expect(withHeld("ctrl", "é", 0)).toBe("é");
    expect(withHeld("ctrl", "1", 0)).toBe("1");
    expect(withHeld("alt", "\x1b[A", 0)).toBe("\x1b\x1b[A");
  });

  it("are escape codes with it", () => {
    expect(buttonCode("\x1b", DISAMBIGUATE)).toBe("\x1b[27u");
    expect(buttonCode("\x03", DISAMBIGUATE)).toBe("\x1b[99;5u");
    expect(buttonCode("\x1bOA", DISAMBIGUATE)).toBe("\x1b[A");
    expect(buttonCode("\t", DISAMBIGUATE)).toBe("\t");
    expect(withHeld("ctrl", "C", DISAMBIGUATE)).toBe("\x1b[99;5u");
    expect(withHeld("alt", "b", DISAMBIGUATE)).toBe("\x1b[98;3u");
    expect(withHeld("ctrl", "\r", DISAMBIGUATE)).toBe("\r");
  });
});

describe("what programs want", () => {
  async function flagsAfter(output: string): Promise<number> {
    const terminal = new headless.Terminal({ allowProposedApi: true });
    const flags = new KeyFlags(terminal as never);
    await new Promise<void>((resolve) => terminal.write(output, resolve));
    terminal.dispose();
    return flags.now;
  }

  it.each([
    ["", 0],
    ["\x1b[>1u", 1],
    ["\x1b[>1u\x1b[=6;2u", 7],
    ["\x1b[>7u\x1b[=2;3u", 5],
    ["\x1b[>5u\x1b[>3u\x1b[<u", 5],
    ["\x1b[>5u\x1b[<9u", 0],
    ["\x1b[>255u", 31],
    ["\x1b[>5u\x1b[?1049h", 0],
    ["\x1b[>5u\x1b[?1049h\x1b[>3u\x1b[?1049l", 5],
    ["\x1b[>5u\x1b[?1049h\x1b[>3u\x1b[?1049l\x1b[?1049h", 3],
    ["\x1b[>5u\x1b[!p", 0],
    ["\x1b[>5u\x1bc", 0],
    [`\x1b[=4u${"\x1b[>1u".repeat(1000)}\x1b[<15u`, 1],
    [`\x1b[=4u${"\x1b[>1u".repeat(1000)}\x1b[<16u`, 0],
  ])("%j", async (output, expected) => {
    expect(await flagsAfter(output)).toBe(expected);
  });
});
