// Programs ask terminals what they are. The session's holder answers, once for
// all who look on; a page never does.

import type { Terminal } from "@xterm/xterm";

/** OSC that set colours, or ask for them with "?" instead of a value, and what xterm.js does for them. */
const COLOURS = {
  4: "setOrReportIndexedColor",
  10: "setOrReportFgColor",
  11: "setOrReportBgColor",
  12: "setOrReportCursorColor",
} as const;

interface Inside {
  _core: { _inputHandler: Record<(typeof COLOURS)[keyof typeof COLOURS], (data: string) => boolean> };
}

const QUERIES = [
  // Device attributes: primary, secondary, tertiary.
  { final: "c" },
  { prefix: ">", final: "c" },
  { prefix: "=", final: "c" },
  // Status and cursor position.
  { final: "n" },
  { prefix: "?", final: "n" },
  // Modes.
  { intermediates: "$", final: "p" },
  { prefix: "?", intermediates: "$", final: "p" },
  // Keyboard protocol and version.
  { prefix: "?", final: "u" },
  { prefix: ">", final: "q" },
  // Window reports: a title could come back as typed text.
  { final: "t" },
];

/** Settings (DECRQSS) and capabilities (XTGETTCAP). */
const STRINGS = [
  { intermediates: "$", final: "q" },
  { intermediates: "+", final: "q" },
];

/** Keeps the terminal from answering. */
export function swallowQueries(terminal: Terminal): void {
  const { parser } = terminal;
  const swallow = (): boolean => true;
  for (const query of QUERIES) parser.registerCsiHandler(query, swallow);
  for (const query of STRINGS) parser.registerDcsHandler(query, swallow);
  const { _inputHandler: handler } = (terminal as unknown as Inside)._core;
  for (const [osc, set] of Object.entries(COLOURS)) parser.registerOscHandler(Number(osc), (data) => handler[set](withoutQuestions(data)));
}

/** No colour in the place of each question: the others keep theirs. */
function withoutQuestions(data: string): string {
  return data
    .split(";")
    .map((part) => (part === "?" ? "" : part))
    .join(";");
}
