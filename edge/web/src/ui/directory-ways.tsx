// By what a person signs in, and where: for whoever manages people, when a device is lost.

import { useEffect, useState, type ReactNode } from "react";

import { explain } from "../link/refusal";
import type { WaysIn } from "../people/directory";
import { displaySafe, spanText } from "../words";
import { KINDS } from "./account";
import { Refused, useAct } from "./dialog";
import { useApp, useNow, useStore } from "./hooks";

export function Ways({ person, name }: { person: string; name: string }): ReactNode {
  const { directory } = useApp();
  const now = useNow(true);
  const act = useAct();
  const [ways, setWays] = useState<WaysIn>();
  const [failed, setFailed] = useState<string>();
  const ask = async (): Promise<void> => setWays(await directory.waysIn(person));
  // With everything else that is asked for anew.
  const known = useStore(directory.known);
  useEffect(() => void ask().catch((error: unknown) => setFailed(explain(error))), [person, known]);
  const change = (work: () => Promise<void>): void =>
    void act.run(async () => {
      await work();
      await ask();
    });
  return (
    <section aria-label="Ways in" data-testid="ways">
      <h3>Ways in, and browsers</h3>
      <Refused words={failed ?? act.refused} />
      {ways?.identities.length === 0 && <p className="directory-none">Only one-time links.</p>}
      <ul className="directory-items">
        {ways?.identities.map((way) => {
          const label = displaySafe(way.label, 64);
          return (
            <li key={way.id} data-testid="way">
              <span>
                <b>{label}</b> · {KINDS[way.kind]} · {way.usedUnixMs === 0n ? "not used yet" : `used ${spanText(now - Number(way.usedUnixMs))} ago`}
              </span>
              <button type="button" className="small" disabled={act.busy} aria-label={`Take away: ${label} of ${name}; all browsers are signed out`} data-testid="way-remove" onClick={() => change(() => directory.removeWayIn(person, way.id))}>
                Take away
              </button>
            </li>
          );
        })}
        {ways?.sessions.map((session) => {
          const device = session.device === "" ? "A browser" : displaySafe(session.device, 96);
          return (
            <li key={session.id} data-testid="way-session">
              <span>
                {device}
                {session.address === "" ? "" : ` from ${displaySafe(session.address, 64)}`} · used {spanText(now - Number(session.usedUnixMs))} ago
              </span>
              <button type="button" className="small" disabled={act.busy} aria-label={`Sign out: ${name} in ${device}`} data-testid="way-sign-out" onClick={() => change(() => directory.signOut(person, session.id))}>
                Sign out
              </button>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
