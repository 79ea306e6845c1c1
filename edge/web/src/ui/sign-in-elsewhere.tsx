// The ways to sign in that lead elsewhere: identity providers, and a mail.

import { useState, type FormEvent, type ReactNode } from "react";

import type { Provider } from "../account/sign-in";
import { displaySafe } from "../words";
import type { Act } from "./dialog";
import { useApp } from "./hooks";

export function ProviderButtons({ act: { busy, run }, providers }: { act: Act; providers: readonly Provider[] }): ReactNode {
  const { elsewhere } = useApp();
  return providers.map(({ id, name }) => (
    <button key={id} type="button" className="small calm-wide" disabled={busy} data-testid="sign-in-provider" data-provider={id} onClick={() => void run(() => elsewhere.goTo(id))}>
      Continue with {displaySafe(name, 64)}
    </button>
  ));
}

/** First the address; then the code, or the link of the mail. `samePerson`: who is signed in proves it anew. */
export function MailForm({ act, samePerson = false, proven }: { act: Act; samePerson?: boolean; proven?: () => void }): ReactNode {
  const { elsewhere } = useApp();
  const [address, setAddress] = useState("");
  const [sent, setSent] = useState<string>();
  const send = (event: FormEvent): void => {
    event.preventDefault();
    void act.run(async () => {
      await elsewhere.askForMail(address);
      setSent(address.trim());
    });
  };
  if (sent !== undefined) {
    return (
      <CodeForm
        act={act}
        intro={`If we know ${displaySafe(sent, 254)}, a mail is on its way. Open its link, or type its code here.`}
        submit="Sign in with the code"
        done={async (code) => {
          await elsewhere.signInByCode(code, samePerson);
          proven?.();
        }}
        again={() => setSent(undefined)}
      />
    );
  }
  return (
    <form className="calm-form" data-testid="mail-form" onSubmit={send}>
      <label className="field">
        <span>Mail to</span>
        <input type="email" value={address} required autoComplete="email" data-testid="mail-address" onChange={(event) => setAddress(event.target.value)} />
      </label>
      <button type="submit" className="small calm-wide" disabled={act.busy} data-testid="mail-send">
        Send me a link and a code
      </button>
    </form>
  );
}

/** The digits of a mail. */
export function CodeForm({
  act,
  intro,
  submit,
  done,
  again,
}: {
  act: Act;
  intro: string;
  submit: string;
  done: (code: string) => Promise<void>;
  again: () => void;
}): ReactNode {
  const [code, setCode] = useState("");
  return (
    <form
      className="calm-form"
      data-testid="code-form"
      onSubmit={(event) => {
        event.preventDefault();
        void act.run(() => done(code));
      }}
    >
      <p role="status" data-testid="mail-sent">
        {intro}
      </p>
      <label className="field">
        <span>Code</span>
        <input
          value={code}
          required
          inputMode="numeric"
          autoComplete="one-time-code"
          autoFocus
          maxLength={16}
          pattern="[0-9 ]*"
          title="The 8 digits of the newest mail"
          data-testid="mail-code"
          onChange={(event) => setCode(event.target.value)}
        />
      </label>
      <div className="calm-row">
        <button type="submit" className="primary" disabled={act.busy} data-testid="mail-code-submit">
          {submit}
        </button>
        <button type="button" className="quiet" data-testid="mail-again" onClick={again}>
          Another address
        </button>
      </div>
    </form>
  );
}
