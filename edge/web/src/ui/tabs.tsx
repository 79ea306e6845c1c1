// The open terminals, one tab each; they can be dragged into another order.

import { useEffect, useRef, type KeyboardEvent, type ReactNode } from "react";

import { SESSION_NAME_CHARS } from "../link/limits";
import { displaySafe } from "../words";
import { keyOf, type Tab } from "../workspace/workspace";
import { useApp, useStore } from "./hooks";
import { CloseIcon } from "./icons";
import { isOver } from "./session-words";

export function TabStrip(): ReactNode {
  const app = useApp();
  const { open, active } = useStore(app.workspace.tabs);
  const arrows = (event: KeyboardEvent): void => {
    if (event.shiftKey || event.ctrlKey) return;
    if (event.key === "ArrowRight") app.workspace.step(1);
    else if (event.key === "ArrowLeft") app.workspace.step(-1);
    else return;
    requestAnimationFrame(() => document.querySelector<HTMLElement>(".tab[aria-selected=true]")?.focus());
  };
  return (
    <div className="tabs" onKeyDown={arrows}>
      {/* The list owns the tabs and not the buttons beside them, which are none. */}
      <div className="unseen" role="tablist" aria-label="Open terminals" aria-owns={open.map((tab) => `tab-${keyOf(tab)}`).join(" ")} />
      {open.map((tab) => (
        <TabButton key={keyOf(tab)} tab={tab} active={keyOf(tab) === active} />
      ))}
    </div>
  );
}

function TabButton({ tab, active }: { tab: Tab; active: boolean }): ReactNode {
  const app = useApp();
  const key = keyOf(tab);
  const self = useRef<HTMLButtonElement>(null);
  useStore(app.fleet.state);
  const status = useStore(app.workspace.attachment(tab).status);
  const session = app.fleet.session(tab.gateway, tab.session);
  const name = displaySafe(session?.name ?? (status.name === "" ? "session" : status.name), SESSION_NAME_CHARS);
  const over = status.exited || (session !== undefined && isOver(session));
  useEffect(() => {
    if (active) self.current?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [active]);
  return (
    <div
      className="tab-place"
      data-active={active}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => app.workspace.move(event.dataTransfer.getData("text/x-chatcode-tab"), key)}
    >
      <button
        ref={self}
        type="button"
        role="tab"
        className="tab"
        id={`tab-${key}`}
        aria-selected={active}
        aria-controls={`pane-${key}`}
        tabIndex={active ? 0 : -1}
        data-testid="tab"
        data-session={tab.session}
        data-over={over}
        data-unseen={status.unseen}
        data-rang={status.rang}
        title={status.title === "" ? name : displaySafe(`${name}: ${status.title}`)}
        draggable
        onDragStart={(event) => event.dataTransfer.setData("text/x-chatcode-tab", key)}
        onClick={() => app.workspace.activate(tab)}
        onAuxClick={(event) => {
          if (event.button === 1) app.workspace.close(tab);
        }}
      >
        <span className="tab-dot" aria-hidden="true" />
        <span className="tab-name">{name}</span>
      </button>
      <button
        type="button"
        className="tab-close icon-button"
        aria-label={`Close the tab ${name}; the session goes on`}
        data-testid="tab-close"
        tabIndex={active ? 0 : -1}
        onClick={() => app.workspace.close(tab)}
      >
        <CloseIcon />
      </button>
    </div>
  );
}
