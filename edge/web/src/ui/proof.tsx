// Who acts has to prove anew who they are: over the dialog that needs it, and then it goes on.

import { useEffect, useState, type ReactNode } from "react";

import type { ProofWanted } from "../app";
import type { Own } from "../account/identities";
import { knowsPasskeys } from "../account/passkey";
import { passwordProof, signInBy, signInByPasskey } from "../account/sign-in";
import { IdentityKind } from "../gen/chatcode/v1/identities_pb";
import { Command } from "./command";
import { Dialog, focusLater, useAct } from "./dialog";
import { PasswordField } from "./fields";
import { useApp, useStore } from "./hooks";
import { addressOf, ProveByMail } from "./prove-by-mail";

export function ProofQuestion(): ReactNode {
  const app = useApp();
  const wanted = useStore(app.proof);
  return wanted === undefined ? null : <Prove wanted={wanted} />;
}

function Prove({ wanted }: { wanted: ProofWanted }): ReactNode {
  const { elsewhere, identities } = useApp();
  const [own, setOwn] = useState<Own>();
  const { busy, refused, refuse, run } = useAct();
  const [password, setPassword] = useState("");
  const [before] = useState(() => document.activeElement);
  const has = (kind: IdentityKind): boolean => own?.identities.some((one) => one.kind === kind) === true;
  const passkey = has(IdentityKind.PASSKEY) && own?.methods.passkeys === true && knowsPasskeys();
  const byPassword = has(IdentityKind.PASSWORD) && own?.methods.passwords === true;
  const address = addressOf(own);
  const prove = async (proof: () => Promise<unknown>): Promise<void> => {
    if (await run(async () => void (await proof()))) wanted.done(true);
  };
  useEffect(() => {
    identities.ask().then(setOwn, (error: unknown) => refuse(error instanceof Error ? error.message : "it cannot be asked how"));
    // Once: `refuse` is another one each time.
  }, [identities]);
  useEffect(
    () => () => {
      requestAnimationFrame(() => giveBack(before));
    },
    [before],
  );
  const touch = (
    <button type="button" className="primary" disabled={busy} data-autofocus data-testid="prove-passkey" onClick={() => void prove(() => signInByPasskey(true))}>
      {busy ? "Waiting for your passkey…" : "Use a passkey"}
    </button>
  );
  const send = (
    <button type="submit" className={passkey ? "small" : "primary"} disabled={busy} data-testid="prove-submit">
      Use the password
    </button>
  );
  return (
    <Dialog
      key={own === undefined ? "asking" : "asked"}
      title="Is it you?"
      testId="prove"
      close={() => wanted.done(false)}
      refused={refused}
      acts={
        <>
          {byPassword && send}
          {passkey && touch}
        </>
      }
      form={{ submit: () => void (byPassword && prove(() => signInBy(passwordProof(own.email, password), true))) }}
    >
      <p>This needs a proof of who you are that is younger than five minutes. Then it goes on by itself.</p>
      {byPassword && <PasswordField value={password} set={setPassword} testId="prove-password" complete="current-password" first={!passkey} />}
      {address !== "" && <ProveByMail address={address} busy={busy} run={run} prove={(code) => prove(() => elsewhere.signInByCode(code, true))} />}
      {own !== undefined && !passkey && !byPassword && address === "" && (
        <>
          <p className="prove-link">Your account has no passkey yet, so it takes a new one-time link, opened in this browser:</p>
          <Command text="chatcode login-url" />
        </>
      )}
    </Dialog>
  );
}

/** Gives the keyboard back to what had it, or to the dialog below. */
function giveBack(before: Element | null): void {
  if (document.activeElement !== document.body) return;
  if (before instanceof HTMLElement && before.isConnected) before.focus();
  if (document.activeElement === document.body) focusLater();
}
