// Left: the machines and what runs on them.

import { Fragment, type ReactNode } from "react";

import type { Machine } from "../fleet/fleet";
import { LinkState } from "../gen/chatcode/v1/fleet_pb";
import { Permission } from "../gen/chatcode/v1/rule_pb";
import { SessionState, type Session } from "../gen/chatcode/v1/sessions_pb";
import { SESSION_NAME_CHARS } from "../link/limits";
import { displaySafe, latencyText, spanText } from "../words";
import { keyOf } from "../workspace/workspace";
import { Waiting } from "./approval";
import { Rename } from "./fields";
import { useApp, useNothingGiven, useNow, useStore } from "./hooks";
import { AuditIcon, CloseIcon, Mark, PencilIcon, PeopleIcon, PlusIcon, SchemeIcon, StopIcon } from "./icons";
import { certificateText, isAlarmed, labelsText, machineWord } from "./machine-words";
import { InsteadOf, PasskeyOffer } from "./offer";
import { exitTone, isOver, restartText, sessionDetail } from "./session-words";
import { UpdateOffer } from "./update";

export function MachineList(): ReactNode {
  const app = useApp();
  const { machines, pending, synced } = useStore(app.fleet.state);
  const nothingGiven = useNothingGiven();
  const look = useStore(app.look.look);
  const who = useStore(app.account.account);
  const may = useStore(app.account.permissions);
  return (
    <nav className="list" aria-label="Machines and sessions" data-list>
      <div className="list-head">
        <Mark />
        <span className="wordmark">chatcode</span>
        {who.state === "signed-in" && (
          <span className="installation" title="This installation">
            {who.installation}
          </span>
        )}
      </div>
      <div className="list-new">
        <button
          type="button"
          className="new-session"
          data-testid="new-session"
          disabled={machines.length === 0}
          onClick={() => app.overlay.set({ kind: "new-session", gateway: undefined })}
        >
          <PlusIcon /> New session
        </button>
      </div>
      <div className="list-scroll" data-testid="machines">
        {!synced && <p className="list-empty">{nothingGiven ? "No machine is yours to see yet." : "Asking for your machines…"}</p>}
        <Waiting pending={pending} />
        {machines.map((machine) => (
          <MachineGroup key={machine.gateway.id} machine={machine} />
        ))}
        {synced && (
          <button type="button" className="quiet add-machine-open" data-testid="add-machine-open" onClick={() => app.overlay.set({ kind: "add-machine" })}>
            <PlusIcon /> Add a machine
          </button>
        )}
      </div>
      <InsteadOf />
      <PasskeyOffer />
      <div className="list-foot">
        <button
          type="button"
          className="person"
          title="Your account: passkeys, password, browsers"
          data-testid="account-open"
          onClick={() => {
            app.listOpen.set(false);
            app.overlay.set({ kind: "account" });
          }}
        >
          {who.state === "signed-in" ? displaySafe(who.displayName, 64) : ""}
        </button>
        {may.has(Permission.PEOPLE_MANAGE) && (
          <button
            type="button"
            className="icon-button"
            aria-label="People, teams and roles"
            title="People, teams and roles"
            data-testid="directory-open"
            onClick={() => {
              app.listOpen.set(false);
              app.overlay.set({ kind: "directory" });
            }}
          >
            <PeopleIcon />
          </button>
        )}
        {may.has(Permission.AUDIT_READ) && (
          <button
            type="button"
            className="icon-button"
            aria-label="Audit: who did what"
            title="Audit: who did what"
            data-testid="audit-open"
            onClick={() => {
              app.listOpen.set(false);
              app.overlay.set({ kind: "audit" });
            }}
          >
            <AuditIcon />
          </button>
        )}
        <button
          type="button"
          className="icon-button"
          aria-label={`Colours: ${look.choice}. Change.`}
          title={`Colours: ${look.choice}`}
          data-testid="scheme"
          onClick={() => app.look.cycleScheme()}
        >
          <SchemeIcon choice={look.choice} />
        </button>
        <button type="button" className="quiet" data-testid="sign-out" onClick={() => void app.signOut()}>
          Sign out
        </button>
      </div>
    </nav>
  );
}

