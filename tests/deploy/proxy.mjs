// A proxy for the tests of the installation, on a port of its own of ADDRESS:
//   node tests/deploy/proxy.mjs ADDRESS [works|refuses|hangs] [NAME:PASSWORD] [HOST=ADDRESS]
// Prints its port, and then a line for each request: what was asked, never by whom.

import { createServer, request } from "node:http";
import { connect } from "node:net";

const [, , address, behaviour = "works", account = "", alias = ""] = process.argv;
const [name, place] = alias.split("=");
const wanted = account === "" ? undefined : `Basic ${Buffer.from(account).toString("base64")}`;
const where = (host) => (host === name ? place : host);

/** Why this request gets nothing; undefined when it does. */
function refusal({ headers }) {
  if (behaviour === "refuses") return 403;
  return wanted === undefined || headers["proxy-authorization"] === wanted ? undefined : 407;
}

const server = createServer((asked, answer) => {
  console.log(`${asked.method} ${asked.url}`);
  if (behaviour === "hangs") return;
  const status = refusal(asked);
  if (status !== undefined) return void answer.writeHead(status, { "proxy-authenticate": "Basic" }).end();
  const url = new URL(asked.url);
  const { "proxy-authorization": _, ...headers } = asked.headers;
  const onward = request({ host: where(url.hostname), port: url.port, path: url.pathname, headers, agent: false }, (answered) => {
    answer.writeHead(answered.statusCode, answered.headers);
    answered.pipe(answer);
  });
  onward.on("error", () => answer.writeHead(502).end());
  onward.end();
});

server.on("connect", (asked, socket) => {
  console.log(`CONNECT ${asked.url}`);
  socket.on("error", () => socket.destroy());
  if (behaviour === "hangs") return;
  const status = refusal(asked);
  if (status !== undefined) return void socket.end(`HTTP/1.1 ${status} Refused\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n`);
  const [host, port] = asked.url.split(":");
  const onward = connect(Number(port), where(host), () => {
    socket.write("HTTP/1.1 200 OK\r\n\r\n");
    onward.pipe(socket).pipe(onward);
  });
  onward.on("error", () => socket.destroy());
  socket.on("close", () => onward.destroy());
});

server.listen(0, address, () => console.log(server.address().port));
