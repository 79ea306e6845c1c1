// The join tokens that are out: what each lets in, and taking one back.

import { useEffect, useRef, useState, type ReactNode } from "react";

import { MemberKind } from "../gen/chatcode/v1/enrollment_pb";
import type { TokenInfo } from "../gen/chatcode/v1/fleet_pb";
import { explain } from "../link/refusal";
import { displaySafe, spanText } from "../words";
import { Refused, useAct } from "./dialog";
import { useApp, useNow, useStore } from "./hooks";
import { labelsText } from "./machine-words";

/** All of them, kept up to date; `focused`: the keyboard begins here. */
export function OpenTokens({ focused }: { focused: boolean }): ReactNode {
  const app = useApp();
  const now = useNow(true);
  const { tokensSeen } = useStore(app.fleet.state);
  const [tokens, setTokens] = useState<readonly TokenInfo[]>();
  const [refused, setRefused] = useState<string>();
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    let asked = true;
    app.joinTokens().then(
      (all) => {
        if (!asked) return;
        setTokens(all);
        setRefused(undefined);
      },
      (error: unknown) => asked && setRefused(explain(error)),
    );
    return () => {
      asked = false;
    };
  }, [app, tokensSeen]);
  const open = tokens?.filter((token) => Number(token.expiresUnixMs) > now);
  const takenBack = (id: string): void => {
    setTokens((all) => all?.filter((token) => token.id !== id));
    title.current?.focus();
  };
  return (
    <section className="tokens" aria-labelledby="tokens-title" data-testid="tokens">
      <h3 id="tokens-title" tabIndex={-1} ref={title} data-autofocus={focused ? true : undefined}>
        Tokens that are out
      </h3>
      <Refused words={refused} />
      {open === undefined && refused === undefined && <p className="tokens-none">Asking for them…</p>}
      {open?.length === 0 && (
        <p className="tokens-none" data-testid="tokens-none">
          None. One that is made stands here until it is used up, ends, or is taken back.
        </p>
      )}
      <ul>
        {open?.map((token) => (
          <Token key={token.id} token={token} now={now} gone={() => takenBack(token.id)} />
        ))}
      </ul>
    </section>
  );
}

function Token({ token, now, gone }: { token: TokenInfo; now: number; gone: () => void }): ReactNode {
  const app = useApp();
  const who = useStore(app.account.account);
  const [asking, setAsking] = useState(false);
  const { busy, refused, run } = useAct();
  const me = who.state === "signed-in" ? who.principal : "";
  const name = tokenName(token);
  const takeBack = async (): Promise<void> => {
    if (await run(() => app.takeBack(token.id))) gone();
  };
  return (
    <li className="token" data-testid="token" data-token={token.id}>
      <div className="token-head">
        <span className="token-name">{name}</span>
        <code>{token.id}</code>
        {!asking && (
          <button type="button" className="small" data-testid="token-take-back" aria-label={`Take back the token for ${name}, ${token.id}`} onClick={() => setAsking(true)}>
            Take back
          </button>
        )}
      </div>
      <p className="token-detail">{tokenText(token, now)}</p>
      <p className="token-detail">{madeText(token, me, now)}</p>
      {asking && (
        <div className="token-question" role="group" aria-label={`Take back ${token.id}?`} data-testid="token-question">
          <p>It lets nobody in any more, and refuses who waits by it. Machines that have joined by it stay.</p>
          <Refused words={refused} />
          <div className="dialog-acts">
            <button type="button" className="quiet" autoFocus onClick={() => setAsking(false)}>
              Keep it
            </button>
            <button type="button" className="danger" disabled={busy} data-testid="token-confirm" onClick={() => void takeBack()}>
              Take it back
            </button>
          </div>
        </div>
      )}
    </li>
  );
}

/** Whom a token lets in. */
export function tokenName({ kind, name }: TokenInfo): string {
  if (name !== "") return displaySafe(name, 64);
  if (kind === MemberKind.EDGE) return "An edge";
  return kind === MemberKind.ADMIN ? "An administrator" : "Any machine";
}

/** What a token is good for. */
export function tokenText({ uses, used, expiresUnixMs, network, approval, labels }: TokenInfo, now: number): string {
  const left = Math.max(uses - used, 0);
  const words = [
    uses === 1 ? "good once" : `${left} of ${uses} uses left`,
    `ends in ${spanText(Number(expiresUnixMs) - now)}`,
    approval ? "asks for approval" : "",
    network === "" ? "" : `only from ${displaySafe(network, 64)}`,
    labelsText(labels),
  ];
  return words.filter((word) => word !== "").join(" · ");
}

/** When a token was made, and by whom; `me` is who looks. */
export function madeText({ createdUnixMs, createdBy }: TokenInfo, me: string, now: number): string {
  // "admin/3f0c22d1-…": the first digits name whom.
  const by = createdBy === me ? "you" : displaySafe(createdBy.replace(/^(\w+)\/([0-9a-f]{8})-.*$/u, "$1 $2"), 64);
  const when = createdUnixMs === 0n ? "Made" : `Made ${spanText(now - Number(createdUnixMs))} ago`;
  return by === "" ? when : `${when} by ${by}`;
}
