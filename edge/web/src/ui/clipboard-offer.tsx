// What a program would put on the clipboard, for the person to decide.

import type { ReactNode } from "react";

import type { Attachment } from "../session/attachment";
import { displaySafe } from "../words";
import { useApp, useStore } from "./hooks";
import { copyOffered } from "./keys";

const PREVIEW_CHARS = 80;

/** The first characters in one line. */
function beginning(text: string): string {
  const start = text.slice(0, 4 * PREVIEW_CHARS).replace(/\s*\n\s*/gu, " ↵ ");
  const shown = displaySafe(start, PREVIEW_CHARS);
  return shown.length < start.length || text.length > 4 * PREVIEW_CHARS ? `${shown}…` : shown;
}

export function ClipboardOffer({ attachment }: { attachment: Attachment }): ReactNode {
  const app = useApp();
  const { machines } = useStore(app.fleet.state);
  const { offered, name } = useStore(attachment.status);
  if (offered === undefined) return null;
  const machine = machines.find(({ gateway }) => gateway.id === attachment.gateway)?.gateway.name ?? "";
  return (
    <div className="notice clipboard-offer" data-testid="clipboard-offer">
      <span>
        A program in <b>{displaySafe(name, 64)}</b> on <b>{displaySafe(machine, 64)}</b> would put {offered.length.toLocaleString("en")}{" "}
        {offered.length === 1 ? "character" : "characters"} on the clipboard:
      </span>
      <code>{beginning(offered)}</code>
      <span className="clipboard-offer-acts">
        <button type="button" className="quiet" onClick={() => attachment.dismissOffered()}>
          Dismiss
        </button>
        <button type="button" className="small" data-testid="clipboard-copy" onClick={() => copyOffered(app, attachment)}>
          Copy
        </button>
      </span>
    </div>
  );
}
