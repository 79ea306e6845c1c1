// An export of the audit: one streaming call, whose parts become JSON lines in a
// file of the browser.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";

import { AuditExportRequestSchema, AuditExportResponseSchema, type AuditExportResponse, type AuditFilter } from "../gen/chatcode/v1/audit_pb";
import { Code } from "../gen/chatcode/v1/code_pb";
import { AUDIT_EXPORT_CHARS } from "../link/limits";
import { Refusal } from "../link/refusal";
import { ticket, type Rpc } from "../link/rpc";
import { StreamSocket } from "../link/socket";
import { beginLine, headLine, rowLine } from "./lines";

const CALL = { method: "/chatcode.v1.Audit/Export", gateway: "", session: "" };

/** Text that grows by the parts of an export. */
export class ExportText {
  readonly parts: string[] = [];
  rows = 0;
  /** The end was there: the head, or that chosen rows have none. */
  #chosen = false;
  #headed = false;
  #chars = 0;

  /** @throws {Refusal} when it is too large for a page. */
  take({ part }: AuditExportResponse): void {
    switch (part.case) {
      case "begin":
        this.#chosen = part.value.chosen;
        this.#put(beginLine(part.value));
        break;
      case "rows":
        this.rows += part.value.rows.length;
        this.#put(part.value.rows.map(rowLine).join(""));
        break;
      case "head":
        this.#headed = true;
        this.#put(headLine(part.value));
        break;
      default:
    }
  }

  /** Whether nothing is missing at its end, once the call is done. */
  get isWhole(): boolean {
    return this.parts.length > 0 && (this.#chosen || this.#headed);
  }

  #put(text: string): void {
    this.#chars += text.length;
    if (this.#chars > AUDIT_EXPORT_CHARS) {
      throw new Refusal(Code.TOO_LARGE, "this is too much for a browser; type “chatcode audit export > audit.jsonl”, or choose fewer rows");
    }
    this.parts.push(text);
  }
}

/** All rows of a filter. `progress` hears how many are here. */
export async function exportAudit(rpc: Rpc, socketUrl: string, filter: AuditFilter, signal: AbortSignal, progress: (rows: number) => void): Promise<ExportText> {
  const secret = await ticket(rpc, CALL, signal);
  return new Promise((resolve, reject) => {
    const text = new ExportText();
    const request = toBinary(AuditExportRequestSchema, create(AuditExportRequestSchema, { filter }));
    const socket: StreamSocket = new StreamSocket(socketUrl, CALL, secret, {
      opened: () => socket.send(request as Uint8Array<ArrayBuffer>),
      message: (bytes) => {
        try {
          text.take(fromBinary(AuditExportResponseSchema, bytes));
          progress(text.rows);
        } catch (error) {
          socket.close();
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      },
      measured: () => undefined,
      ended: (refusal) => {
        if (refusal.code !== Code.DONE) reject(refusal);
        else if (text.isWhole) resolve(text);
        else reject(new Refusal(Code.INTERNAL, "the export broke off; try again"));
      },
    });
    signal.addEventListener("abort", () => {
      socket.close();
      reject(new Refusal(Code.DONE, ""));
    });
  });
}

/** Gives the browser a file to keep. */
export function download(name: string, parts: readonly string[]): void {
  const url = URL.createObjectURL(new Blob([...parts], { type: "application/jsonl" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has it by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
