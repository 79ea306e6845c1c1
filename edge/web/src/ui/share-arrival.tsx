// What somebody sees who came by a link to one session.

import { useState, type FormEvent, type ReactNode } from "react";

import type { Coming } from "../sharing/entering";
import { dateText, displaySafe } from "../words";
import { useAct } from "./dialog";
import { useApp } from "./hooks";
import { Mark } from "./icons";

const NAME_CHARS = 48;

export function ComingFace({ coming }: { coming: Coming }): ReactNode {
  const { entering } = useApp();
  switch (coming.state) {
    case "looking":
      return (
        <Card title="A session is shared with you" state="looking">
          <p role="status">Asking what the link leads to…</p>
        </Card>
      );
    case "refused":
      return (
        <Card title="This link does not let you in" state="refused">
          <p className="calm-why" role="alert" data-testid="coming-refused">
            {displaySafe(coming.words)}
          </p>
          <div className="calm-row">
            <button type="button" className="primary" autoFocus data-testid="coming-again" onClick={() => void entering.look()}>
              Try again
            </button>
            <button type="button" className="quiet" data-testid="coming-leave" onClick={entering.leave}>
              To chatcode
            </button>
          </div>
        </Card>
      );
    case "asked":
      return <ComeIn coming={coming} />;
  }
}

function ComeIn({ coming }: { coming: Extract<Coming, { state: "asked" }> }): ReactNode {
  const { entering } = useApp();
  const { guestOf, signedInAs, isIn, accountsOnly } = coming;
  const [name, setName] = useState(entering.lastName);
  const [passphrase, setPassphrase] = useState("");
  const { busy, refused, run } = useAct();
  const asksName = signedInAs === "" && !isIn;
  const asksPassphrase = coming.passphrase && !isIn;
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void run(() => entering.enter(asksName ? name.trim() : "", passphrase));
  };
  return (
    <Card title={`${displaySafe(guestOf.sharedBy, 64)} shares a terminal with you`} state="asked">
      <dl className="share-facts">
        <dt>Session</dt>
        <dd data-testid="coming-session">{displaySafe(guestOf.sessionName === "" ? "not known just now" : guestOf.sessionName, 128)}</dd>
        <dt>You may</dt>
        <dd data-testid="coming-role">{guestOf.writer ? "look and type" : "look"}</dd>
        <dt>Until</dt>
        <dd>{dateText(guestOf.expiresUnixMs)}</dd>
      </dl>
      {refused !== undefined && (
        <p className="calm-why" role="alert" data-testid="coming-refused">
          {displaySafe(refused)}
        </p>
      )}
      {accountsOnly && signedInAs === "" ? (
        <>
          <p>This link is for people with an account here.</p>
          <button type="button" className="primary calm-wide" autoFocus data-testid="coming-sign-in" onClick={entering.signInFirst}>
            Sign in first
          </button>
        </>
      ) : (
        <form className="calm-form" data-testid="coming-form" onSubmit={submit}>
          {asksName ? (
            <label className="field">
              <span>Your name</span>
              <input value={name} required maxLength={NAME_CHARS} autoComplete="name" autoFocus data-testid="coming-name" onChange={(event) => setName(event.target.value)} />
              <small>The others in the session see it.</small>
            </label>
          ) : (
            <p data-testid="coming-as">{isIn ? "You were here before, and come back as the same guest." : `You come in as ${displaySafe(signedInAs, 64)}.`}</p>
          )}
          {asksPassphrase && (
            <label className="field">
              <span>Passphrase</span>
              <input
                type="password"
                value={passphrase}
                required
                autoComplete="off"
                autoFocus={!asksName}
                data-testid="coming-passphrase"
                onChange={(event) => setPassphrase(event.target.value)}
              />
              <small>Who gave you the link knows it.</small>
            </label>
          )}
          <button type="submit" className="primary calm-wide" disabled={busy} data-testid="coming-enter">
            Come in
          </button>
        </form>
      )}
      <p className="calm-small">You see this one session and nothing else here. Who else is in it sees you.</p>
    </Card>
  );
}

function Card({ title, state, children }: { title: string; state: Coming["state"]; children: ReactNode }): ReactNode {
  return (
    <main className="calm" data-testid="coming" data-state={state}>
      <section className="calm-card" aria-labelledby="calm-title">
        <Mark size={40} />
        <h1 id="calm-title">{title}</h1>
        {children}
      </section>
    </main>
  );
}
