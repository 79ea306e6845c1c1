// One terminal and what has to be said around it.

import { useEffect, useRef, type ReactNode } from "react";

import { Code } from "../gen/chatcode/v1/code_pb";
import { Role } from "../gen/chatcode/v1/grant_pb";
import { SessionState } from "../gen/chatcode/v1/sessions_pb";
import type { Attachment } from "../session/attachment";
import { displaySafe, spanText } from "../words";
import type { Tab } from "../workspace/workspace";
import { useApp, useStore } from "./hooks";
import { KeyRow } from "./key-row";
import { isPageKey } from "./keys";
import { LineNote } from "./line-note";
import { PasteQuestion } from "./paste-question";
import { SearchBar } from "./search-bar";
import { exitText } from "./session-words";
import { CloseIcon, EyeIcon } from "./icons";

export function TerminalPane({ tab, active }: { tab: Tab; active: boolean }): ReactNode {
  const app = useApp();
  const attachment = app.workspace.attachment(tab);
  const searching = useStore(app.searching) && active;
  return (
    <section
      className="pane"
      role="tabpanel"
      id={`pane-${tab.session}`}
      aria-labelledby={`tab-${tab.session}`}
      hidden={!active}
      data-testid="pane"
      data-session={tab.session}
      data-active={active}
    >
      <People attachment={attachment} />
      <LineNote attachment={attachment} tab={tab} />
      <Notices attachment={attachment} />
      <div className="pane-body">
        <TerminalHost attachment={attachment} active={active} />
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

/** Who is here and who types; silent while one is alone and may type. */
function People({ attachment }: { attachment: Attachment }): ReactNode {
  const { attached, presence, role, viewer, refusedKeys, exited } = useStore(attachment.status);
  if (!attached || exited || presence === undefined) return null;
  const others = presence.viewers.filter((each) => each.viewer !== viewer);
  const mine = presence.writer === viewer;
  const writer = presence.viewers.find((each) => each.viewer === presence.writer);
  if (role === Role.WRITER && others.length === 0 && (mine || presence.writer === 0)) return null;
  const takeOver = (): void => {
    attachment.takeOver();
    attachment.screen.focus();
  };
  return (
    <div className="people" data-testid="presence" data-writer={mine} data-nudged={refusedKeys > 0 && !mine} key={mine ? "mine" : refusedKeys}>
      <span className="people-names">
        {others.map((each) => (
          <span key={each.viewer} className="person-chip" data-types={each.viewer === presence.writer}>
            {displaySafe(each.displayName, 64)}
          </span>
        ))}
      </span>
      {mine && <span data-testid="you-type">You type; {others.length === 1 ? "one more looks on" : `${others.length} more look on`}.</span>}
      {!mine && role === Role.WRITER && (
        <span data-testid="read-only">
          {writer === undefined ? "Nobody types." : `${displaySafe(writer.displayName, 64)} types in another window. You look on.`}
        </span>
      )}
      {role !== Role.WRITER && (
        <span data-testid="read-only">
          <EyeIcon /> Read only: you may look, not type.
        </span>
      )}
      {!mine && role === Role.WRITER && (
        <button type="button" className="small" data-testid="take-over" onClick={takeOver}>
          Take over
        </button>
      )}
      {mine && others.length === 1 && others[0]?.role === Role.WRITER && (
        <button type="button" className="small" data-testid="hand-over" onClick={() => attachment.handOver(others[0]?.viewer ?? 0)}>
          Hand over
        </button>
      )}
    </div>
  );
}

function Notices({ attachment }: { attachment: Attachment }): ReactNode {
  const { notices } = useStore(attachment.status);
  return (
    <div role="log" aria-label="Notices">
      {notices.map(({ id, kind, text }) => (
        <div key={id} className="notice" data-testid={kind === "gap" ? "gap" : "input-notice"}>
          <span>{text}</span>
          <button type="button" className="icon-button" aria-label="Dismiss" onClick={() => attachment.dismiss(id)}>
            <CloseIcon />
          </button>
        </div>
      ))}
    </div>
  );
}

function LinkTarget({ attachment }: { attachment: Attachment }): ReactNode {
  const { link } = useStore(attachment.status);
  return link === undefined ? null : <div className="link-target">{displaySafe(link)}</div>;
}

function Ended({ attachment, tab }: { attachment: Attachment; tab: Tab }): ReactNode {
  const app = useApp();
  useStore(app.fleet.state);
  const { exited, exit } = useStore(attachment.status);
  const { phase, refusal } = useStore(attachment.line.state);
  const session = app.fleet.session(tab.gateway, tab.session);
  const gone = phase === "ended" && (refusal?.code === Code.UNKNOWN_SESSION || refusal?.code === Code.UNKNOWN_GATEWAY);
  const over = exited || session?.state === SessionState.EXITED || session?.state === SessionState.LOST;
  if (!over && !gone) return null;
  const how = exit ?? session?.exit;
  const words = gone && !over ? "This session is not known any more" : session?.state === SessionState.LOST ? "The session was lost: its keeper vanished" : `The shell ${exitText(how)}`;
  const span = how === undefined || how.durationMs === 0n ? "" : ` after ${spanText(Number(how.durationMs))}`;
  return (
    <div className="ended" role="status" data-testid="exited" data-code={how?.code} data-signal={how?.signal}>
      <span>
        {words}
        {span}.
      </span>
      <button type="button" className="small" onClick={() => app.workspace.close(tab.session)}>
        Close the tab
      </button>
      <button type="button" className="small" onClick={() => app.overlay.set({ kind: "new-session", gateway: tab.gateway })}>
        New session here
      </button>
    </div>
  );
}
