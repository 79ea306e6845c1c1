// Edges and administrators' programs: who has a certificate, and throwing one out.

import { useState, type ReactNode } from "react";

import type { AdminMember } from "../gen/chatcode/v1/admin_pb";
import { MemberKind } from "../gen/chatcode/v1/enrollment_pb";
import type { Known } from "../people/directory";
import { displaySafe, spanText } from "../words";
import { Refused, useAct } from "./dialog";
import { useApp, useNow } from "./hooks";

export function Programs({ known }: { known: Known }): ReactNode {
  const now = useNow(true);
  return (
    <>
      <div className="directory-head">
        <p>Edges serve the page; administrators' programs may all that an owner may. Each shows a certificate.</p>
      </div>
      <ul className="directory-list" data-testid="program-list">
        {known.programs.map((program) => (
          <Program key={program.id} program={program} now={now} />
        ))}
      </ul>
    </>
  );
}

function Program({ program, now }: { program: AdminMember; now: number }): ReactNode {
  const { directory } = useApp();
  const [asking, setAsking] = useState(false);
  const act = useAct();
  const name = displaySafe(program.name, 64);
  const isOut = program.revokedUnixMs !== 0n;
  const revoke = async (): Promise<void> => {
    if (await act.run(() => directory.revokeProgram(program.id))) setAsking(false);
  };
  return (
    <li className="directory-program" data-testid="program" data-revoked={isOut}>
      <div className="directory-items-line">
        <span>
          <b>{name}</b> · {program.kind === MemberKind.EDGE ? "edge" : "administrator's program"} · {programText(program, now)}
        </span>
        {!isOut && !asking && (
          <button type="button" className="small" aria-label={`Revoke ${name}`} data-testid="program-revoke" onClick={() => setAsking(true)}>
            Revoke…
          </button>
        )}
      </div>
      {asking && (
        <div className="token-question" role="group" aria-label={`Revoke ${name}?`}>
          <p>
            Its certificate counts no more, and its connections end at once.
            {program.kind === MemberKind.EDGE ? " If it serves this page, the page goes with it." : ""}
          </p>
          <div className="dialog-acts">
            <button type="button" className="quiet" autoFocus onClick={() => setAsking(false)}>
              Keep it
            </button>
            <button type="button" className="danger" disabled={act.busy} data-testid="program-confirm" onClick={() => void revoke()}>
              Revoke {name}
            </button>
          </div>
        </div>
      )}
      <Refused words={act.refused} />
    </li>
  );
}

/** How a program stands. */
export function programText({ revokedUnixMs, notAfterUnixMs, connections, enrolledUnixMs }: AdminMember, now: number): string {
  if (revokedUnixMs !== 0n) return `revoked ${spanText(now - Number(revokedUnixMs))} ago`;
  const end = Number(notAfterUnixMs);
  const certificate = end === 0 ? "no certificate that counts" : end <= now ? "its certificate has ended" : `certificate for ${spanText(end - now)} more`;
  const here = connections === 0 ? "not connected" : connections === 1 ? "1 connection" : `${connections} connections`;
  return `${here} · ${certificate} · enrolled ${spanText(now - Number(enrolledUnixMs))} ago`;
}
