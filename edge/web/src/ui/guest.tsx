// The page of a guest: one terminal, who is here, and the way out.

import { useEffect, type ReactNode } from "react";

import type { GuestKeeper, Stay } from "../sharing/guest";
import { dateText, displaySafe } from "../words";
import { useAct } from "./dialog";
import { useApp, useStore } from "./hooks";
import { CommandIcon, Mark, SchemeIcon } from "./icons";
import { keysText, runKey } from "./keys";
import { Overlays } from "./overlays";
import { TerminalPane } from "./pane";
import { People } from "./people";
import { Wire } from "./wire";

export function GuestFace({ guest }: { guest: GuestKeeper }): ReactNode {
  const stay = useStore(guest.stay);
  switch (stay.state) {
    case "asking":
      return <div className="calm" data-testid="guest" data-state="asking" />;
    case "waiting":
      return (
        <Card title="One moment" state="waiting">
          <p role="status">{displaySafe(stay.words)}; this page tries again by itself.</p>
        </Card>
      );
    case "out":
      return (
        <Card title="You are not in this session" state="out">
          <p className="calm-why" role="alert" data-testid="guest-out">
            {displaySafe(stay.words)}
          </p>
        </Card>
      );
    case "left":
      return (
        <Card title="You have left" state="left">
          <p>The session goes on without you. The link lets you in again, as long as it counts and is not used up.</p>
        </Card>
      );
    case "in":
      return <GuestView guest={guest} stay={stay} />;
  }
}

function GuestView({ guest, stay }: { guest: GuestKeeper; stay: Extract<Stay, { state: "in" }> }): ReactNode {
  const app = useApp();
  const attachment = app.workspace.attachment(stay.tab);
  const { name } = useStore(attachment.status);
  const look = useStore(app.look.look);
  const { busy, refused, run } = useAct();
  const shown = displaySafe(name === "" ? "session" : name, 128);
  useEffect(() => {
    document.title = `${shown} · shared by ${displaySafe(stay.sharedBy, 64)} · chatcode`;
  }, [shown, stay.sharedBy]);
  useEffect(() => {
    const keys = (event: KeyboardEvent): void => void runKey(app, event);
    window.addEventListener("keydown", keys, true);
    return () => window.removeEventListener("keydown", keys, true);
  }, [app]);
  return (
    <div className="workspace guest" data-testid="guest" data-state="in" data-writer={stay.writer}>
      <main className="stage">
        <header className="topbar">
          <Mark />
          <div className="guest-what">
            <h1 data-testid="guest-session">{shown}</h1>
            <p data-testid="guest-terms">
              shared by {displaySafe(stay.sharedBy, 64)}, until {dateText(stay.expiresUnixMs)}; you may {stay.writer ? "look and type" : "look"}
            </p>
          </div>
          <People attachment={attachment} />
          <button type="button" className="icon-button scheme" aria-label={`Colours: ${look.choice}`} title={`Colours: ${look.choice}`} onClick={() => app.look.cycleScheme()}>
            <SchemeIcon choice={look.choice} />
          </button>
          <button
            type="button"
            className="icon-button"
            aria-label="Commands"
            title={`Commands (${keysText("P")})`}
            data-testid="palette-button"
            onClick={() => app.overlay.set({ kind: "palette" })}
          >
            <CommandIcon />
          </button>
          <button type="button" className="small" disabled={busy} data-testid="guest-leave" onClick={() => void run(() => guest.leave())}>
            Leave
          </button>
        </header>
        <div className="panes">
          <TerminalPane tab={stay.tab} active />
        </div>
        {refused !== undefined && (
          <div className="toast" role="alert">
            <span>{displaySafe(refused)}</span>
          </div>
        )}
        <Wire />
      </main>
      <Overlays />
    </div>
  );
}

function Card({ title, state, children }: { title: string; state: Stay["state"]; children: ReactNode }): ReactNode {
  return (
    <main className="calm" data-testid="guest" data-state={state}>
      <section className="calm-card" aria-labelledby="calm-title">
        <Mark size={40} />
        <h1 id="calm-title">{title}</h1>
        {children}
      </section>
    </main>
  );
}
