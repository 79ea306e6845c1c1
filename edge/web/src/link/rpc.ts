// Unary calls: gRPC-Web in binary, to the edge that served the page.

import { createClient, type Client, type Transport } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";

import { Admin } from "../gen/chatcode/v1/admin_pb";
import { Accounts } from "../gen/chatcode/v1/accounts_pb";
import { Audit } from "../gen/chatcode/v1/audit_pb";
import { Devices } from "../gen/chatcode/v1/devices_pb";
import { Fleet } from "../gen/chatcode/v1/fleet_pb";
import { Code } from "../gen/chatcode/v1/code_pb";
import { Host } from "../gen/chatcode/v1/host_pb";
import { Identities } from "../gen/chatcode/v1/identities_pb";
import { People } from "../gen/chatcode/v1/people_pb";
import { Shares } from "../gen/chatcode/v1/shares_pb";
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
  admin: Client<typeof Admin>;
  audit: Client<typeof Audit>;
  devices: Client<typeof Devices>;
  fleet: Client<typeof Fleet>;
  host: Client<typeof Host>;
  identities: Client<typeof Identities>;
  people: Client<typeof People>;
  sessions: Client<typeof Sessions>;
  shares: Client<typeof Shares>;
}

/** A page at this origin. `prove` asks the person to prove anew who they are; whether they did. `as`: headers of the call at a path, which say as whom it is made. */
export function createRpc(origin: string, prove: () => Promise<boolean>, as: (path: string) => Record<string, string> = () => ({})): Rpc {
  const edge = new EdgeWatch(origin);
  const inner = createGrpcWebTransport({
    baseUrl: origin,
    useBinaryFormat: true,
    defaultTimeoutMs: UNARY_DEADLINE_MS,
    fetch: (input, init) => {
      const headers = new Headers(init?.headers);
      const path = new URL(input instanceof Request ? input.url : input, origin).pathname;
      for (const [name, value] of Object.entries(as(path))) headers.set(name, value);
      return fetch(input, { ...init, headers, credentials: "same-origin", cache: "no-store", redirect: "error" });
    },
  });
  const transport: Transport = {
    ...inner,
    async unary(method, ...rest) {
      const call = async () => {
        try {
          return await inner.unary(method, ...rest);
        } catch (error) {
          throw await judgeLate(fromError(error), method.parent.typeName !== Sessions.typeName, () => edge.ask());
        }
      };
      try {
        return await call();
      } catch (error) {
        // An old proof does not make the person begin again.
        if (fromError(error).code !== Code.STEP_UP_REQUIRED || !(await prove())) throw error;
        return await call();
      }
    },
  };
  return {
    edge,
    accounts: createClient(Accounts, transport),
    admin: createClient(Admin, transport),
    audit: createClient(Audit, transport),
    devices: createClient(Devices, transport),
    fleet: createClient(Fleet, transport),
    host: createClient(Host, transport),
    identities: createClient(Identities, transport),
    people: createClient(People, transport),
    sessions: createClient(Sessions, transport),
    shares: createClient(Shares, transport),
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
