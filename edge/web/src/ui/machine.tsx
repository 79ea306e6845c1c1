// One machine: its link, its certificate, its programs, what is wrong with it, and throwing it out.

import { useEffect, type ReactNode } from "react";

import { LinkState, LinkTransport, type Gateway } from "../gen/chatcode/v1/fleet_pb";
import { UpdatePolicy, type UpdateStatus } from "../gen/chatcode/v1/host_pb";
import { Permission } from "../gen/chatcode/v1/rule_pb";
import { dateText, displaySafe, latencyText } from "../words";
import { Command } from "./command";
import { Dialog, focusLater, Refused, useAct } from "./dialog";
import { Facts, type Fact } from "./facts";
import { useApp, useNow, useStore } from "./hooks";
import { certificateText, duplicateText, endedText, isAlarmed, labelsText, machineWord, systemText } from "./machine-words";

const POLICIES: Record<UpdatePolicy, string> = {
  [UpdatePolicy.UNSPECIFIED]: "Updates only when somebody says so",
  [UpdatePolicy.NOTIFY]: "Looks for updates and says so",
  [UpdatePolicy.AUTOMATIC]: "Updates by itself, in its window",
};

interface Props {
  id: string;
  close: () => void;
}

export function MachineDetails({ id, close }: Props): ReactNode {
  const gateway = useGateway(id);
  const app = useApp();
  const now = useNow(true);
  const update = useStore(app.updates.state).get(id);
  const mayAudit = useStore(app.account.permissions).has(Permission.AUDIT_READ);
  const online = gateway?.linkState === LinkState.ONLINE;
  useEffect(() => {
    if (online) void app.updates.look(id);
  }, [app, id, online]);
  if (gateway === undefined) return <Unknown close={close} />;
  const name = displaySafe(gateway.name, 64);
  const facts: Fact[] = [
    ["Link", <Link key="link" gateway={gateway} now={now} />],
    ["Certificate", <Certificate key="certificate" gateway={gateway} now={now} />],
    ["Programs", <Programs key="programs" gateway={gateway} name={name} update={online ? update : undefined} />],
    ["Host", displaySafe(gateway.host?.hostname ?? "", 253)],
    ["System", systemText(gateway.host)],
    ["User", displaySafe(gateway.host?.user ?? "", 64)],
    ["Labels", labelsText(gateway.labels)],
    ["Joined", gateway.enrolledUnixMs === 0n ? "" : dateText(Number(gateway.enrolledUnixMs))],
    ["Id", <code key="id">{gateway.id}</code>],
    ["Audit", mayAudit ? <Done key="audit" gateway={id} /> : ""],
  ];
  return (
    <Dialog
      title={name}
      testId="machine-details"
      className="machine-details"
      later="Close"
      close={close}
      acts={
        gateway.linkState !== LinkState.REVOKED && (
          <>
            {!isAlarmed(gateway) && (
              <button type="button" className="quiet" data-testid="machine-revoke" onClick={() => app.overlay.set({ kind: "revoke", gateway: id })}>
                Revoke…
              </button>
            )}
            <button
              type="button"
              className="primary"
              disabled={!online}
              data-testid="machine-session"
              onClick={() => app.overlay.set({ kind: "new-session", gateway: id })}
            >
              New session
            </button>
          </>
        )
      }
    >
      {isAlarmed(gateway) && <Alarm gateway={gateway} now={now} />}
      <Facts of={facts} testId="machine-facts" />
    </Dialog>
  );
}

function Link({ gateway, now }: { gateway: Gateway; now: number }): ReactNode {
  const { linkState, sinceUnixMs, linkRttUs } = gateway;
  const online = linkState === LinkState.ONLINE;
  const why = endedText(gateway);
  const more = linkState === LinkState.NEVER ? "" : `since ${dateText(Number(sinceUnixMs))}`;
  return (
    <>
      <span className="machine-dot" data-state={LinkState[linkState].toLowerCase()} />
      {sentence(machineWord(gateway, now))}
      {why !== "" && `: ${why}`}
      <small>
        {more}
        {online && linkRttUs > 0n && `, ${latencyText(Number(linkRttUs) / 1000)} there and back`}
      </small>
      {gateway.linkTransport === LinkTransport.TCP && <small data-testid="machine-by-tcp">Linked by TCP: UDP does not get through from there. Typing is slower on a bad network.</small>}
    </>
  );
}

