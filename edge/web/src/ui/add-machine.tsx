// A new machine: its token, the line that installs the gateway, and the wait until it is here. Beside it, who waits and
// which tokens are out.

import { useEffect, useState, type ReactNode } from "react";

import type { AddMachine as Way } from "../app";
import { LinkState } from "../gen/chatcode/v1/fleet_pb";
import { NAME_CHARS } from "../link/limits";
import { displaySafe, spanText } from "../words";
import { Waiting } from "./approval";
import { Dialog, Modal, Refused, useAct } from "./dialog";
import { useApp, useNow, useStore } from "./hooks";
import { OpenTokens } from "./tokens";

export function AddMachine({ tokens, close }: { tokens: boolean; close: () => void }): ReactNode {
  const [way, setWay] = useState<Way>();
  return way === undefined ? <Ask atTokens={tokens} close={close} made={setWay} /> : <Steps way={way} close={close} />;
}

const DIALOG = { title: "Add a machine", testId: "add-machine", className: "add-machine" };

function Ask({ atTokens, close, made }: { atTokens: boolean; close: () => void; made: (way: Way) => void }): ReactNode {
  const app = useApp();
  const { pending } = useStore(app.fleet.state);
  const [name, setName] = useState("");
  const [approval, setApproval] = useState(false);
  const { busy, refused, run } = useAct();
  return (
    <Modal {...DIALOG} close={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void run(async () => made(await app.addMachine(name.trim(), approval)));
        }}
      >
        <h2 tabIndex={-1}>{DIALOG.title}</h2>
        <p>One line, typed there, makes any Linux machine or Mac one of yours. It dials out: no port is opened.</p>
        <label className="field">
          <span>Name</span>
          <input
            value={name}
            placeholder="after the host"
            maxLength={NAME_CHARS}
            data-testid="add-machine-name"
            data-autofocus={atTokens ? undefined : true}
            onChange={(event) => setName(event.target.value)}
          />
        </label>
        <label className="check">
          <input type="checkbox" checked={approval} data-testid="add-machine-approval" onChange={(event) => setApproval(event.target.checked)} />
          <span>Ask me before it is let in</span>
        </label>
        <Refused words={refused} />
        <div className="dialog-acts">
          <button type="button" className="quiet" data-dialog-later onClick={close}>
            Cancel
          </button>
          <button type="submit" className="primary" disabled={busy} data-testid="add-machine-make">
            {busy ? "Making…" : "Make a token"}
          </button>
        </div>
      </form>
      <Waiting pending={pending} />
      <OpenTokens focused={atTokens} />
    </Modal>
  );
}

function Steps({ way, close }: { way: Way; close: () => void }): ReactNode {
  const app = useApp();
  const now = useNow(true);
  const { machines, pending } = useStore(app.fleet.state);
  const [before] = useState(() => new Set(machines.map(({ gateway }) => gateway.id)));
  const arrived = machines.find(({ gateway }) => !before.has(gateway.id) && gateway.linkState === LinkState.ONLINE)?.gateway;
  const waiting = pending.find((one) => one.token === way.id);
  const left = way.expiresUnixMs - now;
  const commands = way.line ?? `chatcode-gateway enroll --core ${way.core} && chatcode-gateway run`;
  return (
    <Dialog
      {...DIALOG}
      later="Close"
      close={close}
      acts={
        arrived !== undefined ? (
          <button type="button" className="primary" data-testid="add-machine-session" onClick={() => app.overlay.set({ kind: "new-session", gateway: arrived.id })}>
            New session there
          </button>
        ) : (
          waiting !== undefined && (
            <button type="button" className="primary" data-testid="add-machine-decide" onClick={() => app.overlay.set({ kind: "approval", pending: waiting })}>
              Look at it
            </button>
          )
        )
      }
    >
      {isNear(way.core) && (
        <p data-testid="add-machine-near">
          localhost is this installation’s own machine. For another one, start it with{" "}
          <code>--core-listen 0.0.0.0:7421 --link-listen 0.0.0.0:7422</code>
          {way.line !== undefined && (
            <>
              , log in there by{" "}
              <code>
                ssh -R {location.port}:localhost:{location.port}
              </code>
            </>
          )}
          , and type this machine’s name behind <code>--core</code>.
        </p>
      )}
      <ol className="steps">
        <li>
          <p>{way.line === undefined ? "With chatcode-gateway and chatcode-holder on it, type there:" : "On the machine, type or paste:"}</p>
          <Copied text={commands} what="the line" testId="add-machine-line" />
        </li>
        <li>
          <p>When it asks for a token, paste this. It is good once{left > 0 ? `, for ${spanText(left)} more` : ", but its time is over: make another"}.</p>
          <Copied text={way.token} what="the token" testId="add-machine-token" />
        </li>
        <li aria-live="polite" data-testid="add-machine-state" data-arrived={arrived !== undefined}>
          <p>
            <span className="machine-dot" data-state={arrived === undefined ? "waiting" : "online"} />{" "}
            {arrived !== undefined
              ? `${displaySafe(arrived.name, 64)} is here.`
              : waiting !== undefined
                ? "It asks to be let in."
                : "Then it shows up here."}
          </p>
        </li>
      </ol>
    </Dialog>
  );
}

/** Whether only the core's own machine reaches it there. */
const isNear = (core: string): boolean => /^(localhost|127\.|\[::1\])/u.test(core);

/** Something to copy; says for a moment that it was. */
function Copied({ text, what, testId }: { text: string; what: string; testId: string }): ReactNode {
  const [words, setWords] = useState("Copy");
  useEffect(() => {
    if (words === "Copy") return undefined;
    const timer = setTimeout(() => setWords("Copy"), 2000);
    return () => clearTimeout(timer);
  }, [words]);
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(
      () => setWords("Copied"),
      () => setWords("Select it and copy"),
    );
  };
  return (
    <div className="copied">
      <code data-testid={testId}>{text}</code>
      <button type="button" className="quiet" aria-label={`Copy ${what}`} onClick={copy}>
        {words}
      </button>
    </div>
  );
}
