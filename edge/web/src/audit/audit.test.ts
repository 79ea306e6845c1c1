import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";

import {
  AuditExportBeginSchema,
  AuditExportResponseSchema,
  AuditHeadSchema,
  AuditListResponseSchema,
  AuditRowSchema,
  type AuditListResponse,
} from "../gen/chatcode/v1/audit_pb";
import { Code } from "../gen/chatcode/v1/code_pb";
import { AUDIT_EMPTY_PAGES } from "../link/limits";
import type { Rpc } from "../link/rpc";
import { ExportText } from "./export";
import { beginLine, headLine, rowLine } from "./lines";
import { ANY, AuditSearch, filterOf, isChosen } from "./search";

const row = (number: number, detail = "") => create(AuditRowSchema, { number: BigInt(number), detail, hash: new Uint8Array([0xab, 1]) });

describe("a line of the audit", () => {
  // The same words as in core/audit/src/line.rs.
  it("is the one that the command line writes", () => {
    const full = create(AuditRowSchema, {
      number: 3n,
      unixMs: 4n,
      principal: "person/p",
      action: "/chatcode.v1.Fleet/Revoke",
      gateway: "g",
      session: "s",
      result: Code.FORBIDDEN,
      requestId: "r",
      peer: "[::1]:5",
      detail: 'a "b" ü',
      hash: new Uint8Array(32).fill(0xab),
    });
    expect(rowLine(full)).toBe(
      `{"number":3,"unix_ms":4,"principal":"person/p","action":"/chatcode.v1.Fleet/Revoke","gateway":"g","session":"s","result":"forbidden","code":7,"request_id":"r","peer":"[::1]:5","detail":"a \\"b\\" ü","hash":"${"ab".repeat(32)}"}\n`,
    );
    const begin = create(AuditExportBeginSchema, { installation: "0123abcd", first: 3n, previous: new Uint8Array([1, 2]) });
    expect(beginLine(begin)).toBe('{"chatcode_audit":1,"installation":"0123abcd","first":3,"previous":"0102","chosen":false}\n');
    const head = create(AuditHeadSchema, { installation: "0123abcd", number: 3n, hash: new Uint8Array([2]), unixMs: 5n, key: new Uint8Array([3]), signature: new Uint8Array([4]) });
    expect(headLine(head)).toBe('{"head":{"installation":"0123abcd","number":3,"hash":"02","unix_ms":5,"key":"Aw==","signature":"BA=="}}\n');
  });

  it("stays one line, and deceives nobody", () => {
    const line = rowLine(row(1, "a\n\u001b[2J\u202eb"));
    expect(line.indexOf("\n")).toBe(line.length - 1);
    expect(line).toContain("\\u202e");
    expect(JSON.parse(line)).toMatchObject({ number: 1, result: "let_in", code: 0, detail: "a\n\u001b[2J\u202eb" });
  });
});

/** A search whose core answers with these pages, one after the other. */
function searching(pages: (AuditListResponse | Error)[]): { search: AuditSearch; asked: bigint[] } {
  const asked: bigint[] = [];
  const list = ({ before }: { before: bigint }): Promise<AuditListResponse> => {
    asked.push(before);
    const page = pages.shift();
    return page instanceof Error || page === undefined ? Promise.reject(page ?? new Error("nothing")) : Promise.resolve(page);
  };
  return { search: new AuditSearch({ list } as unknown as Rpc["audit"]), asked };
}

const page = (numbers: number[], next: number) => create(AuditListResponseSchema, { rows: numbers.map((number) => row(number)), next: BigInt(next) });

describe("a search of the audit", () => {
  it("goes on where a page ends, until there are no more", async () => {
    const { search, asked } = searching([page([9, 8], 8), page([7], 0)]);
    await search.begin(ANY, 0);
    expect(search.found.get()).toMatchObject({ next: 8n, busy: false });
    await search.more();
    await search.more();
    expect(asked).toEqual([0n, 8n]);
    expect(search.found.get().rows.map(({ number }) => number)).toEqual([9n, 8n, 7n]);
  });

  it("looks further back by itself, and asks a person after a while", async () => {
    const rare = searching([page([], 800), page([], 700), page([650], 650)]);
    await rare.search.begin(ANY, 0);
    expect(rare.asked).toEqual([0n, 800n, 700n]);
    expect(rare.search.found.get()).toMatchObject({ waits: false, busy: false });
    const none = searching(Array.from({ length: AUDIT_EMPTY_PAGES + 1 }, (_, i) => page([], 1000 - i)));
    await none.search.begin(ANY, 0);
    expect(none.asked.length).toBe(AUDIT_EMPTY_PAGES);
    expect(none.search.found.get()).toMatchObject({ waits: true, busy: false });
  });

  it("keeps what it has when the core refuses, and says why", async () => {
    const { search } = searching([page([9], 9), new Error("no answer")]);
    await search.begin(ANY, 0);
    await search.more();
    expect(search.found.get()).toMatchObject({ next: 9n, busy: false });
    expect(search.found.get().rows.length).toBe(1);
    expect(search.found.get().refused).not.toBeUndefined();
  });

  it("takes no answer to a question that was asked before", async () => {
    const { search } = searching([page([1], 0), page([2], 0)]);
    const first = search.begin({ ...ANY, text: "a" }, 0);
    const second = search.begin({ ...ANY, text: "ab" }, 0);
    await Promise.all([first, second]);
    expect(search.found.get().rows.map(({ number }) => number)).toEqual([2n]);
  });

  it("says to the core what the person said", () => {
    expect(isChosen(ANY)).toBe(false);
    const wish = { ...ANY, action: " gateway. ", result: "refused", hours: 1, gateway: "g" } as const;
    expect(isChosen(wish)).toBe(true);
    expect(filterOf(wish, 7_200_000)).toMatchObject({ action: "gateway.", refused: true, result: Code.UNSPECIFIED, fromUnixMs: 3_600_000n, gateway: "g" });
    expect(filterOf({ ...ANY, result: "done" }, 0)).toMatchObject({ refused: false, result: Code.DONE, fromUnixMs: 0n });
  });
});

describe("an export", () => {
  const part = (value: Parameters<typeof create<typeof AuditExportResponseSchema>>[1]) => create(AuditExportResponseSchema, value);
  const begin = (chosen: boolean) => part({ part: { case: "begin", value: { installation: "0123abcd", first: 1n, chosen } } });

  it("is whole only with its head; chosen rows have none", () => {
    const whole = new ExportText();
    expect(whole.isWhole).toBe(false);
    whole.take(begin(false));
    whole.take(part({ part: { case: "rows", value: { rows: [row(1), row(2)] } } }));
    expect([whole.rows, whole.isWhole]).toEqual([2, false]);
    whole.take(part({ part: { case: "head", value: { number: 2n } } }));
    expect(whole.isWhole).toBe(true);
    expect(whole.parts.join("").trimEnd().split("\n").length).toBe(4);
    const chosen = new ExportText();
    chosen.take(begin(true));
    expect(chosen.isWhole).toBe(true);
  });
});
