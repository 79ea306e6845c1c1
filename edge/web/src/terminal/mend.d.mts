import type { Terminal } from "@xterm/xterm";

/** Mends faults of xterm.js 6.0 that its public interface cannot reach; once per terminal. */
export function mend(terminal: Terminal): void;
