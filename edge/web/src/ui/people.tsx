// Who is here and who types, at the right of the tabs.

import type { ReactNode } from "react";

import { Role } from "../gen/chatcode/v1/grant_pb";
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
  if (role === Role.WRITER && others.length === 0 && (mine || presence.writer === 0)) return null;
  const takeOver = (): void => {
    attachment.takeOver();
    attachment.screen.focus();
  };
  return (
    <div className="people" data-testid="presence" data-writer={mine} data-nudged={refusedKeys > 0 && !mine} key={mine ? "mine" : refusedKeys}>
      <span className="people-names">
        {(writer === undefined || mine ? others : [writer]).map((each) => (
          <span key={each.viewer} className="person-chip" data-types={each.viewer === presence.writer}>
            {displaySafe(each.displayName, 64)}
          </span>
        ))}
      </span>
      {mine && <span data-testid="you-type">{others.length === 1 ? "looks on" : "look on"}</span>}
      {!mine && role === Role.WRITER && (
        <span data-testid="read-only">
          {writer === undefined ? "Nobody types" : "types in another window"}
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
      {mine && others.length === 1 && others[0]?.role === Role.WRITER && (
        <button type="button" className="small" data-testid="hand-over" onClick={() => attachment.handOver(others[0]?.viewer ?? 0)}>
          Hand over
        </button>
      )}
    </div>
  );
}
