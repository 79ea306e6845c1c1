// The colours of the terminal, one set for each scheme of the page. Text has a
// contrast of 13 to 1 or more; of the sixteen all but black are legible on the
// ground, since programs print them there.

import type { ITheme } from "@xterm/xterm";

import type { Theme } from "../session/viewer";

export type Scheme = "dark" | "light";

const DARK: ITheme = {
  background: "#0d1213",
  foreground: "#d9ded6",
  cursor: "#f0b849",
  cursorAccent: "#0d1213",
  selectionBackground: "#2f5552",
  selectionInactiveBackground: "#35605c",
  overviewRulerBorder: "#00000000",
  scrollbarSliderBackground: "#d9ded620",
  scrollbarSliderHoverBackground: "#d9ded640",
  scrollbarSliderActiveBackground: "#d9ded660",
  black: "#3d4a4d",
  red: "#e5715f",
  green: "#86c07a",
  yellow: "#e0b050",
  blue: "#6ea8d9",
  magenta: "#c391cf",
  cyan: "#62bdb1",
  white: "#c3cac3",
  brightBlack: "#768585",
  brightRed: "#f59a87",
  brightGreen: "#a8d99b",
  brightYellow: "#f3cd7b",
  brightBlue: "#97c5ee",
  brightMagenta: "#dbb2e4",
  brightCyan: "#8dd9cd",
  brightWhite: "#f2f4ee",
};

const LIGHT: ITheme = {
  background: "#fdfbf5",
  foreground: "#242b2a",
  cursor: "#a86400",
  cursorAccent: "#fdfbf5",
  selectionBackground: "#cfe3dc",
  selectionInactiveBackground: "#b9d8cd",
  overviewRulerBorder: "#00000000",
  scrollbarSliderBackground: "#242b2a20",
  scrollbarSliderHoverBackground: "#242b2a38",
  scrollbarSliderActiveBackground: "#242b2a55",
  black: "#242b2a",
  red: "#b3392b",
  green: "#3d7635",
  yellow: "#8f6400",
  blue: "#2a659c",
  magenta: "#86489a",
  cyan: "#14766f",
  white: "#7d817a",
  brightBlack: "#6c736e",
  brightRed: "#cc4a39",
  brightGreen: "#4b8a41",
  brightYellow: "#a37500",
  brightBlue: "#3577b5",
  brightMagenta: "#9b59b0",
  brightCyan: "#1d8980",
  brightWhite: "#8b8f87",
};

/** How what was searched for is marked; the one in view is the selection. */
export function searchMarks(scheme: Scheme): { matchBackground: string; matchOverviewRuler: string; activeMatchColorOverviewRuler: string } {
  return scheme === "dark"
    ? { matchBackground: "#4a3c17", matchOverviewRuler: "#8a6a24", activeMatchColorOverviewRuler: "#f0b849" }
    : { matchBackground: "#f3dfa9", matchOverviewRuler: "#d3a34a", activeMatchColorOverviewRuler: "#a86400" };
}

export function terminalTheme(scheme: Scheme): ITheme {
  return scheme === "dark" ? DARK : LIGHT;
}

/** The colours that programs are told. */
export function toldTheme(scheme: Scheme): Theme {
  const { foreground, background, cursor } = terminalTheme(scheme);
  return { foreground: rgb(foreground), background: rgb(background), cursor: rgb(cursor) };
}

/** 0xRRGGBB of "#rrggbb". */
function rgb(colour = "#000000"): number {
  return Number.parseInt(colour.slice(1), 16);
}
