// Programs ask terminals what they are. An answer is input, so exactly one
// viewer gives it, only while the question is live, and never for a replay.

import type { IDisposable, Terminal } from "@xterm/xterm";

/** OSC numbers whose data may hold a question ("?") instead of a value. */
const COLOUR_QUERIES = [4, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19];

/** Swallows every query while `mayAnswer` says no; asked at the moment the query is parsed. */
export function guardQueries(terminal: Terminal, mayAnswer: () => boolean): IDisposable[] {
  const { parser } = terminal;
  const swallow = (): boolean => !mayAnswer();
  const never = (): boolean => true;
  return [
    // Device attributes: primary, secondary, tertiary.
    parser.registerCsiHandler({ final: "c" }, swallow),
    parser.registerCsiHandler({ prefix: ">", final: "c" }, swallow),
    parser.registerCsiHandler({ prefix: "=", final: "c" }, swallow),
    // Status and cursor position.
    parser.registerCsiHandler({ final: "n" }, swallow),
    parser.registerCsiHandler({ prefix: "?", final: "n" }, swallow),
    // Modes.
    parser.registerCsiHandler({ intermediates: "$", final: "p" }, swallow),
    parser.registerCsiHandler({ prefix: "?", intermediates: "$", final: "p" }, swallow),
    // Keyboard protocol and version.
    parser.registerCsiHandler({ prefix: "?", final: "u" }, swallow),
    parser.registerCsiHandler({ prefix: ">", final: "q" }, swallow),
    // Settings (DECRQSS) and capabilities (XTGETTCAP).
    parser.registerDcsHandler({ intermediates: "$", final: "q" }, swallow),
    parser.registerDcsHandler({ intermediates: "+", final: "q" }, swallow),
    ...COLOUR_QUERIES.map((osc) => parser.registerOscHandler(osc, (data) => data.includes("?") && swallow())),
    // Window reports (a title could come back as typed text) and the clipboard: never.
    parser.registerCsiHandler({ final: "t" }, never),
    parser.registerOscHandler(52, never),
  ];
}
