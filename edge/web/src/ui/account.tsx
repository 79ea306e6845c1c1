// The person's own account: by what they sign in, and in which browsers they are.

import { useEffect, useRef, useState, type ReactNode } from "react";

import { knowsPasskeys } from "../account/passkey";
import type { PersonSession } from "../gen/chatcode/v1/accounts_pb";
import { IdentityKind, type Identity } from "../gen/chatcode/v1/identities_pb";
import { NAME_CHARS, PASSWORD_CHARS_LEAST, PASSWORD_CHARS_MOST } from "../link/limits";
import { displaySafe, spanText } from "../words";
import { AddElsewhere } from "./account-elsewhere";
import { Dialog, useAct, type Act } from "./dialog";
import { PasswordField, Rename } from "./fields";
import { useApp, useNow, useStore } from "./hooks";
import { PencilIcon } from "./icons";

export function AccountDialog({ close }: { close: () => void }): ReactNode {
  const { account, identities } = useApp();
  const who = useStore(account.account);
  const own = useStore(identities.own);
  const act = useAct();
  useEffect(() => void act.run(async () => void (await identities.ask())), [identities]);
  const name = who.state === "signed-in" ? displaySafe(who.displayName, NAME_CHARS) : "";
  const email = displaySafe(own?.email ?? "", 254);
  return (
    <Dialog title="Account" testId="account" className="account" later="Close" over reading close={close} refused={act.refused}>
      <p data-testid="account-who">
        <b>{name}</b>
        {email === "" ? "" : `, ${email}`}
      </p>
      <Identities act={act} />
      <Browsers act={act} />
    </Dialog>
  );
}

function Identities({ act }: { act: Act }): ReactNode {
  const { identities } = useApp();
  const own = useStore(identities.own);
  const title = useRef<HTMLHeadingElement>(null);
  const [password, setPassword] = useState(false);
  const has = (kind: IdentityKind): boolean => own?.identities.some((one) => one.kind === kind) === true;
  const passwords = own?.methods.passwords === true && own.email !== "";
  return (
    <section className="tokens" aria-labelledby="identities-title" data-testid="identities">
      <h3 id="identities-title" tabIndex={-1} ref={title}>
        Ways to sign in
      </h3>
      {own?.identities.length === 0 && (
        <p className="tokens-none" data-testid="identities-none">
          Only one-time links. A passkey is quicker, and nobody can copy it off you.
        </p>
      )}
      <ul>
        {own?.identities.map((one) => (
          <Entry key={one.id} identity={one} act={act} gone={() => title.current?.focus()} />
        ))}
      </ul>
      {password && (
        <PasswordForm
          act={act}
          over={() => {
            setPassword(false);
            title.current?.focus();
          }}
        />
      )}
      <div className="account-acts">
        {own?.methods.passkeys === true && knowsPasskeys() && (
          <button type="button" className="small" disabled={act.busy} data-testid="passkey-add" onClick={() => void act.run(() => identities.addPasskey())}>
            Add a passkey
          </button>
        )}
        {passwords && !password && (
          <button type="button" className="small" disabled={act.busy} data-testid="password-open" onClick={() => setPassword(true)}>
            {has(IdentityKind.PASSWORD) ? "Change the password" : "Set a password"}
          </button>
        )}
      </div>
      {own !== undefined && <AddElsewhere act={act} methods={own.methods} />}
      {own?.methods.passwords === true && own.email === "" && (
        <p className="tokens-none">A password needs an e-mail address: an administrator gives you one (chatcode admin people update).</p>
      )}
    </section>
  );
}

export const KINDS: Record<IdentityKind, string> = {
  [IdentityKind.UNSPECIFIED]: "",
  [IdentityKind.PASSKEY]: "passkey",
  [IdentityKind.PASSWORD]: "password",
  [IdentityKind.MAIL]: "link by mail",
  [IdentityKind.PROVIDER]: "identity provider",
};

