// A program asks to be let in as this person: the code first, then what asks, then the decision.

import { useState, type ReactNode } from "react";

import type { DevicesLookResponse } from "../gen/chatcode/v1/devices_pb";
import { PersonRole } from "../gen/chatcode/v1/people_pb";
import { displaySafe, spanText } from "../words";
import { Dialog, useAct } from "./dialog";
import { Facts, type Fact } from "./facts";
import { useApp, useNow } from "./hooks";

/** What is shown of what a program calls itself. */
const NAME = 64;

export function DeviceLogin({ close }: { close: () => void }): ReactNode {
  const { device } = useApp();
  const [waiting, setWaiting] = useState<DevicesLookResponse>();
  const [decided, setDecided] = useState<"approved" | "refused">();
  if (decided !== undefined) return <Decided as={decided} close={close} />;
  if (waiting === undefined) return <AskCode code={device.asked.get() ?? ""} found={setWaiting} close={close} />;
  return <Decide waiting={waiting} decided={setDecided} close={close} />;
}

/** The code, typed or compared; nothing is asked of the core before the person says so. */
function AskCode({ code: given, found, close }: { code: string; found: (waiting: DevicesLookResponse) => void; close: () => void }): ReactNode {
  const { device } = useApp();
  const { busy, refused, run } = useAct();
  const [code, setCode] = useState(given);
  return (
    <Dialog
      key="code"
      title="Log a program in"
      testId="device"
      close={close}
      refused={refused}
      form={{ testId: "device-form", submit: () => void run(async () => found(await device.look(code))) }}
      acts={
        <button type="submit" className="primary" disabled={busy || code.trim() === ""} data-testid="device-look">
          Go on
        </button>
      }
    >
      <p>{given === "" ? "Type the code that the program shows, such as BCDF-GHJK." : "Does the program on your own screen show this code?"}</p>
      <label className="field">
        <span>Code</span>
        <input
          className="device-code"
          value={code}
          maxLength={32}
          autoComplete="off"
          autoCapitalize="characters"
          spellCheck={false}
          data-autofocus
          data-testid="device-code"
          onChange={(event) => setCode(event.target.value.toUpperCase())}
        />
      </label>
      <p className="device-warning">
        Did somebody send you this code or this address? Then close this. Whoever began the login gets in <b>as you</b>.
      </p>
    </Dialog>
  );
}

function Decide({ waiting, decided, close }: { waiting: DevicesLookResponse; decided: (as: "approved" | "refused") => void; close: () => void }): ReactNode {
  const { device } = useApp();
  const { busy, refused, run } = useAct();
  const now = useNow(true);
  const decide = async (approve: boolean): Promise<void> => {
    if (await run(() => device.decide(waiting, approve))) decided(approve ? "approved" : "refused");
  };
  const none = waiting.role === PersonRole.UNSPECIFIED;
  return (
    <Dialog
      key="decide"
      title="Let this program in as you?"
      testId="device-question"
      className="approval"
      later="Later"
      close={close}
      refused={refused}
      acts={
        <>
          <button type="button" className="danger" data-testid="device-refuse" disabled={busy} onClick={() => void decide(false)}>
            Refuse
          </button>
          <button type="button" className="primary" data-testid="device-approve" disabled={busy || none} onClick={() => void decide(true)}>
            Let it in
          </button>
        </>
      }
    >
      <p>Only if you began this login yourself, and the program shows this code right now:</p>
      <output className="fingerprint device-shown" data-testid="device-shown">
        {waiting.userCode}
      </output>
      <Facts of={factsOf(waiting, now)} testId="device-facts" />
      <p className="facts-note">Program and machine are what it says of itself. Only the address is proven.</p>
      {none && (
        <p className="refused" role="status" data-testid="device-none">
          You have no role here, so it could do nothing. Ask an administrator for one.
        </p>
      )}
    </Dialog>
  );
}

function Decided({ as, close }: { as: "approved" | "refused"; close: () => void }): ReactNode {
  const approved = as === "approved";
  return (
    <Dialog key="decided" title={approved ? "It is let in" : "It is refused"} testId="device-decided" later="Close" over close={close}>
      <p role="status">
        {approved ? (
          <>
            Go back to the program; it goes on within a few seconds. To end it: <code>chatcode logout</code> there.
          </>
        ) : (
          "The program is told so. If you did not begin this login, somebody has tried to get in as you: tell an administrator."
        )}
      </p>
    </Dialog>
  );
}

/** What asks, and for what. */
export function factsOf(waiting: DevicesLookResponse, now: number): Fact[] {
  const left = Number(waiting.expiresUnixMs) - now;
  return [
    ["Program", displaySafe(waiting.program, NAME)],
    ["Machine", displaySafe(waiting.hostname, NAME)],
    ["From", waiting.address],
    ["May", roleText(waiting.role)],
    ["For", spanText(waiting.ttlS * 1000)],
    ["Asked", `${spanText(now - Number(waiting.askedUnixMs))} ago, and ${left > 0 ? `waits ${spanText(left)} more` : "waits no more"}`],
  ];
}

/** What a role may, in words. */
export function roleText(role: PersonRole): string {
  switch (role) {
    case PersonRole.VIEWER:
      return "see your machines and sessions (viewer)";
    case PersonRole.OPERATOR:
      return "see, start, type into and end your sessions (operator)";
    case PersonRole.ADMIN:
      return "also manage machines, people and the installation (admin)";
    case PersonRole.OWNER:
      return "do everything that you may (owner)";
    default:
      return "do nothing";
  }
}
