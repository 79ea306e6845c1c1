// What is said once after a sign-in: a passkey for the next time, or whose sign-in this one took the place of.

import { useEffect, useState, type ReactNode } from "react";

import { displaySafe } from "../words";
import { Dialog, Refused, useAct } from "./dialog";
import { useApp, useStore } from "./hooks";

/** Offers a passkey to somebody who came by a one-time link and has none; once for each person in this browser. */
export function PasskeyOffer(): ReactNode {
  const { account, identities } = useApp();
  const who = useStore(account.account);
  const byUrl = useStore(account.byUrl);
  const [shown, setShown] = useState(false);
  const { busy, refused, run } = useAct();
  const principal = who.state === "signed-in" ? who.principal : "";
  useEffect(() => {
    if (!byUrl || principal === "") return undefined;
    let waits = true;
    // An offer that cannot be judged is none.
    identities.wantsPasskey(principal).then((wants) => waits && setShown(wants), () => undefined);
    return () => {
      waits = false;
    };
  }, [identities, byUrl, principal]);
  if (!shown) return null;
  const over = (): void => {
    identities.offered(principal);
    setShown(false);
  };
  const add = async (): Promise<void> => {
    if (await run(() => identities.addPasskey())) over();
  };
  return (
    <section className="offer" aria-label="A passkey for the next time" data-testid="passkey-offer">
      <p>
        <b>Next time by a touch?</b> With a passkey on this device you sign in without a link.
      </p>
      <Refused words={refused} />
      <div className="offer-acts">
        <button type="button" className="small" disabled={busy} data-testid="passkey-offer-add" onClick={() => void add()}>
          Add a passkey
        </button>
        <button type="button" className="quiet" data-testid="passkey-offer-not" onClick={over}>
          Not now
        </button>
      </div>
    </section>
  );
}

/** Says that the browser was somebody else's until now. */
export function InsteadOf(): ReactNode {
  const { account } = useApp();
  const who = useStore(account.account);
  const before = useStore(account.insteadOf);
  if (before === undefined || who.state !== "signed-in") return null;
  return (
    <section className="offer" aria-label="Another person was signed in" data-testid="instead-of">
      <p role="status">
        This browser is <b>{displaySafe(who.displayName, 64)}</b>’s now. {displaySafe(before, 64)} was signed in here before.
      </p>
      <div className="offer-acts">
        <button type="button" className="quiet" onClick={() => account.insteadOf.set(undefined)}>
          Dismiss
        </button>
      </div>
    </section>
  );
}

/** Asks whether the link of another person is to change who is signed in; only a click does. */
export function OthersLink(): ReactNode {
  const { account } = useApp();
  return useStore(account.othersLink) ? <OthersLinkQuestion /> : null;
}

function OthersLinkQuestion(): ReactNode {
  const { account } = useApp();
  const who = useStore(account.account);
  const { busy, refused, run } = useAct();
  const name = who.state === "signed-in" ? displaySafe(who.displayName, 64) : "";
  const change = (
    <button type="button" className="primary" disabled={busy} data-testid="others-link-take" onClick={() => void run(() => account.takeOthersLink())}>
      Sign in as somebody else
    </button>
  );
  return (
    <Dialog title="Sign in as somebody else?" testId="others-link" later={`Stay ${name}`} close={() => account.leaveOthersLink()} refused={refused} acts={change}>
      <p>
        The link that was opened here is another person’s. You are signed in as <b>{name}</b>; what you have open here closes if you go on. If you did
        not ask for this link, stay.
      </p>
    </Dialog>
  );
}