/** The way to what was done to a machine. */
function Done({ gateway }: { gateway: string }): ReactNode {
  const app = useApp();
  return (
    <button type="button" className="small alone" data-testid="machine-audit" onClick={() => app.overlay.set({ kind: "audit", gateway })}>
      What was done to it
    </button>
  );
}

function Certificate({ gateway, now }: { gateway: Gateway; now: number }): ReactNode {
  const standing = certificateText(gateway, now);
  if (standing === undefined) return "None that counts";
  return (
    <span data-testid="machine-certificate" data-trouble={standing.trouble !== undefined}>
      {standing.words}
      <small>{standing.more}</small>
      {standing.trouble !== undefined && <small className="trouble">{standing.trouble}</small>}
    </span>
  );
}

function Programs({ gateway, name, update }: { gateway: Gateway; name: string; update: UpdateStatus | undefined }): ReactNode {
  const app = useApp();
  const available = displaySafe(update?.available ?? "", 64);
  const version = displaySafe(gateway.programVersion, 64);
  return (
    <>
      {version === "" ? "Not known yet" : `Version ${version}`}
      {available !== "" && (
        <button
          type="button"
          className="small"
          data-testid="machine-update"
          onClick={() => app.overlay.set({ kind: "update", gateway: gateway.id, name })}
        >
          Update to {available}
        </button>
      )}
      {update !== undefined && <small>{policyText(update)}</small>}
    </>
  );
}

/** When a machine updates by itself, how far its settings let it, and what is in the way. */
export function policyText({ policy, pin, problem }: UpdateStatus): string {
  const words = POLICIES[policy] ?? "";
  const held = pin === "" ? "" : `. Held at ${displaySafe(pin, 64)} by its settings`;
  const why = displaySafe(problem, 256);
  return words + held + (why === "" ? "" : `. In the way: ${why}`);
}

/** Another machine has used this one's identity: what that means, and what to do. */
function Alarm({ gateway, now }: { gateway: Gateway; now: number }): ReactNode {
  const app = useApp();
  const { busy, refused, run } = useAct();
  const acknowledge = async (): Promise<void> => {
    if (await run(() => app.acknowledge(gateway))) focusLater();
  };
  return (
    <section className="alarm" aria-labelledby="alarm-title" data-testid="alarm">
      <h3 id="alarm-title">Another machine used this identity</h3>
      <p>{duplicateText(gateway, now)} Only one of them can be linked.</p>
      <p>
        <b>You copied it</b> (a cloned disk, a folder, a container started twice): on the copy, with a token of its own, type
      </p>
      <Command text="chatcode-gateway enroll --force" />
      <p>
        <b>You did not:</b> somebody has its key. Revoke it, which throws out both, and enroll the real one anew.
      </p>
      <Refused words={refused} />
      <div className="dialog-acts">
        <button type="button" className="danger" data-testid="alarm-revoke" onClick={() => app.overlay.set({ kind: "revoke", gateway: gateway.id })}>
          Revoke…
        </button>
        <button type="button" className="small" disabled={busy} data-testid="alarm-acknowledge" onClick={() => void acknowledge()}>
          I know, take the alarm off
        </button>
      </div>
    </section>
  );
}

/** Asks, and throws a machine out. */
export function RevokeMachine({ id, close }: Props): ReactNode {
  const app = useApp();
  const gateway = useGateway(id);
  const { busy, refused, run } = useAct();
  if (gateway === undefined) return <Unknown close={close} />;
  const revoke = async (): Promise<void> => {
    if (await run(() => app.revoke(id))) close();
  };
  return (
    <Dialog
      title={`Revoke “${displaySafe(gateway.name, 64)}”?`}
      testId="revoke"
      later="Keep it"
      close={close}
      refused={refused}
      acts={
        <button type="button" className="danger" disabled={busy} data-testid="revoke-confirm" onClick={() => void revoke()}>
          Revoke it
        </button>
      }
    >
      <p>
        Its certificates count no more, and its link is closed within a second. Sessions go on there, out of reach. This cannot be taken back: to bring it back
        it takes a new token and, on the machine, <code>chatcode-gateway enroll --force</code>.
      </p>
    </Dialog>
  );
}

function Unknown({ close }: { close: () => void }): ReactNode {
  return (
    <Dialog title="Machine" testId="machine-details" later="Close" over close={close}>
      <p>This machine is not known any more.</p>
    </Dialog>
  );
}

function useGateway(id: string): Gateway | undefined {
  const app = useApp();
  return useStore(app.fleet.state).machines.find(({ gateway }) => gateway.id === id)?.gateway;
}

const sentence = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1);
