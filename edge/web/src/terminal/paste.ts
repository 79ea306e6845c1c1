// What comes from the clipboard is text of unknown origin.

/** Lines that a paste without brackets would run at once. */
export interface PasteRisk {
  lines: number;
  preview: string;
}

const PREVIEW_CHARS = 400;

/**
 * The text without control characters except tab and line ends, so that it can
 * neither close the brackets around it (ESC [201~) nor press a key.
 */
export function cleanPaste(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/gu, "");
}

/** What to ask before a paste; nothing when the program brackets pastes or it is one line. */
export function pasteRisk(clean: string, bracketed: boolean): PasteRisk | undefined {
  if (bracketed) return undefined;
  const lines = clean.split(/\r\n|\r|\n/u);
  if (lines.length < 2) return undefined;
  const count = lines[lines.length - 1] === "" ? lines.length - 1 : lines.length;
  const preview = clean.length > PREVIEW_CHARS ? `${clean.slice(0, PREVIEW_CHARS)}…` : clean;
  return { lines: count, preview };
}
