// The calm faces: nobody is signed in, or that cannot be asked just now.

import { useEffect, useState, type FormEvent, type ReactNode } from "react";

import type { Account } from "../account/account";
import { knowsPasskeys, offersInFields } from "../account/passkey";
import { passwordProof, signInBy, signInByPasskey, signInInField, signInMethods, type Methods } from "../account/sign-in";
import { accused } from "../link/health";
import { explain } from "../link/refusal";
import { displaySafe, spanText } from "../words";
import { Command } from "./command";
import { useAct, type Act } from "./dialog";
import { PasswordField } from "./fields";
import { useApp, useNow, useStore } from "./hooks";
import { Mark } from "./icons";
import { MailForm, ProviderButtons } from "./sign-in-elsewhere";

export function SignedOut({ why }: { why: string | undefined }): ReactNode {
  const { device } = useApp();
  const methods = useMethods();
  const act = useAct();
  const waits = useStore(device.asked) !== undefined;
  const words = act.refused ?? (act.busy ? undefined : why);
  const passkeys = methods?.passkeys === true && knowsPasskeys();
  const passwords = methods?.passwords === true;
  const providers = methods?.providers ?? [];
  const mail = methods?.mail === true;
  const ways = passkeys || passwords || mail || providers.length > 0;
  return (
    <main className="calm" data-testid="sign-in-state" data-state="signed-out" data-methods={methods === undefined ? "asking" : "known"}>
      <section className="calm-card" aria-labelledby="calm-title">
        <Mark size={40} />
        <h1 id="calm-title">{ways ? "Sign in to chatcode" : "Open the link that chatcode printed"}</h1>
        {words !== undefined && (
          <p className="calm-why" role="alert" data-testid="sign-in-refused">
            {displaySafe(words)}
          </p>
        )}
        {waits && (
          <p role="status" data-testid="sign-in-device">
            A program waits to be let in as you. Sign in first; then you see what asks.
          </p>
        )}
        {passkeys && <PasskeyButton act={act} />}
        {passwords && <PasswordForm act={act} passkeys={passkeys} />}
        <ProviderButtons act={act} providers={providers} />
        {mail && <MailForm act={act} />}
        {ways ? <h2 className="calm-or">Or by a one-time link</h2> : undefined}
        <p>
          A sign-in link works once and for ten minutes. It was printed by <code>chatcode up</code>. For a new one, run this on
          the machine where it runs:
        </p>
        <Command text="chatcode login-url" />
        <p className="calm-small">Then open the address that it prints, here or in another browser.</p>
      </section>
    </main>
  );
}

/** Which ways are open; the link always is, so nobody waits for the answer. */
function useMethods(): Methods | undefined {
  const [methods, setMethods] = useState<Methods>();
  useEffect(() => {
    let shown = true;
    signInMethods().then(
      (told) => shown && setMethods(told),
      () => shown && setMethods({ passkeys: false, passwords: false, mail: false, providers: [] }),
    );
    return () => {
      shown = false;
    };
  }, []);
  return methods;
}

function PasskeyButton({ act: { busy, run } }: { act: Act }): ReactNode {
  const { account } = useApp();
  return (
    <button type="button" className="primary calm-wide" disabled={busy} data-testid="sign-in-passkey" onClick={() => void run(() => account.signedIn(signInByPasskey()))}>
      {busy ? "Waiting for your passkey…" : "Sign in with a passkey"}
    </button>
  );
}

function PasswordForm({ act: { busy, run, refuse }, passkeys }: { act: Act; passkeys: boolean }): ReactNode {
  const { account } = useApp();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  useEffect(() => {
    if (!passkeys) return undefined;
    // A passkey may be chosen in the field of the address, too.
    const ended = new AbortController();
    offersInFields()
      .then((offered) => (offered && !ended.signal.aborted ? account.signedIn(signInInField(ended.signal, refuse)) : undefined))
      .catch(() => undefined); // the button says what is wrong
    return () => ended.abort();
  }, [account, passkeys, refuse]);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    void run(() => account.signedIn(signInBy(passwordProof(email, password))));
  };
  return (
    <form className="calm-form" data-testid="sign-in-form" onSubmit={submit}>
      <label className="field">
        <span>E-mail</span>
        <input type="email" value={email} required autoComplete={passkeys ? "username webauthn" : "username"} data-testid="sign-in-email" onChange={(event) => setEmail(event.target.value)} />
      </label>
      <PasswordField value={password} set={setPassword} testId="sign-in-password" complete="current-password" />
      <button type="submit" className={passkeys ? "small calm-wide" : "primary calm-wide"} disabled={busy} data-testid="sign-in-submit">
        Sign in with the password
      </button>
    </form>
  );
}

export function Waiting({ waiting, again }: { waiting: Extract<Account, { state: "waiting" }>; again: () => void }): ReactNode {
  const now = useNow(true);
  const hop = accused(waiting.refusal.code);
  const isSilent = hop === "edge" || hop === "core";
  const seconds = Math.max(Math.ceil((waiting.nextTry - now) / 1000), 0);
  return (
    <main className="calm" data-testid="sign-in-state" data-state="waiting">
      <section className="calm-card" aria-labelledby="calm-title">
        <Mark size={40} />
        <h1 id="calm-title">{isSilent ? `The ${hop} does not answer` : "You cannot come in just now"}</h1>
        {!isSilent && (
          <p className="calm-why" role="alert" data-testid="sign-in-refused">
            {displaySafe(explain(waiting.refusal))}
          </p>
        )}
        <p>
          Your sessions are not touched by this: they run on their machines and wait for you. This page has been trying for{" "}
          {spanText(now - waiting.since)}.
        </p>
        <div className="calm-row">
          <button type="button" className="primary" onClick={again} data-testid="try-now">
            Try now
          </button>
          <span className="calm-small" aria-hidden="true">
            next try {seconds === 0 ? "now" : `in ${seconds} s`}
          </span>
        </div>
      </section>
    </main>
  );
}
