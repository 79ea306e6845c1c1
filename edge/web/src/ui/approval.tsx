// Machines that wait for a person: in the list, and one of them looked at.

import type { ReactNode } from "react";

import type { PendingGateway } from "../gen/chatcode/v1/fleet_pb";
import { displaySafe, spanText } from "../words";
import { Dialog, useAct } from "./dialog";
import { Facts, type Fact } from "./facts";
import { useApp, useNow, useStore } from "./hooks";
import { labelsText, systemText } from "./machine-words";

/** The machines that wait, above all others; nothing while none does. */
export function Waiting({ pending }: { pending: readonly PendingGateway[] }): ReactNode {
  const app = useApp();
  const now = useNow(pending.length > 0);
  if (pending.length === 0) return null;
  return (
    <section className="waiting" aria-label="Machines that wait for approval" data-testid="waiting">
      <h2>{pending.length === 1 ? "A machine waits" : `${pending.length} machines wait`} for approval</h2>
      <ul>
        {pending.map((one) => (
          <li key={one.id}>
            <button
              type="button"
              className="waiting-open"
              data-testid="waiting-machine"
              onClick={() => {
                app.listOpen.set(false);
                app.overlay.set({ kind: "approval", pending: one });
              }}
            >
              <span className="waiting-name">{titleOf(one)}</span>
              <span className="waiting-detail">
                {one.address}, for {spanText(now - Number(one.askedUnixMs))}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** All that is known of a machine that waits, and the decision. */
export function Approval({ pending, close }: { pending: PendingGateway; close: () => void }): ReactNode {
  const app = useApp();
  const now = useNow(true);
  const waits = useStore(app.fleet.state).pending.some((one) => one.id === pending.id);
  const { busy, refused, run } = useAct();
  const title = titleOf(pending);
  const decide = async (approve: boolean): Promise<void> => {
    if (await run(() => app.decide(pending, approve))) close();
  };
  const facts: Fact[] = [
    ["Host", displaySafe(pending.host?.hostname ?? "", 253)],
    ["System", systemText(pending.host)],
    ["User", displaySafe(pending.host?.user ?? "", 64)],
    ["Name", displaySafe(pending.name, 64)],
    ["From", pending.address],
    ["Labels", labelsText(pending.labels)],
    ["Token", pending.token],
    ["Waits for", `${spanText(now - Number(pending.askedUnixMs))}, and ${spanText(Number(pending.expiresUnixMs) - now)} more at most`],
  ];
  return (
    <Dialog
      title={`Let “${title}” in?`}
      testId="approval"
      className="approval"
      later="Later"
      close={close}
      refused={refused}
      acts={
        <>
          <button type="button" className="danger" data-testid="refuse" disabled={busy || !waits} onClick={() => void decide(false)}>
            Refuse
          </button>
          <button type="button" className="primary" data-testid="approve" disabled={busy || !waits} onClick={() => void decide(true)}>
            Let it in
          </button>
        </>
      }
    >
      <p>Compare this key with the one that the machine shows. It must be the same to the last character.</p>
      <output className="fingerprint" data-testid="fingerprint">
        {pending.fingerprint}
      </output>
      <Facts of={facts} />
      <p className="facts-note">Host, system, user and name are what the machine says of itself. Only the key is proven.</p>
      {!waits && refused === undefined && !busy && (
        <p className="refused" role="status" data-testid="approval-over">
          It waits no more: somebody else decided, or its time is over.
        </p>
      )}
    </Dialog>
  );
}

function titleOf({ host, name, address }: PendingGateway): string {
  return displaySafe(name, 64) || displaySafe(host?.hostname ?? "", 64) || address;
}
