// The rows of the audit that a person looks for, newest first, page by page.

import { create } from "@bufbuild/protobuf";

import { AuditFilterSchema, type AuditFilter, type AuditRow } from "../gen/chatcode/v1/audit_pb";
import { Code } from "../gen/chatcode/v1/code_pb";
import { AUDIT_EMPTY_PAGES, AUDIT_PAGE_ROWS, AUDIT_SHOWN_ROWS } from "../link/limits";
import { explain } from "../link/refusal";
import type { Rpc } from "../link/rpc";
import { Store } from "../store";

/** What a person says of the rows that they look for; empty: any. */
export interface Wish {
  gateway: string;
  /** Of whom, as the row has it. */
  principal: string;
  session: string;
  /** The beginning of what was done. */
  action: string;
  result: "" | "refused" | "done";
  /** Not older, in hours; 0: whenever. */
  hours: number;
  text: string;
}

export const ANY: Wish = { gateway: "", principal: "", session: "", action: "", result: "", hours: 0, text: "" };

export interface Found {
  rows: readonly AuditRow[];
  /** Rows that were not looked at yet are below this number; 0: there are none. */
  next: bigint;
  busy: boolean;
  refused: string | undefined;
  /** Nothing was found for so long that it waits for a word. */
  waits: boolean;
}

const NOTHING: Found = { rows: [], next: 0n, busy: false, refused: undefined, waits: false };

export class AuditSearch {
  readonly found = new Store<Found>({ ...NOTHING, busy: true });
  /** Of the search that counts; an answer to an earlier one comes too late. */
  #turn = 0;
  #filter = filterOf(ANY, 0);

  constructor(private readonly audit: Rpc["audit"]) {}

  /** Looks for these from the newest on. */
  async begin(wish: Wish, now: number): Promise<void> {
    this.#turn += 1;
    this.#filter = filterOf(wish, now);
    this.found.set({ ...NOTHING, busy: true });
    await this.#read(this.#turn, 0n);
  }

  /** Goes on to older ones; nothing happens while it looks, or when there are none. */
  async more(): Promise<void> {
    const { busy, next } = this.found.get();
    if (busy || next === 0n) return;
    this.found.patch({ busy: true, refused: undefined, waits: false });
    await this.#read(this.#turn, next);
  }

  /** Nothing that comes counts any more. */
  end(): void {
    this.#turn += 1;
  }

  async #read(turn: number, from: bigint): Promise<void> {
    let before = from;
    try {
      // A page may be empty though there are rows further down.
      for (let pages = 1; ; pages += 1) {
        const page = await this.audit.list({ before, limit: AUDIT_PAGE_ROWS, filter: this.#filter });
        if (turn !== this.#turn) return;
        before = page.next;
        const rows = [...this.found.get().rows, ...page.rows];
        if (rows.length >= AUDIT_SHOWN_ROWS) before = 0n;
        const waits = page.rows.length === 0 && before !== 0n;
        const busy = waits && pages < AUDIT_EMPTY_PAGES;
        this.found.set({ rows, next: before, busy, refused: undefined, waits: waits && !busy });
        if (!busy) return;
      }
    } catch (error) {
      if (turn === this.#turn) this.found.patch({ busy: false, refused: explain(error), next: before });
    }
  }
}

export function filterOf(wish: Wish, now: number): AuditFilter {
  return create(AuditFilterSchema, {
    gateway: wish.gateway,
    principal: wish.principal,
    session: wish.session,
    action: wish.action.trim(),
    refused: wish.result === "refused",
    result: wish.result === "done" ? Code.DONE : Code.UNSPECIFIED,
    fromUnixMs: wish.hours === 0 ? 0n : BigInt(Math.max(now - wish.hours * 3_600_000, 1)),
    text: wish.text.trim(),
  });
}

/** Whether a person looks for some rows only. */
export function isChosen(wish: Wish): boolean {
  return (Object.keys(ANY) as (keyof Wish)[]).some((key) => wish[key] !== ANY[key]);
}
