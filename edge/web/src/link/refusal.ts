// Why something was refused or ended, with words for people. The close codes
// and names are those of the contract's table (src/code.rs).

import { ConnectError, Code as RpcCode } from "@connectrpc/connect";

import { Code } from "../gen/chatcode/v1/code_pb";
import type { CoreHealth } from "../gen/chatcode/v1/edge_pb";

const WEBSOCKET_BASE = 4000;
const WEBSOCKET_DONE = 1000;

export class Refusal extends Error {
  constructor(
    /** UNSPECIFIED: the way to the edge broke without a word. */
    readonly code: Code,
    message: string,
    /** Whoever refused asks to wait for this long. */
    readonly waitMs?: number | undefined,
  ) {
    super(message);
    this.name = "Refusal";
  }
}

/** The name that travels in `chatcode-code`: "gateway_offline". */
export function codeName(code: Code): string {
  return (Code[code] ?? "UNSPECIFIED").toLowerCase();
}

export function codeFromName(name: string): Code | undefined {
  const code = (Code as unknown as Record<string, unknown>)[name.toUpperCase()];
  return typeof code === "number" ? code : undefined;
}

/** What a WebSocket's close frame says. */
export function fromClose(close: number, reason: string): Refusal {
  if (close === WEBSOCKET_DONE) return new Refusal(Code.DONE, reason);
  const number = close - WEBSOCKET_BASE;
  if (number > 0 && Code[number] !== undefined) {
    return new Refusal(number, withoutName(number, reason));
  }
  return new Refusal(Code.UNSPECIFIED, "the connection to the edge broke");
}

/** What a failed unary call says. */
export function fromError(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const rpc = ConnectError.from(error);
  const named = codeFromName(rpc.metadata.get("chatcode-code") ?? "");
  if (named !== undefined) return new Refusal(named, rpc.rawMessage);
  switch (rpc.code) {
    case RpcCode.Unauthenticated:
      return new Refusal(Code.UNAUTHENTICATED, rpc.rawMessage);
    case RpcCode.PermissionDenied:
      return new Refusal(Code.FORBIDDEN, rpc.rawMessage);
    case RpcCode.InvalidArgument:
      return new Refusal(Code.INVALID, rpc.rawMessage);
    case RpcCode.DeadlineExceeded:
      return new Refusal(Code.TIMEOUT, "no answer in time");
    case RpcCode.Unknown:
    case RpcCode.Unavailable:
    case RpcCode.Canceled:
      return new Refusal(Code.UNSPECIFIED, "the edge does not answer");
    default:
      return new Refusal(Code.INTERNAL, rpc.rawMessage);
  }
}

/**
 * Who is to blame for a call that was not answered in time: the edge when it answers nothing else either, the core
 * when it answers the edge neither, or when nobody behind it takes part in the call (`coreOnly`).
 */
export async function judgeLate(refusal: Refusal, coreOnly: boolean, askEdge: () => Promise<CoreHealth | undefined>): Promise<Refusal> {
  if (refusal.code !== Code.TIMEOUT) return refusal;
  const core = await askEdge();
  if (core === undefined) return new Refusal(Code.UNSPECIFIED, "the edge does not answer");
  if (coreOnly || !core.up) return new Refusal(Code.CORE_UNREACHABLE, "the core does not answer");
  return refusal;
}

/** Whether trying again without a change may help. */
export function isTransient(code: Code): boolean {
  switch (code) {
    case Code.UNSPECIFIED:
    case Code.BAD_TOKEN: // a ticket that came too late; the next try gets its own
    case Code.GATEWAY_OFFLINE:
    case Code.CORE_UNREACHABLE:
    case Code.HOLDER_UNREACHABLE:
    case Code.PROVIDER_UNREACHABLE:
    case Code.RATE_LIMITED:
    case Code.DRAINING:
    case Code.TIMEOUT:
    case Code.INTERNAL:
    case Code.LIMIT:
    case Code.UNWRITABLE:
      return true;
    default:
      return false;
  }
}

/** A failure as words that a person can act on. */
export function explain(error: unknown): string {
  const refusal = fromError(error);
  return refusal.message === "" ? codeName(refusal.code) : refusal.message;
}

function withoutName(code: Code, reason: string): string {
  const head = `${codeName(code)}: `;
  return reason.startsWith(head) ? reason.slice(head.length) : reason;
}
