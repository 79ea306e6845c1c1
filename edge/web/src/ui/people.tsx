// Who is here and who types, at the right of the tabs.

import type { ReactNode } from "react";

import { Role } from "../gen/chatcode/v1/grant_pb";
import type { Viewer } from "../gen/chatcode/v1/terminal_pb";
import type { Attachment } from "../session/attachment";
import { displaySafe } from "../words";
import { useStore } from "./hooks";
import { EyeIcon } from "./icons";

/** Who is here and who types; silent while one is alone and may type. */
export function People({ attachment }: { attachment: Attachment }): ReactNode {
  const { attached, presence, role, viewer, refusedKeys, exited } = useStore(attachment.status);
  if (!attached || exited || presence === undefined) return null;
  const others = presence.viewers.filter((each) => each.viewer !== viewer);
  const mine = presence.writer === viewer;
  const writer = presence.viewers.find((each) => each.viewer === presence.writer);
  // The lease waits a moment for a writer whose connection broke.
  const away = presence.writer !== 0 && writer === undefined;
  if (role === Role.WRITER && others.length === 0 && (mine || presence.writer === 0)) return null;
  const takeOver = (): void => {
    attachment.takeOver();
    attachment.screen.focus();
  };
  return (
    <div className="people" data-testid="presence" data-writer={mine} data-nudged={refusedKeys > 0 && !mine} key={mine ? "mine" : refusedKeys}>
      <span className="people-names">
        {(away ? [] : writer === undefined || mine ? others : [writer]).map((each) => (
          <span key={each.viewer} className="person-chip" data-types={each.viewer === presence.writer}>
            {displaySafe(each.displayName, 64)}
          </span>
        ))}
      </span>
      {mine && <span data-testid="you-type">{others.length === 1 ? "looks on" : "look on"}</span>}
      {!mine && role === Role.WRITER && (
        <span data-testid="read-only" title={away ? "The connection broke; the keyboard is free in a few seconds unless it comes back" : undefined}>
          {away ? "Who types here is away" : writer === undefined ? "Nobody types" : "types in another window"}
        </span>
      )}
      {role !== Role.WRITER && (
        <span data-testid="read-only" title="You may look, not type">
          <EyeIcon /> Read only
        </span>
      )}
      {!mine && role === Role.WRITER && (
        <button type="button" className="small" data-testid="take-over" onClick={takeOver}>
          Take over
        </button>
      )}
      {mine && <HandOver attachment={attachment} to={others.filter((each) => each.role === Role.WRITER)} />}
    </div>
  );
}

/** Gives the typing to somebody who may type; with several there is a choice of whom. */
function HandOver({ attachment, to }: { attachment: Attachment; to: readonly Viewer[] }): ReactNode {
  const [only, ...more] = to;
  if (only === undefined) return null;
  if (more.length === 0) {
    return (
      <button type="button" className="small" data-testid="hand-over" onClick={() => attachment.handOver(only.viewer)}>
        Hand over
      </button>
    );
  }
  return (
    <select
      className="small"
      aria-label="Hand the typing over to"
      data-testid="hand-over"
      value=""
      onChange={(event) => attachment.handOver(Number(event.target.value))}
    >
      <option value="" disabled>
        Hand over to…
      </option>
      {to.map(({ viewer, displayName }) => (
        <option key={viewer} value={viewer}>
          {displaySafe(displayName, 64)} (window {viewer})
        </option>
      ))}
    </select>
  );
}
