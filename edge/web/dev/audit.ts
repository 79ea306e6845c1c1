// Rows of an audit as a real one has them, for the mock.

import { create, type MessageInitShape } from "@bufbuild/protobuf";

import { AuditRowSchema, type AuditFilter, type AuditListRequest, type AuditListResponseSchema, type AuditRow } from "../src/gen/chatcode/v1/audit_pb";
import { Code } from "../src/gen/chatcode/v1/code_pb";

const ROWS = 640;
const MILL = "4f1c2c6e-0000-4000-8000-000000000001";
const HARBOUR = "4f1c2c6e-0000-4000-8000-000000000002";

type Act = [principal: string, action: string, result: Code, gateway: string, detail: string];

const ACTS: readonly Act[] = [
  ["person/1", "/chatcode.v1.Terminal/Attach", Code.UNSPECIFIED, MILL, ""],
  ["core", "link.up", Code.DONE, HARBOUR, "from 192.0.2.14:51820"],
  ["person/8d2f7a10-0000-4000-8000-000000000009", "/chatcode.v1.Fleet/Revoke", Code.FORBIDDEN, HARBOUR, ""],
  ["admin/3f0c22d1-0000-4000-8000-000000000007", "role.given", Code.DONE, "", "operator on label site=attic to person/8d2f7a10-0000-4000-8000-000000000009 Ada"],
  ["anonymous", "/chatcode.v1.Enrollment/Enroll", Code.BAD_TOKEN, "", "expired"],
  ["person/1/api-token/77", "/chatcode.v1.Sessions/Create", Code.UNSPECIFIED, MILL, ""],
  ["gateway/4f1c2c6e-0000-4000-8000-000000000002", "link.renew", Code.DONE, HARBOUR, ""],
];

/** Newest first. */
export const auditRows: readonly AuditRow[] = Array.from({ length: ROWS }, (_, i) => {
  const number = ROWS - i;
  const [principal, action, result, gateway, detail] = ACTS[i % ACTS.length] as Act;
  return create(AuditRowSchema, {
    number: BigInt(number),
    unixMs: BigInt(Date.now() - i * 341_000),
    principal,
    action,
    result,
    gateway,
    session: action.includes("Terminal") ? "aaaaaaaa-0000-4000-8000-000000000001" : "",
    detail,
    requestId: "5b3f8c1d2e4a69700b1c2d3e4f506172",
    peer: "127.0.0.1:48112",
    hash: new Uint8Array(32),
  });
});

export function listAudit({ before, limit, filter }: AuditListRequest): MessageInitShape<typeof AuditListResponseSchema> {
  const older = auditRows.filter((row) => before === 0n || row.number < before).filter((row) => filter === undefined || fits(row, filter));
  const rows = older.slice(0, limit);
  return { rows, next: older.length > rows.length ? (rows.at(-1)?.number ?? 0n) : 0n };
}

function fits(row: AuditRow, filter: AuditFilter): boolean {
  const refused = row.result !== Code.UNSPECIFIED && row.result !== Code.DONE;
  return (
    (filter.gateway === "" || filter.gateway === row.gateway) &&
    (filter.principal === "" || filter.principal === row.principal) &&
    (filter.session === "" || filter.session === row.session) &&
    (!filter.refused || refused) &&
    (filter.result === Code.UNSPECIFIED || filter.result === row.result) &&
    row.unixMs >= filter.fromUnixMs &&
    row.action.replace("/chatcode.v1.", "").startsWith(filter.action.replace("/chatcode.v1.", "")) &&
    row.detail.toLowerCase().includes(filter.text.toLowerCase())
  );
}
