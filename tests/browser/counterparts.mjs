// Others whom a core speaks to: an OpenID provider and a mail server, real ones, on any port of this machine.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

import { simpleParser } from "mailparser";
import Provider from "oidc-provider";
import { SMTPServer } from "smtp-server";

export const CLIENT = { id: "chatcode", secret: "a secret of the tests" };

/**
 * An OpenID provider whose people are these: `{ ada: { email, email_verified, name, groups } }`. They may be changed. It
 * listens at once, and answers once `for(origin)` has told it whose page it is for.
 */
export async function provider(people) {
  const server = createServer((request, response) => {
    if (answer === undefined) response.writeHead(503).end();
    else answer(request, response);
  });
  let answer;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const issuer = `http://127.0.0.1:${server.address().port}`;
  return {
    issuer,
    for(origin) {
      const oidc = new Provider(issuer, {
        clients: [{ client_id: CLIENT.id, client_secret: CLIENT.secret, redirect_uris: [`${origin}/auth/callback/works`] }],
        claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
        scopes: ["openid", "email", "profile", "groups"],
        pkce: { required: () => true },
        cookies: { keys: ["of the tests"] },
        findAccount: (_, name) => (people[name] === undefined ? undefined : { accountId: name, claims: () => ({ sub: name, ...people[name] }) }),
        // Nobody is asked whether this installation may know who they are.
        async loadExistingGrant({ oidc: { client, session, result } }) {
          const known = result?.consent?.grantId ?? session.grantIdFor(client.clientId);
          if (known !== undefined) return await oidc.Grant.find(known);
          const grant = new oidc.Grant({ clientId: client.clientId, accountId: session.accountId });
          grant.addOIDCScope("openid email profile groups");
          await grant.save();
          return grant;
        },
      });
      answer = oidc.callback();
    },
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** At the provider: signs in as this person, if it asks. */
export async function agree(page, name) {
  await page.locator('input[name="login"]').fill(name);
  await page.locator('input[name="password"]').fill("any");
  await page.locator('button[type="submit"]').click();
}

/** A mail server that insists on STARTTLS with a certificate of this folder, and on this user. */
export async function post(folder, { user, password }) {
  const [key, cert] = ["post.key", "post.pem"].map((name) => join(folder, name));
  mkdirSync(folder, { recursive: true });
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", cert], { stdio: "pipe" });
  writeFileSync(join(folder, "post.password"), `${password}\n`, { mode: 0o600 });
  const [mails, waiting] = [[], []];
  const server = new SMTPServer({
    key: readFileSync(key),
    cert: readFileSync(cert),
    authMethods: ["PLAIN", "LOGIN"],
    onAuth: (given, session, done) => (session.secure && given.username === user && given.password === password ? done(null, { user }) : done(new Error("who are you"))),
    onData(stream, session, done) {
      simpleParser(stream).then((mail) => {
        const one = { to: session.envelope.rcptTo.map(({ address }) => address).join(), text: mail.text, html: mail.html, subject: mail.subject };
        const next = waiting.shift();
        if (next === undefined) mails.push(one);
        else next(one);
        done();
      }, done);
    },
  });
  server.on("error", () => undefined); // a client that hangs up
  server.listen(0, "127.0.0.1");
  await once(server.server, "listening");
  return {
    port: server.server.address().port,
    roots: cert,
    passwordFile: join(folder, "post.password"),
    /** The next mail that comes. */
    async next() {
      if (mails.length > 0) return mails.shift();
      return await Promise.race([
        new Promise((resolve) => waiting.push(resolve)),
        new Promise((_, reject) => setTimeout(() => reject(new Error("no mail came")), 20_000).unref()),
      ]);
    },
    /** Mails that came and nobody has looked at. */
    count: () => mails.length,
    stop: () => new Promise((resolve) => server.close(resolve)),
  };
}
