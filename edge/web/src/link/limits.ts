// The bounds that the page keeps. Times in milliseconds.

// From the contract's page of limits (src/limits.rs); tests/vectors/limits.json
// holds both to the same values.

export const DEFAULT_HISTORY_LINES = 10_000;
/** The last offset of output and of input, and the last at which a viewer's input may begin. */
export const LAST_OFFSET = Number.MAX_SAFE_INTEGER;
export const LAST_INPUT = 3 * 2 ** 51;
export const INPUT_BYTES = 32 * 1024;
export const INPUT_UNCONFIRMED_BYTES = 16 * 1024 * 1024;
export const INPUT_IN_FLIGHT_BYTES = 128 * 1024;
export const WINDOW_MIN_BYTES = 32 * 1024;
export const WINDOW_MAX_BYTES = 1024 * 1024;
export const WINDOW_SLACK_MS = 20;
export const FRAME_VERSIONS = [1];
export const EDGE_VERSIONS = [1];
/** A viewer measures the way to its holder this often. */
export const VIEWER_PING_MS = 5_000;
/** A viewer that heard nothing for this time connects anew. */
export const VIEWER_SILENCE_MS = 12_000;
export const RECONNECT_FIRST_MS = 250;
export const RECONNECT_LONGEST_MS = 10_000;
export const LINK_LASTED_MS = 10_000;
export const UNARY_DEADLINE_MS = 20_000;
export const HANDSHAKE_MS = 10_000;
export const SESSION_NAME_CHARS = 128;
export const NAME_CHARS = 64;
export const PASSWORD_CHARS_LEAST = 12;
export const PASSWORD_CHARS_MOST = 128;
export const ARGUMENTS = 64;

// The page's own.

/** The wait after "too many tries" where the edge does not say how long, and the shortest and the longest where it does. */
export const RETRY_AFTER_MS = 5_000;
export const RETRY_AFTER_RANGE_MS = [1_000, 60_000] as const;

/** A challenge that waits in a field is asked for anew after this time, before it is too old for the core (5 minutes). */
export const CHALLENGE_FRESH_MS = 4 * 60_000;

/** What a program writes to the clipboard at once; more is ignored. */
export const CLIPBOARD_BYTES = 256 * 1024;

/** Rows of the audit that the page asks for at once. */
export const AUDIT_PAGE_ROWS = 100;
/** Rows of the audit that stand in the page; older ones by a filter. */
export const AUDIT_SHOWN_ROWS = 5_000;
/** Pages without a row after which a search waits for a word of the person: each has looked at 100,000 rows. */
export const AUDIT_EMPTY_PAGES = 10;
/** Characters of an export that the page takes into memory; larger ones are for the command line. */
export const AUDIT_EXPORT_CHARS = 256 * 1024 * 1024;

/** A watch that is silent for three of its signs of life is dead. */
export const WATCH_SILENCE_MS = 35_000;
/** The page asks the edge this often how far it is. */
export const PING_MS = 3_000;
/** Without any answer for this time a socket is dead. */
export const SILENCE_MS = 12_000;
