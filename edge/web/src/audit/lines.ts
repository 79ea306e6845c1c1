// The audit as JSON lines, as the command line writes them (core/audit): the
// begin, each row, the signed head. docs/audit.md describes each field.

import type { AuditExportBegin, AuditHead, AuditRow } from "../gen/chatcode/v1/audit_pb";
import { Code } from "../gen/chatcode/v1/code_pb";
import { codeName } from "../link/refusal";
import { displaySafe } from "../words";

const VERSION = 1;

/** What the rows of an export are. */
export function beginLine({ installation, first, previous, chosen }: AuditExportBegin): string {
  return line({ chatcode_audit: VERSION, installation, first: Number(first), previous: hex(previous), chosen });
}

export function rowLine(row: AuditRow): string {
  return line({
    number: Number(row.number),
    unix_ms: Number(row.unixMs),
    principal: row.principal,
    action: row.action,
    gateway: row.gateway,
    session: row.session,
    result: resultWord(row.result),
    code: row.result,
    request_id: row.requestId,
    peer: row.peer,
    detail: row.detail,
    hash: hex(row.hash),
  });
}

export function headLine({ installation, number, hash, unixMs, key, signature }: AuditHead): string {
  return line({
    head: { installation, number: Number(number), hash: hex(hash), unix_ms: Number(unixMs), key: base64(key), signature: base64(signature) },
  });
}

/** "let_in" for a call whose end is not known, else the name of its code. */
export function resultWord(code: Code): string {
  if (code === Code.UNSPECIFIED) return "let_in";
  return Code[code] === undefined ? `code_${code as number}` : codeName(code);
}

/** One line, in which every character that could deceive a reader is an escape. */
function line(value: object): string {
  let text = "";
  for (const c of JSON.stringify(value)) {
    text += displaySafe(c, 1) === c ? c : Array.from(c, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
  }
  return `${text}\n`;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
