// Adding ways to sign in that lead elsewhere: an account at an identity provider, an address for mails.

import { useState, type ReactNode } from "react";

import type { Methods } from "../account/sign-in";
import { displaySafe } from "../words";
import type { Act } from "./dialog";
import { useApp } from "./hooks";
import { CodeForm } from "./sign-in-elsewhere";

export function AddElsewhere({ act, methods }: { act: Act; methods: Methods }): ReactNode {
  const { elsewhere } = useApp();
  const [mail, setMail] = useState(false);
  return (
    <>
      <div className="account-acts">
        {methods.providers.map(({ id, name }) => (
          <button key={id} type="button" className="small" disabled={act.busy} data-testid="provider-add" data-provider={id} onClick={() => void act.run(() => elsewhere.goToAdd(id))}>
            Link with {displaySafe(name, 64)}
          </button>
        ))}
        {methods.mail && !mail && (
          <button type="button" className="small" disabled={act.busy} data-testid="mail-add" onClick={() => setMail(true)}>
            Add a mail address
          </button>
        )}
      </div>
      {mail && <AddMail act={act} over={() => setMail(false)} />}
    </>
  );
}

function AddMail({ act, over }: { act: Act; over: () => void }): ReactNode {
  const { elsewhere, identities } = useApp();
  const [address, setAddress] = useState("");
  const [finish, setFinish] = useState<(code: string) => Promise<void>>();
  if (finish !== undefined) {
    return (
      <CodeForm
        act={act}
        intro={`A mail with a code is on its way to ${displaySafe(address, 254)}.`}
        submit="Add the address"
        done={async (code) => {
          await finish(code);
          over();
          await identities.ask();
        }}
        again={() => setFinish(undefined)}
      />
    );
  }
  return (
    <form
      className="token-question password-form"
      data-testid="mail-add-form"
      onSubmit={(event) => {
        event.preventDefault();
        void act.run(async () => {
          const next = await elsewhere.addMail(address);
          setFinish(() => next);
        });
      }}
    >
      <label className="field">
        <span>E-mail</span>
        <input type="email" value={address} required autoFocus autoComplete="email" data-testid="mail-add-address" onChange={(event) => setAddress(event.target.value)} />
      </label>
      <div className="dialog-acts">
        <button type="button" className="quiet" onClick={over}>
          Cancel
        </button>
        <button type="submit" className="primary" disabled={act.busy} data-testid="mail-add-send">
          Send a code
        </button>
      </div>
    </form>
  );
}
