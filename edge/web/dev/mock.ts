// An edge for those who work on the page: serves `dist` under the same policy
// as the real one, signs in with the secret "dev", and runs real shells on this
// machine. Never for use: everything on this machine is behind it.
//
//   npm run build && npm run mock       then open the address it prints
//
// Faults, to see how the page takes them: POST /dev/fault?hop=edge|core|machine&ms=8000, and what may stand in the list:
// hop=trouble&kind=copy|certificate, hop=tokens, hop=pending, hop=account (offer=1: without a passkey); the latter three with
// none=1 to take it back.

import { create, fromBinary, fromJsonString, toBinary, toJson, toJsonString, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import { WebSocketServer, type WebSocket } from "ws";

import * as accounts from "../src/gen/chatcode/v1/accounts_pb";
import * as audit from "../src/gen/chatcode/v1/audit_pb";
import { Code } from "../src/gen/chatcode/v1/code_pb";
import { CoreHealthSchema, EdgePingSchema, EdgePongSchema, OpenSchema } from "../src/gen/chatcode/v1/edge_pb";
import { MemberKind } from "../src/gen/chatcode/v1/enrollment_pb";
import * as devices from "../src/gen/chatcode/v1/devices_pb";
import * as fleet from "../src/gen/chatcode/v1/fleet_pb";
import * as identities from "../src/gen/chatcode/v1/identities_pb";
import * as host from "../src/gen/chatcode/v1/host_pb";
import { Role } from "../src/gen/chatcode/v1/grant_pb";
import { PersonRole } from "../src/gen/chatcode/v1/people_pb";
import { Permission } from "../src/gen/chatcode/v1/rule_pb";
import * as sessions from "../src/gen/chatcode/v1/sessions_pb";
import * as shares from "../src/gen/chatcode/v1/shares_pb";
import { auditRows, listAudit } from "./audit";
import { MockSession, type Peer } from "./session";

const PORT = Number(process.env["PORT"] ?? 4310);
const { LinkState } = fleet;
type LinkState = fleet.LinkState;
const DIST = join(import.meta.dirname, "..", "dist");
const COOKIE = "chatcode-mock=yes";
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; font-src 'self'; " +
  "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'";
const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

const started = Date.now();
const gateways = [
  gateway("4f1c2c6e-0000-4000-8000-000000000001", "mill", LinkState.ONLINE, 3 * 3600e3),
  gateway("4f1c2c6e-0000-4000-8000-000000000002", "harbour", LinkState.ONLINE, 26 * 60e3),
  gateway("4f1c2c6e-0000-4000-8000-000000000003", "old-laptop", LinkState.OFFLINE, 9 * 60e3),
];
let tokens: fleet.TokenInfo[] = [];
let pending: fleet.PendingGateway[] = [];
let links: shares.Share[] = [];
const all = new Map<string, { gateway: string; session: MockSession }>();
const watchers = new Set<WebSocket>();
const sockets = new Set<WebSocket>();
let own: identities.Identity[] = [];
let browsers: accounts.PersonSession[] = [];
/** The proof of who the person is. */
let old = false;
let methods = { passkeys: false, passwords: false, mail: false, providers: [] as { id: string; name: string }[] };
let coreDownUntil = 0;
let edgeDownUntil = 0;
let empty = process.env["EMPTY"] === "1";
let nobodyKnows = false;

function gateway(id: string, name: string, linkState: LinkState, age: number) {
  return create(fleet.GatewaySchema, {
    id,
    name,
    linkState,
    sinceUnixMs: BigInt(started - age),
    linkRttUs: linkState === LinkState.ONLINE ? 640n : 0n,
    holderRttUs: linkState === LinkState.ONLINE ? 90n : 0n,
    programVersion: "0.1.0",
    host: { hostname: `${name}.example.org`, os: "linux", arch: "x86_64", kernel: "6.12.4", user: "vibe" },
    certificate: { notAfterUnixMs: BigInt(started + 19 * 3600e3), renewedUnixMs: BigInt(started - 5 * 3600e3), failures: 0 },
    enrolledUnixMs: BigInt(started - 9 * 86400e3),
    linkEpoch: 1n,
  });
}

function add(home: string, name: string, folder: string, command: string[], id?: string): MockSession {
  const session = new MockSession(name, folder, command, () => tellSession(session.info.id), id);
  all.set(session.info.id, { gateway: home, session });
  tellSession(session.info.id);
  return session;
}

function event(socket: WebSocket, shape: MessageInitShape<typeof fleet.FleetWatchResponseSchema>): void {
  socket.send(toBinary(fleet.FleetWatchResponseSchema, create(fleet.FleetWatchResponseSchema, shape)));
}

function tell(shape: MessageInitShape<typeof fleet.FleetWatchResponseSchema>): void {
  for (const socket of watchers) event(socket, shape);
}

function tellSession(id: string): void {
  const known = all.get(id);
  if (known !== undefined) tell({ event: { case: "sessionChanged", value: { gateway: known.gateway, session: known.session.info } } });
}

function tellGateway(one: (typeof gateways)[number]): void {
  tell({ event: { case: "gatewayChanged", value: one } });
}

// --- unary calls ---

class Refused extends Error {
  constructor(
    readonly code: Code,
    readonly grpc: number,
    message: string,
  ) {
    super(message);
  }
}

function call<I extends DescMessage, O extends DescMessage>(
  input: I,
  output: O,
  serve: (request: ReturnType<typeof fromBinary<I>>, headers: IncomingMessage["headers"]) => MessageInitShape<O>,
) {
  return (body: Uint8Array, headers: IncomingMessage["headers"]): Uint8Array =>
    toBinary(output, create(output, serve(fromBinary(input, body), headers)));
}

function find(headers: IncomingMessage["headers"]): MockSession {
  const known = all.get(String(headers["chatcode-session"]));
  if (known === undefined) throw new Refused(Code.UNKNOWN_SESSION, 5, "there is no such session");
  return known.session;
}

const METHODS: Record<string, (body: Uint8Array, headers: IncomingMessage["headers"]) => Uint8Array> = {
  "Accounts/WhoAmI": call(accounts.AccountsWhoAmIRequestSchema, accounts.AccountsWhoAmIResponseSchema, () => ({
    principal: "person/1",
    displayName: "owner",
    installation: "7c41e09a",
    coreVersion: "0.1.0",
    permissions: [Permission.AUDIT_READ, Permission.GATEWAY_ENROLL, Permission.SESSION_SHARE],
  })),
  "Accounts/ListSessions": call(accounts.AccountsListSessionsRequestSchema, accounts.AccountsListSessionsResponseSchema, () => ({ sessions: browsers })),
  "Accounts/EndSessions": call(accounts.AccountsEndSessionsRequestSchema, accounts.AccountsEndSessionsResponseSchema, ({ which }) => {
    const before = browsers.length;
    browsers = browsers.filter(({ id, current }) => current || (which.case === "id" && id !== which.value));
    return { ended: before - browsers.length };
  }),
  "Identities/List": call(identities.IdentitiesListRequestSchema, identities.IdentitiesListResponseSchema, () => ({ identities: own, email: "owner@example.org" })),
  "Identities/Rename": call(identities.IdentitiesRenameRequestSchema, identities.IdentitiesRenameResponseSchema, ({ id, label }) => {
    for (const one of own) if (one.id === id) one.label = label;
    return {};
  }),
  "Identities/Remove": call(identities.IdentitiesRemoveRequestSchema, identities.IdentitiesRemoveResponseSchema, ({ id }) => {
    if (old) throw new Refused(Code.STEP_UP_REQUIRED, 7, "this needs a sign-in that is younger than five minutes");
    own = own.filter((one) => one.id !== id);
    return {};
  }),
  "Audit/List": call(audit.AuditListRequestSchema, audit.AuditListResponseSchema, listAudit),
  "Accounts/CreateTicket": call(accounts.AccountsCreateTicketRequestSchema, accounts.AccountsCreateTicketResponseSchema, () => ({
    ticket: "mock",
  })),
  "Devices/Look": call(devices.DevicesLookRequestSchema, devices.DevicesLookResponseSchema, ({ userCode }) => {
    if (userCode !== "BCDF-GHJK") throw new Refused(Code.BAD_TOKEN, 16, "nothing waits under this code; look at the code that the program shows");
    return {
      userCode,
      program: "chatcode 0.1.0",
      hostname: "attic",
      address: "192.0.2.7",
      role: PersonRole.OPERATOR,
      ttlS: 30 * 86400,
      askedUnixMs: BigInt(Date.now() - 40_000),
      expiresUnixMs: BigInt(Date.now() + 560_000),
    };
  }),
  "Devices/Decide": call(devices.DevicesDecideRequestSchema, devices.DevicesDecideResponseSchema, () => ({})),
  "Fleet/CreateToken": call(fleet.FleetCreateTokenRequestSchema, fleet.FleetCreateTokenResponseSchema, () => ({
    id: "9f2c1d7a",
    token: `chatcode-join-9f2c1d7a-${"Zk3Qw8".repeat(7)}-${"b7".repeat(16)}`,
    expiresUnixMs: BigInt(Date.now() + 15 * 60_000),
  })),
  "Fleet/ListTokens": call(fleet.FleetListTokensRequestSchema, fleet.FleetListTokensResponseSchema, () => ({ tokens })),
  "Fleet/RevokeToken": call(fleet.FleetRevokeTokenRequestSchema, fleet.FleetRevokeTokenResponseSchema, ({ id }) => {
    const at = tokens.findIndex((token) => token.id === id);
    if (at < 0) throw new Refused(Code.INVALID, 3, "no such join token can be used; it may have ended by itself");
    tokens.splice(at, 1);
    return {};
  }),
  "Fleet/DecidePending": call(fleet.FleetDecidePendingRequestSchema, fleet.FleetDecidePendingResponseSchema, ({ id }) => {
    pending = pending.filter((one) => one.id !== id);
    tell({ event: { case: "pendingRemoved", value: id } });
    return {};
  }),
  "Fleet/AcknowledgeDuplicate": call(fleet.FleetAcknowledgeDuplicateRequestSchema, fleet.FleetAcknowledgeDuplicateResponseSchema, ({ gateway: id }) => {
    const one = gateways.find((each) => each.id === id);
    if (one === undefined) throw new Refused(Code.UNKNOWN_GATEWAY, 5, "there is no such machine");
    one.duplicateUnixMs = 0n;
    tellGateway(one);
    return { gateway: one };
  }),
  "Fleet/Revoke": call(fleet.FleetRevokeRequestSchema, fleet.FleetRevokeResponseSchema, () => {
    throw new Refused(Code.FORBIDDEN, 7, "the mock's machines are not thrown out");
  }),
  "Host/UpdateStatus": call(host.HostUpdateStatusRequestSchema, host.HostUpdateStatusResponseSchema, (_, headers) => ({
    status: {
      installed: "0.1.0",
      available: headers["chatcode-gateway"] === gateways[1]?.id ? "0.2.0" : "",
      policy: host.UpdatePolicy.NOTIFY,
      problem:
        headers["chatcode-gateway"] === gateways[0]?.id
          ? "/usr/bin/chatcode-gateway was not installed from a release (no folder of versions with a link named current around it), so it cannot update itself; update it as it was installed"
          : "",
    },
  })),
  "Host/Update": call(host.HostUpdateRequestSchema, host.HostUpdateResponseSchema, () => {
    throw new Refused(Code.INVALID, 3, "the release is not signed by the key that this machine trusts");
  }),
  "Shares/Create": call(shares.SharesCreateRequestSchema, shares.SharesCreateResponseSchema, ({ gateway: home, session, role, uses, accountsOnly, ttlS, passphrase }) => {
    const made = create(shares.ShareSchema, {
      gateway: home,
      session,
      role,
      uses,
      accountsOnly,
      id: `s${links.length}`,
      passphrase: passphrase !== "",
      expiresUnixMs: BigInt(Date.now() + ttlS * 1000),
      createdByName: "owner",
    });
    links = [made, ...links];
    return { share: made, secret: "Zk3Qw8".repeat(7) };
  }),
  "Shares/List": call(shares.SharesListRequestSchema, shares.SharesListResponseSchema, ({ session }) => ({ shares: links.filter((one) => one.session === session) })),
  "Shares/Revoke": call(shares.SharesRevokeRequestSchema, shares.SharesRevokeResponseSchema, ({ id }) => {
    links = links.filter((one) => one.id !== id);
    return {};
  }),
  "Sessions/Create": call(sessions.SessionsCreateRequestSchema, sessions.SessionsCreateResponseSchema, (wish, headers) => {
    if (wish.folder.includes("..")) throw new Refused(Code.INVALID, 3, "the folder has “..” in it; name it directly");
    const home = String(headers["chatcode-gateway"]);
    const session = add(home, wish.name, wish.folder, wish.command, wish.session);
    Object.assign(session.info, { restart: wish.restart, resumeCommand: wish.resumeCommand });
    return { session: session.info };
  }),
  "Sessions/ListTmux": call(sessions.SessionsListTmuxRequestSchema, sessions.SessionsListTmuxResponseSchema, () => ({
    sessions: [
      { name: "deploy", windows: 3, clients: 1, command: ["tmux", "attach-session", "-t", "=deploy"] },
      { name: "notes", windows: 1, clients: 0, command: ["tmux", "attach-session", "-t", "=notes"] },
    ],
  })),
  "Sessions/Rename": call(sessions.SessionsRenameRequestSchema, sessions.SessionsRenameResponseSchema, (wish, headers) => {
    const session = find(headers);
    session.rename(wish.name);
    return { session: session.info };
  }),
  "Sessions/End": call(sessions.SessionsEndRequestSchema, sessions.SessionsEndResponseSchema, (_, headers) => {
    const session = find(headers);
    if (session.info.state === sessions.SessionState.EXITED) {
      const home = all.get(session.info.id)?.gateway ?? "";
      all.delete(session.info.id);
      tell({ event: { case: "sessionRemoved", value: { gateway: home, session: session.info.id } } });
      return {};
    }
    session.stop();
    return { session: session.info };
  }),
};

function frame(kind: number, body: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head[0] = kind;
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

async function unary(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const name = (request.url ?? "").replace("/chatcode.v1.", "");
  response.setHeader("content-type", "application/grpc-web+proto");
  try {
    if (!(request.headers.cookie ?? "").includes(COOKIE)) throw new Refused(Code.UNAUTHENTICATED, 16, "sign in");
    if (Date.now() < coreDownUntil) throw new Refused(Code.CORE_UNREACHABLE, 14, "the core does not answer");
    const serve = METHODS[name];
    if (serve === undefined) throw new Refused(Code.UNKNOWN_METHOD, 12, `no ${name} here`);
    const answer = serve(Buffer.concat(chunks).subarray(5), request.headers);
    response.end(Buffer.concat([frame(0, answer), frame(128, Buffer.from("grpc-status: 0\r\n"))]));
  } catch (error) {
    const refused = error instanceof Refused ? error : new Refused(Code.INTERNAL, 13, String(error));
    const trailers = [
      `grpc-status: ${refused.grpc}`,
      `grpc-message: ${encodeURIComponent(refused.message)}`,
      `chatcode-code: ${(Code[refused.code] ?? "").toLowerCase()}`,
    ];
    response.end(frame(128, Buffer.from(`${trailers.join("\r\n")}\r\n`)));
  }
}

// --- streaming calls ---

function stream(socket: WebSocket): void {
  sockets.add(socket);
  let serve: ((bytes: Uint8Array) => void) | undefined;
  let gone = (): void => undefined;
  socket.on("message", (data: Buffer, binary) => {
    if (!binary) {
      const { stamp } = fromJsonString(EdgePingSchema, data.toString());
      socket.send(toJsonString(EdgePongSchema, create(EdgePongSchema, { stamp, core: health() }), { useProtoFieldName: true, alwaysEmitImplicit: true }));
      return;
    }
    if (serve !== undefined) return serve(data);
    const open = fromBinary(OpenSchema, data);
    if (Date.now() < coreDownUntil) return end(socket, Code.CORE_UNREACHABLE, "the core does not answer");
    if (open.method === "/chatcode.v1.Fleet/Watch") {
      serve = () => watch(socket);
      gone = () => watchers.delete(socket);
      return;
    }
    if (open.method === "/chatcode.v1.Audit/Export") {
      serve = () => exportAudit(socket);
      return;
    }
    const home = gateways.find(({ id }) => id === open.gateway);
    if (home?.linkState !== LinkState.ONLINE) return end(socket, Code.GATEWAY_OFFLINE, "the machine has no link now");
    const session = all.get(open.session)?.session;
    if (session === undefined) return end(socket, Code.UNKNOWN_SESSION, "there is no such session");
    const peer: Peer = { send: (bytes) => socket.send(bytes), end: (code, message) => end(socket, code, message) };
    const role = nobodyKnows ? Role.VIEWER : Role.WRITER;
    serve = (bytes) => session.message(peer, bytes, names.shift() ?? "owner", role);
    gone = () => session.gone(peer);
  });
  socket.on("close", () => {
    sockets.delete(socket);
    gone();
  });
}

/** All rows; nobody has signed for them. */
function exportAudit(socket: WebSocket): void {
  const send = (part: MessageInitShape<typeof audit.AuditExportResponseSchema>["part"]): void =>
    socket.send(toBinary(audit.AuditExportResponseSchema, create(audit.AuditExportResponseSchema, { part: part ?? { case: undefined } })));
  send({ case: "begin", value: { installation: "7c41e09a", first: 1n } });
  send({ case: "rows", value: { rows: [...auditRows].reverse() } });
  send({ case: "head", value: { installation: "7c41e09a", number: BigInt(auditRows.length) } });
  socket.close(1000, "");
}

const names: string[] = [];

function end(socket: WebSocket, code: Code, message: string): void {
  socket.close(code === Code.DONE ? 1000 : 4000 + code, `${(Code[code] ?? "").toLowerCase()}: ${message}`.slice(0, 120));
}

function watch(socket: WebSocket): void {
  if (!empty) {
    for (const one of gateways) event(socket, { event: { case: "gatewayChanged", value: one } });
    for (const { gateway: home, session } of all.values()) {
      event(socket, { event: { case: "sessionChanged", value: { gateway: home, session: session.info } } });
    }
    for (const one of pending) event(socket, { event: { case: "pendingAdded", value: one } });
    watchers.add(socket);
  }
  event(socket, { event: { case: "synced", value: true } });
}

function health() {
  const up = Date.now() >= coreDownUntil;
  return create(CoreHealthSchema, { up, sinceUnixMs: BigInt(up ? started : coreDownUntil - 60_000), rttUs: 310n });
}

// --- faults ---

function someTokens(): fleet.TokenInfo[] {
  const minutes = (count: number): bigint => BigInt(Date.now() + count * 60_000);
  const token = (shape: MessageInitShape<typeof fleet.TokenInfoSchema>) => create(fleet.TokenInfoSchema, { kind: MemberKind.GATEWAY, uses: 1, ...shape });
  return [
    token({ id: "9f2c1d7a", name: "build-3", expiresUnixMs: minutes(14), createdUnixMs: minutes(-1), createdBy: "person/1" }),
    token({
      id: "51e0aa93",
      expiresUnixMs: minutes(213),
      createdUnixMs: minutes(-27),
      createdBy: "admin/3f0c22d1-0000-4000-8000-000000000007",
      uses: 20,
      used: 7,
      approval: true,
      network: "192.0.2.0/24",
      labels: { site: "attic", team: "kites" },
    }),
  ];
}

function someIdentities(): identities.Identity[] {
  const days = (count: number): bigint => BigInt(Date.now() - count * 86400e3);
  const { IdentityKind: kind, IdentitySchema: schema } = identities;
  return [
    create(schema, { id: "i1", kind: kind.PASSKEY, label: "Chrome on Linux", createdUnixMs: days(40), usedUnixMs: days(0.1) }),
    create(schema, { id: "i2", kind: kind.PASSKEY, label: "The key on my keyring", createdUnixMs: days(39) }),
    create(schema, { id: "i3", kind: kind.PASSWORD, label: "Password", createdUnixMs: days(3), usedUnixMs: days(2) }),
  ];
}

function someBrowsers(): accounts.PersonSession[] {
  const hours = (count: number): bigint => BigInt(Date.now() - count * 3600e3);
  const browser = (shape: MessageInitShape<typeof accounts.PersonSessionSchema>) => create(accounts.PersonSessionSchema, shape);
  // So many that the account is taller than a phone.
  const others = ["Safari on iPhone", "Firefox on Linux", "Edge on Windows", "Chrome on Android", "Safari on Mac"];
  return [
    browser({ id: "b1", device: "Chrome on Linux", address: "192.0.2.7", createdUnixMs: hours(5), usedUnixMs: hours(0), current: true }),
    ...others.map((device, i) => browser({ id: `b${i + 2}`, device, address: "198.51.100.23", createdUnixMs: hours(50 + i), usedUnixMs: hours(3 + i) })),
  ];
}

function somePending(): fleet.PendingGateway[] {
  const one = create(fleet.PendingGatewaySchema, {
    id: "p1",
    name: "attic-pi",
    host: { hostname: "attic-pi", os: "linux", arch: "aarch64", kernel: "6.6.31", user: "chatcode" },
    fingerprint: "SHA256:Zk3Qw8Vb1nHt0yLr5uXcE7sPqJ2mGdA9oFiK4wTzN6R",
    address: "192.0.2.17:40122",
    askedUnixMs: BigInt(Date.now() - 40_000),
    expiresUnixMs: BigInt(Date.now() + 3_560_000),
    token: "51e0aa93",
    labels: { site: "attic", team: "kites" },
  });
  return [one];
}

/** Puts the first machine into trouble, or out of it. */
function trouble(kind: string | null): void {
  const one = gateways[0];
  if (one === undefined) return;
  Object.assign(one, { duplicateUnixMs: 0n, duplicateHostname: "", duplicateAddress: "" });
  one.certificate = create(fleet.GatewayCertificateSchema, {
    notAfterUnixMs: BigInt(Date.now() + (kind === "certificate" ? 3.3 : 19) * 3600e3),
    renewedUnixMs: BigInt(Date.now() - 5 * 3600e3),
    failures: kind === "certificate" ? 4 : 0,
  });
  if (kind === "copy") Object.assign(one, { duplicateUnixMs: BigInt(Date.now() - 12 * 60_000), duplicateHostname: "mill-clone", duplicateAddress: "198.51.100.23:51820" });
  tellGateway(one);
}

function fault(url: URL): void {
  const hop = url.searchParams.get("hop");
  const until = Date.now() + Number(url.searchParams.get("ms") ?? 8000);
  if (hop === "core") coreDownUntil = until;
  if (hop === "edge") edgeDownUntil = until;
  if (hop === "read-only") nobodyKnows = true;
  if (hop === "empty") empty = true;
  if (hop === "trouble") trouble(url.searchParams.get("kind"));
  if (hop === "tokens") {
    tokens = url.searchParams.get("none") === null ? someTokens() : [];
    tell({ event: { case: "tokensChanged", value: true } });
  }
  if (hop === "pending") {
    for (const { id } of pending) tell({ event: { case: "pendingRemoved", value: id } });
    pending = url.searchParams.get("none") === null ? somePending() : [];
    for (const one of pending) tell({ event: { case: "pendingAdded", value: one } });
  }
  if (hop === "account") {
    const none = url.searchParams.get("none") !== null;
    const offer = url.searchParams.get("offer") !== null;
    own = none || offer ? [] : someIdentities();
    browsers = none ? [] : someBrowsers();
    old = !none;
    const providers = [
      { id: "google", name: "Google" },
      { id: "work", name: "Example Works" },
    ];
    methods = { passkeys: !none, passwords: !none, mail: !none, providers: none ? [] : providers };
  }
  if (hop === "name") names.push(url.searchParams.get("name") ?? "alex");
  if (hop === "machine") {
    for (const one of gateways.slice(0, 2)) {
      one.linkState = LinkState.OFFLINE;
      one.sinceUnixMs = BigInt(Date.now());
      tellGateway(one);
      setTimeout(() => {
        one.linkState = LinkState.ONLINE;
        one.sinceUnixMs = BigInt(Date.now());
        tellGateway(one);
      }, until - Date.now());
    }
  }
  for (const socket of sockets) {
    if (hop === "edge") socket.terminate();
    if (hop === "core") end(socket, Code.CORE_UNREACHABLE, "the core does not answer");
    if (hop === "machine" && !watchers.has(socket)) end(socket, Code.GATEWAY_OFFLINE, "the link to the machine broke");
  }
}

const server = createServer((request, response) => {
  const url = new URL(request.url ?? "/", `http://localhost:${PORT}`);
  if (url.pathname === "/dev/fault") {
    fault(url);
    response.end();
    return;
  }
  if (Date.now() < edgeDownUntil) {
    request.socket.destroy();
    return;
  }
  if (url.pathname.startsWith("/chatcode.v1.")) return void unary(request, response);
  if (url.pathname === "/api/health") {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ core: toJson(CoreHealthSchema, health()) }));
    return;
  }
  if (url.pathname === "/api/install") {
    const line = "curl -fsS https://code.example.org/install.sh | sh -s -- --from https://code.example.org/release/stable --core code.example.org:7421";
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ line, core: "code.example.org:7421" }));
    return;
  }
  if (url.pathname === "/api/sign-in/methods") {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(methods));
    return;
  }
  if (url.pathname === "/api/sign-in/begin") {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ mail: true }));
    return;
  }
  if (url.pathname === "/api/sign-out") {
    response.setHeader("set-cookie", `${COOKIE}; Max-Age=0; Path=/`);
    response.end();
    return;
  }
  if (url.pathname === "/api/sign-in") {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      response.setHeader("content-type", "application/json");
      const { secret, mail } = JSON.parse(body) as { secret?: string; mail?: { anywhere?: boolean } };
      if (mail?.anywhere === false) {
        const message = "this mail was asked for in another browser: Firefox on Linux, from 192.0.2.7. If that was you, go on: then you are signed in here, as ada@example.org. If it was not, close this page";
        response.statusCode = 400;
        response.end(JSON.stringify({ code: "other_browser", message }));
      } else if (secret === "dev") {
        response.setHeader("set-cookie", `${COOKIE}; HttpOnly; SameSite=Strict; Path=/`);
        response.end(JSON.stringify({ display_name: "owner", expires_unix_ms: Date.now() + 86400e3 }));
      } else {
        response.statusCode = 401;
        response.end(JSON.stringify({ code: "bad_token", message: "This sign-in link was used already or is too old." }));
      }
    });
    return;
  }
  try {
    const path = /^\/(auth\/callback\/[a-z0-9-]+)?$/.test(url.pathname) ? "/index.html" : normalize(url.pathname);
    const content = readFileSync(join(DIST, path));
    response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream");
    response.setHeader("content-security-policy", POLICY);
    response.end(content);
  } catch {
    response.statusCode = 404;
    response.end();
  }
});

const upgrade = new WebSocketServer({ noServer: true });
server.on("upgrade", (request, socket, head) => {
  if (Date.now() < edgeDownUntil) socket.destroy();
  else upgrade.handleUpgrade(request, socket, head, stream);
});

const [mill, harbour] = gateways;
if (!empty && mill !== undefined && harbour !== undefined) {
  const claude = add(mill.id, "claude", "~/work/chatcode", ["bash", "--norc"], "aaaaaaaa-0000-4000-8000-000000000001");
  Object.assign(claude.info, { restart: sessions.RestartPolicy.ON_BOOT, resumeCommand: ["claude", "--continue"] });
  add(mill.id, "shell", "", [], "aaaaaaaa-0000-4000-8000-000000000002");
  add(mill.id, "tests", "~/work/chatcode", ["sh", "-c", "echo running 214 tests; sleep 1; exit 101"]);
  add(harbour.id, "deploy", "/srv/site", ["bash", "--norc"], "aaaaaaaa-0000-4000-8000-000000000004");
}
server.listen(PORT, "127.0.0.1", () => process.stdout.write(`http://localhost:${PORT}/#login=dev\n`));
