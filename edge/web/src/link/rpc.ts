// Unary calls: gRPC-Web in binary, to the edge that served the page.

import { createClient, type Client, type Transport } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { Accounts } from "../gen/chatcode/v1/accounts_pb";
import { Audit } from "../gen/chatcode/v1/audit_pb";
import { Fleet } from "../gen/chatcode/v1/fleet_pb";
import { Host } from "../gen/chatcode/v1/host_pb";
import { Sessions } from "../gen/chatcode/v1/sessions_pb";
import { EdgeWatch } from "./edge-watch";
import { UNARY_DEADLINE_MS } from "./limits";
import { fromError, judgeLate } from "./refusal";

/** The method of a streaming call and its target. */
export interface Call {
  method: string;
  gateway: string;
  session: string;
}

export interface Rpc {
  edge: EdgeWatch;
  accounts: Client<typeof Accounts>;
  audit: Client<typeof Audit>;
  fleet: Client<typeof Fleet>;
  host: Client<typeof Host>;
  sessions: Client<typeof Sessions>;
}

export function createRpc(origin: string): Rpc {
  const edge = new EdgeWatch(origin);
  const inner = createGrpcWebTransport({
    baseUrl: origin,
    useBinaryFormat: true,
    defaultTimeoutMs: UNARY_DEADLINE_MS,
    fetch: (input, init) => fetch(input, { ...init, credentials: "same-origin", cache: "no-store", redirect: "error" }),
  });
  const transport: Transport = {
    ...inner,
    async unary(method, ...rest) {
      try {
        return await inner.unary(method, ...rest);
      } catch (error) {
        throw await judgeLate(fromError(error), method.parent.typeName !== Sessions.typeName, () => edge.ask());
      }
    },
  };
  return {
    edge,
    accounts: createClient(Accounts, transport),
    audit: createClient(Audit, transport),
    fleet: createClient(Fleet, transport),
    host: createClient(Host, transport),
    sessions: createClient(Sessions, transport),
  };
}

/** The target of a unary call: metadata, never the body. */
export function target(gateway: string, session?: string): { headers: Record<string, string> } {
  const headers: Record<string, string> = { "chatcode-gateway": gateway };
  if (session !== undefined) headers["chatcode-session"] = session;
  return { headers };
}

/** A ticket for one WebSocket. */
export async function ticket(rpc: Rpc, call: Call, signal: AbortSignal): Promise<string> {
  const answer = await rpc.accounts.createTicket(
    { method: call.method, gateway: call.gateway, session: call.session },
    { signal },
  );
  return answer.ticket;
}
