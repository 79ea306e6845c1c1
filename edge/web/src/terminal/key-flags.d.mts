import type { Terminal } from "@xterm/xterm";

export class KeyFlags {
  constructor(terminal: Pick<Terminal, "buffer" | "parser">);
  get now(): number;
  get stacks(): { normal: readonly number[]; alternate: readonly number[] };
}
