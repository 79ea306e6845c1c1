// Programs ask terminals what they are. The session's holder answers, once for
// all who look on; a page never does.

import type { Terminal } from "@xterm/xterm";

/** OSC numbers whose data may hold a question ("?") instead of a value. */
const COLOURS = [4, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19];

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
export function swallowQueries({ parser }: Terminal): void {
  const swallow = (): boolean => true;
  for (const query of QUERIES) parser.registerCsiHandler(query, swallow);
  for (const query of STRINGS) parser.registerDcsHandler(query, swallow);
  for (const osc of COLOURS) parser.registerOscHandler(osc, (data) => data.includes("?"));
}