function Entry({ identity, act, gone }: { identity: Identity; act: Act; gone: () => void }): ReactNode {
  const { identities } = useApp();
  const now = useNow(true);
  const [mode, setMode] = useState<"shown" | "renaming" | "removing">("shown");
  const label = displaySafe(identity.label, NAME_CHARS);
  const used = identity.usedUnixMs === 0n ? "not used yet" : `used ${spanText(now - Number(identity.usedUnixMs))} ago`;
  const rename = async (next: string | undefined): Promise<void> => {
    setMode("shown");
    const wanted = next?.trim() ?? "";
    if (wanted !== "" && wanted !== identity.label) await act.run(() => identities.rename(identity.id, wanted));
    gone();
  };
  const remove = async (): Promise<void> => {
    if (await act.run(() => identities.remove(identity.id))) gone();
    else setMode("shown");
  };
  return (
    <li className="token" data-testid="identity" data-kind={KINDS[identity.kind]}>
      <div className="token-head">
        {mode === "renaming" ? (
          <Rename name={label} maxLength={NAME_CHARS} testId="identity-label" done={(next) => void rename(next)} />
        ) : (
          <>
            <span className="token-name">{label}</span>
            {identity.kind !== IdentityKind.PASSWORD && (
              <button type="button" className="icon-button" aria-label={`Rename ${label}`} title="Rename" data-testid="identity-rename" onClick={() => setMode("renaming")}>
                <PencilIcon />
              </button>
            )}
          </>
        )}
        {mode === "shown" && (
          <button type="button" className="small" aria-label={`Remove ${label}`} disabled={act.busy} data-testid="identity-remove" onClick={() => setMode("removing")}>
            Remove
          </button>
        )}
      </div>
      <p className="token-detail">
        {KINDS[identity.kind]} · {used} · added {spanText(now - Number(identity.createdUnixMs))} ago
      </p>
      {mode === "removing" && (
        <div className="token-question" role="group" aria-label={`Remove ${label}?`} data-testid="identity-question">
          <p>It lets nobody in any more, and your other browsers are signed out.</p>
          <div className="dialog-acts">
            <button type="button" className="quiet" autoFocus onClick={() => setMode("shown")}>
              Keep it
            </button>
            <button type="button" className="danger" disabled={act.busy} data-testid="identity-confirm" onClick={() => void remove()}>
              Remove it
            </button>
          </div>
        </div>
      )}
    </li>
  );
}

const BOUNDS = {
  least: PASSWORD_CHARS_LEAST,
  most: PASSWORD_CHARS_MOST,
  words: `At least ${PASSWORD_CHARS_LEAST} characters; a few words are easy to keep.`,
};

function PasswordForm({ act, over }: { act: Act; over: () => void }): ReactNode {
  const { identities } = useApp();
  const own = useStore(identities.own);
  const [password, setPassword] = useState("");
  const set = async (): Promise<void> => {
    if (await act.run(() => identities.setPassword(password))) over();
  };
  return (
    <form
      className="token-question password-form"
      data-testid="password-form"
      onSubmit={(event) => {
        event.preventDefault();
        void set();
      }}
    >
      {own?.identities.some(({ kind }) => kind === IdentityKind.PASSWORD) === true && <p>With another password your other browsers are signed out.</p>}
      {/* So that a password manager knows for whom it keeps the password. */}
      <input className="unseen" type="text" readOnly tabIndex={-1} aria-hidden="true" autoComplete="username" value={own?.email ?? ""} />
      <PasswordField value={password} set={setPassword} testId="password-field" complete="new-password" bounds={BOUNDS} />
      <div className="dialog-acts">
        <button type="button" className="quiet" onClick={over}>
          Cancel
        </button>
        <button type="submit" className="primary" disabled={act.busy} data-testid="password-set">
          Set it
        </button>
      </div>
    </form>
  );
}

function Browsers({ act }: { act: Act }): ReactNode {
  const { identities } = useApp();
  const own = useStore(identities.own);
  const now = useNow(true);
  const title = useRef<HTMLHeadingElement>(null);
  const end = async (id?: string): Promise<void> => {
    await act.run(() => identities.endBrowser(id));
    title.current?.focus();
  };
  const others = own?.browsers.filter(({ current }) => !current) ?? [];
  return (
    <section className="tokens" aria-labelledby="browsers-title" data-testid="browsers">
      <h3 id="browsers-title" tabIndex={-1} ref={title}>
        Browsers that are signed in
      </h3>
      <ul>
        {own?.browsers.map((one) => (
          <li key={one.id} className="token" data-testid="browser" data-current={one.current}>
            <div className="token-head">
              <span className="token-name">{browserName(one)}</span>
              {one.current ? (
                <small>this one</small>
              ) : (
                <button type="button" className="small" disabled={act.busy} aria-label={`Sign out ${browserName(one)}`} data-testid="browser-end" onClick={() => void end(one.id)}>
                  Sign out
                </button>
              )}
            </div>
            <p className="token-detail">
              {one.address === "" ? "" : `from ${displaySafe(one.address, 64)} · `}
              {one.current ? "in use" : `used ${spanText(now - Number(one.usedUnixMs))} ago`} · since {spanText(now - Number(one.createdUnixMs))}
            </p>
          </li>
        ))}
      </ul>
      {others.length > 0 && (
        <div className="account-acts">
          <button type="button" className="small" disabled={act.busy} data-testid="browsers-end" onClick={() => void end()}>
            Sign out everywhere else
          </button>
        </div>
      )}
    </section>
  );
}

function browserName({ device }: PersonSession): string {
  return device === "" ? "A browser" : displaySafe(device, 96);
}
