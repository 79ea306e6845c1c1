// A person proves anew who they are by the code of a mail. Within the form of a dialog, so without one of its own.

import { useState, type ReactNode } from "react";

import type { Own } from "../account/identities";
import { IdentityKind } from "../gen/chatcode/v1/identities_pb";
import { displaySafe } from "../words";
import type { Act } from "./dialog";
import { useApp } from "./hooks";

/** Where a code can be sent: an address that the person has added (it may have another name by now), else that of the account; empty: nowhere. */
export function addressOf(own: Own | undefined): string {
  if (own?.methods.mail !== true) return "";
  const added = own.identities.find(({ kind, label }) => kind === IdentityKind.MAIL && /^[^\s@]+@[^\s@]+$/u.test(label));
  return added?.label ?? own.email;
}

export function ProveByMail({ address, busy, run, prove }: { address: string; busy: boolean; run: Act["run"]; prove: (code: string) => Promise<void> }): ReactNode {
  const { elsewhere } = useApp();
  const [sent, setSent] = useState(false);
  const [code, setCode] = useState("");
  const send = async (): Promise<void> => setSent(await run(() => elsewhere.askForMail(address)));
  if (!sent) {
    return (
      <button type="button" className="small prove-mail" disabled={busy} data-testid="prove-mail" onClick={() => void send()}>
        Mail a code to {displaySafe(address, 254)}
      </button>
    );
  }
  return (
    <>
      <label className="field">
        <span>Code of the mail</span>
        <input value={code} inputMode="numeric" autoComplete="one-time-code" autoFocus maxLength={16} data-testid="prove-code" onChange={(event) => setCode(event.target.value)} />
      </label>
      <button type="button" className="primary prove-mail" disabled={busy || code === ""} data-testid="prove-code-submit" onClick={() => void prove(code)}>
        Use the code
      </button>
    </>
  );
}