function MachineGroup({ machine: { gateway, sessions } }: { machine: Machine }): ReactNode {
  const app = useApp();
  const now = useNow(true);
  const online = gateway.linkState === LinkState.ONLINE;
  const host = [gateway.host?.os, gateway.host?.arch].filter(Boolean).join(" · ");
  const name = displaySafe(gateway.name, 64);
  const labels = labelsText(gateway.labels);
  const look = (): void => {
    app.listOpen.set(false);
    app.overlay.set({ kind: "machine", gateway: gateway.id });
  };
  return (
    <section className="machine" aria-label={name} data-testid="machine" data-gateway={gateway.id} data-online={online}>
      <header className="machine-head">
        <span className="machine-dot" data-state={LinkState[gateway.linkState].toLowerCase()} />
        <h2 title={displaySafe(host)}>
          <button type="button" className="machine-open" data-testid="machine-open" onClick={look}>
            {name}
          </button>
        </h2>
        {online && gateway.linkRttUs > 0n && <span className="machine-rtt">{latencyText(Number(gateway.linkRttUs) / 1000)}</span>}
        <button
          type="button"
          className="icon-button"
          aria-label={`New session on ${name}`}
          title={`New session on ${name}`}
          disabled={!online}
          onClick={() => app.overlay.set({ kind: "new-session", gateway: gateway.id })}
        >
          <PlusIcon />
        </button>
      </header>
      <p className="machine-state">{machineWord(gateway, now)}</p>
      <UpdateOffer gateway={gateway.id} name={name} online={online} />
      {labels !== "" && (
        <p className="machine-labels" data-testid="machine-labels">
          {labels}
        </p>
      )}
      {isAlarmed(gateway) ? (
        <button type="button" className="machine-alarm" data-testid="machine-alarm" onClick={look}>
          Another machine used this one’s identity {spanText(now - Number(gateway.duplicateUnixMs))} ago. Look into it.
        </button>
      ) : (
        online &&
        certificateText(gateway, now)?.trouble !== undefined && (
          <button type="button" className="machine-alarm" data-testid="machine-trouble" onClick={look}>
            Its certificate was not renewed. Look into it.
          </button>
        )
      )}
      <ul>
        {sessions.map((session) => (
          <SessionRow key={session.id} gateway={gateway.id} session={session} online={online} />
        ))}
      </ul>
      {sessions.length === 0 && <p className="list-empty">{online ? "Nothing runs here." : "Nothing known here."}</p>}
    </section>
  );
}

/** Text that breaks between its words, and not after the dashes of an option. */
function WholeWords({ text }: { text: string }): ReactNode {
  return text.split(" ").map((word, i) => (
    <Fragment key={i}>
      {i > 0 && " "}
      <span className="session-word">{word}</span>
    </Fragment>
  ));
}

function SessionRow({ gateway, session, online }: { gateway: string; session: Session; online: boolean }): ReactNode {
  const app = useApp();
  const { active, open } = useStore(app.workspace.tabs);
  const tab = { gateway, session: session.id };
  const key = keyOf(tab);
  const renaming = useStore(app.renaming) === key;
  const current = active === key;
  const name = displaySafe(session.name, SESSION_NAME_CHARS);
  const over = isOver(session);
  const again = restartText(session);
  const state = SessionState[session.state].toLowerCase();

  const show = (): void => {
    app.listOpen.set(false);
    void app.workspace.open(gateway, session.id);
  };
  const forget = (): void => {
    app.workspace.close(tab);
    app.endSession(tab).catch(app.failed);
  };

  return (
    <li
      className="session"
      data-testid="session"
      data-session={session.id}
      data-state={state}
      data-tone={over ? exitTone(session) : undefined}
      data-current={current}
      data-open={open.some((each) => keyOf(each) === key)}
    >
      {renaming ? (
        <Rename name={name} maxLength={SESSION_NAME_CHARS} testId="rename-field" done={(next) => void rename(next)} />
      ) : (
        <button type="button" className="session-open" aria-current={current} onClick={show} onDoubleClick={() => app.renaming.set(key)}>
          <span className="session-glyph" aria-hidden="true" />
          <span className="session-name">{name}</span>
          <span className="session-detail">{sessionDetail(session)}</span>
          {again !== undefined && (
            <span className="session-again" data-testid="session-again" title={again}>
              <WholeWords text={again} />
            </span>
          )}
          {session.viewers > 1 && (
            <span className="session-viewers" title={`${session.viewers} viewers`}>
              {session.viewers}
            </span>
          )}
        </button>
      )}
      {!renaming && (
        <span className="session-acts">
          {!over && (
            <button
              type="button"
              className="icon-button"
              aria-label={`Rename ${name}`}
              title="Rename"
              data-testid="rename"
              disabled={!online}
              onClick={() => app.renaming.set(key)}
            >
              <PencilIcon />
            </button>
          )}
          {over ? (
            <button type="button" className="icon-button" aria-label={`Forget ${name}`} title="Forget" data-testid="forget" disabled={!online} onClick={forget}>
              <CloseIcon />
            </button>
          ) : (
            <button
              type="button"
              className="icon-button"
              aria-label={`End ${name}`}
              title="End"
              data-testid="end"
              disabled={!online}
              onClick={() => app.overlay.set({ kind: "end-session", tab, name })}
            >
              <StopIcon />
            </button>
          )}
        </span>
      )}
    </li>
  );

  async function rename(next: string | undefined): Promise<void> {
    app.renaming.set(undefined);
    // The field is gone with the next picture, and the keyboard would go nowhere.
    requestAnimationFrame(() => {
      if (document.activeElement === document.body) app.workspace.current()?.screen.focus();
    });
    const wanted = next?.trim() ?? "";
    if (wanted === "" || wanted === session.name) return;
    try {
      await app.renameSession(tab, wanted);
    } catch (error) {
      app.failed(error);
    }
  }
}
