// The list, the tabs, the terminals, the wire.

import { useEffect, type ReactNode } from "react";

import { Permission } from "../gen/chatcode/v1/rule_pb";
import { displaySafe } from "../words";
import { inView, keyOf } from "../workspace/workspace";
import { Command } from "./command";
import { useApp, useNothingGiven, useStore } from "./hooks";
import { CommandIcon, ListIcon, PlusIcon } from "./icons";
import { keysText, runKey } from "./keys";
import { MachineList } from "./machine-list";
import { Overlays } from "./overlays";
import { TerminalPane } from "./pane";
import { People } from "./people";
import { OthersLink } from "./offer";
import { ProofQuestion } from "./proof";
import { ShareButton } from "./share";
import { TabStrip } from "./tabs";
import { Wire } from "./wire";

export function WorkspaceView(): ReactNode {
  const app = useApp();
  const tabs = useStore(app.workspace.tabs);
  const { open, active } = tabs;
  const listOpen = useStore(app.listOpen);
  const failure = useStore(app.failure);
  const waits = useStore(app.fleet.state).pending.length > 0;
  const tab = inView(tabs);
  useTitle();
  useEffect(() => {
    const keys = (event: KeyboardEvent): void => void runKey(app, event);
    window.addEventListener("keydown", keys, true);
    return () => window.removeEventListener("keydown", keys, true);
  }, [app]);

  return (
    <div className="workspace" data-list-open={listOpen} data-testid="sign-in-state" data-state="signed-in">
      <MachineList />
      <button type="button" className="scrim" aria-label="Close the list" tabIndex={-1} onClick={() => app.listOpen.set(false)} />
      <main className="stage">
        <header className="topbar">
          <button
            type="button"
            className="icon-button list-toggle"
            aria-label={waits ? "Machines and sessions; a machine waits for approval" : "Machines and sessions"}
            data-waits={waits}
            aria-expanded={listOpen}
            data-testid="list-toggle"
            onClick={() => app.listOpen.set(!listOpen)}
          >
            <ListIcon />
          </button>
          <TabStrip />
          {tab !== undefined && <People key={active} attachment={app.workspace.attachment(tab)} />}
          {tab !== undefined && <ShareButton tab={tab} />}
          <button
            type="button"
            className="icon-button"
            aria-label="Commands and sessions"
            title={`Commands and sessions (${keysText("P")})`}
            data-testid="palette-button"
            onClick={() => app.overlay.set({ kind: "palette" })}
          >
            <CommandIcon />
          </button>
        </header>
        <div className="panes">
          {open.map((each) => (
            <TerminalPane key={keyOf(each)} tab={each} active={keyOf(each) === active} />
          ))}
          {open.length === 0 && <Nothing />}
        </div>
        {failure !== undefined && (
          <div className="toast" role="alert" data-testid="failure">
            <span>{displaySafe(failure.text)}</span>
            {failure.again !== undefined && (
              <button type="button" className="small" data-testid="failure-again" onClick={failure.again}>
                Try again
              </button>
            )}
            <button type="button" className="quiet" onClick={() => app.failure.set(undefined)}>
              Dismiss
            </button>
          </div>
        )}
        <Wire />
      </main>
      <Overlays />
      <ProofQuestion />
      <OthersLink />
    </div>
  );
}

function Nothing(): ReactNode {
  const app = useApp();
  const { machines, synced } = useStore(app.fleet.state);
  const mayAdd = useStore(app.account.permissions).has(Permission.GATEWAY_ENROLL);
  const nothingGiven = useNothingGiven();
  if (!synced && nothingGiven) {
    return (
      <section className="nothing" data-testid="nothing-given">
        <div className="nothing-art" aria-hidden="true" />
        <h1>Nothing is yours to see yet</h1>
        <p>Your account has no role here. Ask whoever let you in to give you one; this page shows it by itself.</p>
      </section>
    );
  }
  if (!synced) return <div className="nothing" />;
  const none = machines.length === 0;
  return (
    <section className="nothing" data-testid="nothing-open">
      <div className="nothing-art" aria-hidden="true">
        <span className="nothing-caret" />
      </div>
      <h1>{none ? "No machine has joined yet" : "Pick a session, or start one"}</h1>
      <p>
        {none
          ? "One that joins appears here by itself."
          : "A session keeps running when you close the tab, lose the network or restart chatcode."}
      </p>
      {none && mayAdd && (
        <button type="button" className="primary" data-testid="nothing-add-machine" onClick={() => app.overlay.set({ kind: "add-machine" })}>
          <PlusIcon /> Add a machine
        </button>
      )}
      {none && (
        <>
          <p>{mayAdd ? "Or make a join token where chatcode runs:" : "Whoever runs chatcode makes a join token for it there:"}</p>
          <Command text="chatcode gateway token --name NAME" />
        </>
      )}
      {!none && (
        <button type="button" className="primary" onClick={() => app.overlay.set({ kind: "new-session", gateway: undefined })}>
          <PlusIcon /> New session
        </button>
      )}
      {!none && (
        <dl className="hints">
          <div>
            <dt>New session</dt>
            <dd>
              <kbd>{keysText("Enter")}</kbd>
            </dd>
          </div>
          <div>
            <dt>Commands and sessions</dt>
            <dd>
              <kbd>{keysText("P")}</kbd>
            </dd>
          </div>
          <div>
            <dt>Search in the terminal</dt>
            <dd>
              <kbd>{keysText("F")}</kbd>
            </dd>
          </div>
        </dl>
      )}
    </section>
  );
}

/** The browser's tab says which session is in view. */
function useTitle(): void {
  const app = useApp();
  const tabs = useStore(app.workspace.tabs);
  const { machines } = useStore(app.fleet.state);
  useEffect(() => {
    const tab = inView(tabs);
    const session = tab === undefined ? undefined : app.fleet.session(tab.gateway, tab.session);
    const machine = tab === undefined ? undefined : app.fleet.gateway(tab.gateway);
    document.title = session === undefined ? "chatcode" : displaySafe(`${session.name} · ${machine?.name ?? "?"} · chatcode`);
  }, [app, tabs, machines]);
}
