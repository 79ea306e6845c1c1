// Numbers and times as people read them.

const UNITS = ["bytes", "kB", "MB", "GB"] as const;

export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  if (unit === 0) return `${value} ${value === 1 ? "byte" : "bytes"}`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[unit] ?? ""}`;
}

/** "<0.1 ms", "0.4 ms", "12 ms", "1.3 s". */
export function latencyText(ms: number): string {
  if (ms < 0.1) return "<0.1 ms";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
}

/** "8 s", "3 min", "2 h 5 min", "4 d". */
export function spanText(ms: number): string {
  const s = Math.max(Math.floor(ms / 1000), 0);
  if (s < 60) return `${s} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 24) return min % 60 === 0 ? `${h} h` : `${h} h ${min % 60} min`;
  return `${Math.floor(h / 24)} d`;
}

/** "26 Nov 2026, 22:10", as people write it here; by 12 or 24 hours, too. */
export function dateText(unixMs: number): string {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(unixMs);
}

/** The same to the second, "27 Nov, 09:30:15"; the year where it is another one than that of `now`. */
export function momentText(unixMs: number, now: number): string {
  const year = new Date(unixMs).getFullYear() === new Date(now).getFullYear() ? {} : ({ year: "numeric" } as const);
  return new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", ...year }).format(unixMs);
}

/** The text without characters that could deceive a reader; as `display_safe` of the contract. */
export function displaySafe(text: string, maxChars = 256): string {
  const cut = Array.from(text).slice(0, maxChars).join("");
  // eslint-disable-next-line no-control-regex
  return cut.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");
}

/** A command line as words, with quotes as a shell reads them; nothing else of a shell. */
export function commandWords(line: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let i = 0; i < line.length; i += 1) {
    const c = line.charAt(i);
    if (quote !== "") {
      if (c === quote) quote = "";
      else if (c === "\\" && quote === '"' && i + 1 < line.length) word = (word ?? "") + line.charAt((i += 1));
      else word = (word ?? "") + c;
    } else if (c === "'" || c === '"') {
      quote = c;
      word ??= "";
    } else if (c === "\\" && i + 1 < line.length) {
      word = (word ?? "") + line.charAt((i += 1));
    } else if (/\s/u.test(c)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? "") + c;
    }
  }
  if (quote !== "") return undefined;
  if (word !== undefined) words.push(word);
  return words;
}

export function commandText(command: readonly string[]): string {
  return displaySafe(command.map((word) => (/^[\w@%+=:,./-]+$/u.test(word) ? word : `'${word}'`)).join(" "));
}
