// What somebody sees who came by a mail's link or from an identity provider.

import { useState, type ReactNode } from "react";

import type { Arrival } from "../account/elsewhere";
import { Code } from "../gen/chatcode/v1/code_pb";
import { fromError } from "../link/refusal";
import { displaySafe } from "../words";
import { useAct } from "./dialog";
import { useApp } from "./hooks";
import { Mark } from "./icons";

/** The most of what others wrote that is shown. */
const WORDS = 400;

export function ArrivalFace({ arrival }: { arrival: Arrival }): ReactNode {
  switch (arrival.kind) {
    case "mail":
      return <ByLink key={arrival.link} link={arrival.link} />;
    case "provider":
      return (
        <Card title="Signing you in" kind="provider">
          <p role="status">Your identity provider has sent you back; its answer is being checked.</p>
        </Card>
      );
    case "added":
      return (
        <Card title="Linked" kind="added">
          <p>
            From now on you can sign in by <b>{displaySafe(arrival.label, 64)}</b>.
          </p>
          <GoOn />
        </Card>
      );
    case "refused":
      return (
        <Card title="That did not work" kind="refused">
          <p className="calm-why" role="alert" data-testid="arrival-refused">
            {displaySafe(arrival.words, WORDS)}
          </p>
          <GoOn />
        </Card>
      );
  }
}

function ByLink({ link }: { link: string }): ReactNode {
  const { elsewhere } = useApp();
  const act = useAct();
  const [other, setOther] = useState<string>();
  const signIn = (): void =>
    void act.run(() =>
      elsewhere.signInByLink(link, other !== undefined).catch((error: unknown) => {
        const refusal = fromError(error);
        if (refusal.code !== Code.OTHER_BROWSER) throw refusal;
        setOther(refusal.message);
      }),
    );
  return (
    <Card title="Sign in by mail" kind="mail">
      {act.refused !== undefined && (
        <p className="calm-why" role="alert" data-testid="arrival-refused">
          {displaySafe(act.refused, WORDS)}
        </p>
      )}
      {other === undefined ? (
        <p>You opened the link of a sign-in mail. It works once.</p>
      ) : (
        <p className="calm-why" role="alert" data-testid="arrival-other">
          {displaySafe(other, WORDS)}
        </p>
      )}
      <div className="calm-row">
        <button type="button" className="primary" disabled={act.busy} data-testid="arrival-sign-in" onClick={signIn}>
          {other === undefined ? "Sign in" : "It was me: sign in here"}
        </button>
        <button type="button" className="quiet" data-testid="arrival-leave" onClick={elsewhere.leave}>
          Not now
        </button>
      </div>
    </Card>
  );
}

function GoOn(): ReactNode {
  const { elsewhere } = useApp();
  return (
    <div className="calm-row">
      <button type="button" className="primary" autoFocus data-testid="arrival-leave" onClick={elsewhere.leave}>
        Go on
      </button>
    </div>
  );
}

function Card({ title, kind, children }: { title: string; kind: Arrival["kind"]; children: ReactNode }): ReactNode {
  return (
    <main className="calm" data-testid="arrival" data-kind={kind}>
      <section className="calm-card" aria-labelledby="calm-title">
        <Mark size={40} />
        <h1 id="calm-title">{title}</h1>
        {children}
      </section>
    </main>
  );
}
