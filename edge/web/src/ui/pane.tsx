// One terminal and what has to be said on it. What comes and goes lies over the
// terminal or outside of the pane: nothing here may change the terminal's size.

import { useEffect, useRef, type ReactNode } from "react";

import { Code } from "../gen/chatcode/v1/code_pb";
import { SessionState, type Exit, type Session } from "../gen/chatcode/v1/sessions_pb";
import type { Attachment } from "../session/attachment";
import { displaySafe, spanText } from "../words";
import { keyOf, type Tab } from "../workspace/workspace";
import { ClipboardOffer } from "./clipboard-offer";
import { useApp, useStore } from "./hooks";
import { CloseIcon, EarlierIcon } from "./icons";
import { KeyRow } from "./key-row";
import { isPageKey } from "./keys";
import { PasteQuestion } from "./paste-question";
import { SearchBar } from "./search-bar";
import { endText, exitText, isOver } from "./session-words";

export function TerminalPane({ tab, active }: { tab: Tab; active: boolean }): ReactNode {
  const app = useApp();
  const attachment = app.workspace.attachment(tab);
  const searching = useStore(app.searching) && active;
  return (
    <section
      className="pane"
      role="tabpanel"
      id={`pane-${keyOf(tab)}`}
      aria-labelledby={`tab-${keyOf(tab)}`}
      hidden={!active}
      data-testid="pane"
      data-session={tab.session}
      data-active={active}
    >
      <div className="pane-body">
        <TerminalHost attachment={attachment} active={active} />
        <Skipped attachment={attachment} />
        <Notices attachment={attachment} />
        {searching && <SearchBar attachment={attachment} />}
        <LinkTarget attachment={attachment} />
        <PasteQuestion attachment={attachment} />
      </div>
      <Ended attachment={attachment} tab={tab} />
      <KeyRow attachment={attachment} />
    </section>
  );
}

function TerminalHost({ attachment, active }: { attachment: Attachment; active: boolean }): ReactNode {
  const place = useRef<HTMLDivElement>(null);
  const opened = useRef(false);
  const { attached } = useStore(attachment.status);
  useEffect(() => {
    const host = place.current;
    if (!active || host === null || opened.current) return;
    opened.current = true;
    // The page's keys are taken before the terminal sees them; a paste by Ctrl+Shift+V is the browser's.
    attachment.screen.open(host, (event) => !isPageKey(event) || !["KeyV", "KeyC"].includes(event.code));
  }, [active, attachment]);
  useEffect(() => {
    attachment.setVisible(active);
    if (active) attachment.screen.focus();
  }, [active, attachment]);
  return <div ref={place} className="screen" data-testid="screen" data-session={attachment.session} data-attached={attached} />;
}

/** Says that the lines above are not here, and brings them. */
function Skipped({ attachment }: { attachment: Attachment }): ReactNode {
  const { skipped, asked, exited } = useStore(attachment.status);
  if (!skipped) return null;
  const load = (): void => {
    attachment.askForSkipped();
    attachment.screen.focus();
  };
  return (
    <button type="button" className="skipped" data-testid="skipped" data-asked={asked} disabled={exited} onClick={load}>
      <EarlierIcon />
      <span>{asked ? "Loading earlier output…" : exited ? "Earlier output is not here" : "Earlier output is not here yet"}</span>
      {!asked && !exited && <span className="skipped-how">Scroll up to load</span>}
    </button>
  );
}

function Notices({ attachment }: { attachment: Attachment }): ReactNode {
  const { notices } = useStore(attachment.status);
  return (
    <div className="notices" role="log" aria-label="Notices">
      {notices.map(({ id, text }) => (
        <div key={id} className="notice" data-testid="input-notice">
          <span>{displaySafe(text)}</span>
          <button type="button" className="icon-button" aria-label="Dismiss" onClick={() => attachment.dismiss(id)}>
            <CloseIcon />
          </button>
        </div>
      ))}
      <ClipboardOffer attachment={attachment} />
    </div>
  );
}

function LinkTarget({ attachment }: { attachment: Attachment }): ReactNode {
  const { link } = useStore(attachment.status);
  return link === undefined ? null : <div className="link-target">{displaySafe(link)}</div>;
}

function overText(session: Session | undefined, exit: Exit | undefined): string {
  if (session === undefined || !isOver(session)) return `The shell ${exitText(exit)}`;
  return session.state === SessionState.LOST ? `The session is ${endText(session)}` : `The shell ${endText(session)}`;
}

function Ended({ attachment, tab }: { attachment: Attachment; tab: Tab }): ReactNode {
  const app = useApp();
  useStore(app.fleet.state);
  const { exited, exit, epoch } = useStore(attachment.status);
  const { phase, refusal } = useStore(attachment.line.state);
  const session = app.fleet.session(tab.gateway, tab.session);
  const gone = phase === "ended" && (refusal?.code === Code.UNKNOWN_SESSION || refusal?.code === Code.UNKNOWN_GATEWAY);
  const over = exited || session?.state === SessionState.EXITED || session?.state === SessionState.LOST;
  // Started again under its id: this terminal goes on with it. Another epoch tells it from news that are late.
  const isBack = exited && phase === "ended" && session !== undefined && !isOver(session) && session.epoch !== epoch;
  useEffect(() => {
    if (isBack) attachment.again();
  }, [isBack, attachment]);
  if (!over && !gone) return null;
  const how = exit ?? session?.exit;
  const words = gone && !over ? "This session is not known any more" : overText(session, how);
  const span = how === undefined || how.durationMs === 0n ? "" : ` after ${spanText(Number(how.durationMs))}`;
  return (
    <div className="ended" role="status" data-testid="exited" data-code={how?.code} data-signal={how?.signal}>
      <span>
        {words}
        {span}.
      </span>
      {app.guest === undefined && (
        <>
          <button type="button" className="small" onClick={() => app.workspace.close(tab)}>
            Close the tab
          </button>
          <button type="button" className="small" onClick={() => app.overlay.set({ kind: "new-session", gateway: tab.gateway })}>
            New session here
          </button>
        </>
      )}
    </div>
  );
}
