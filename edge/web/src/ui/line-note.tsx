// In the wire: what is wrong with the way to the terminal in view, and what
// happens next. Silent while all is well, and for a moment after it broke.

import { useEffect, useState, type ReactNode } from "react";

import { Code } from "../gen/chatcode/v1/code_pb";
import type { Attachment } from "../session/attachment";
import { bytesText, displaySafe } from "../words";
import type { Tab } from "../workspace/workspace";
import { hopTitle } from "./hop-title";
import { useStore } from "./hooks";
import { useWay } from "./way";

const QUIET_MS = 700;

export function LineNote({ attachment, tab }: { attachment: Attachment; tab: Tab }): ReactNode {
  const terminal = useStore(attachment.line.state);
  const { attached, seen, exited, kept, going } = useStore(attachment.status);
  const { down: broken, machine, now } = useWay(tab, attachment);
  const down = !attached && !exited && terminal.phase !== "idle";
  const late = useLate(down, seen ? QUIET_MS : QUIET_MS * 2);
  if (!down && going > 0) {
    return (
      <div className="line-note" data-testid="paste-going">
        <span className="line-note-what">{bytesText(going)} of the paste still to go</span>
      </div>
    );
  }
  if (!down || !late) return null;

  if (terminal.phase === "ended") return <Final attachment={attachment} code={terminal.refusal?.code ?? Code.INTERNAL} message={terminal.refusal?.message ?? ""} />;
  const seconds = Math.max(Math.ceil(((terminal.nextTry ?? now) - now) / 1000), 0);
  // Read aloud once: how long it lasts is seen in the wire.
  const what =
    broken === undefined
      ? (terminal.refusal?.message ?? "Connecting")
      : `${hopTitle(broken.name, machine)}: ${broken.why ?? "down"}`;
  const typed = `${bytesText(kept)} that you typed ${kept === 1 ? "is" : "are"} kept and will be sent.`;
  return (
    <div className="line-note" role="status" data-testid="line-note" data-hop={broken?.name}>
      <span className={broken === undefined ? "line-note-what" : "unseen"}>{displaySafe(what)}.</span>
      {kept > 0 && (
        <span data-testid="kept-input" title={typed}>
          <span className="unseen">{typed}</span>
          <span aria-hidden="true">{bytesText(kept)} typed, kept</span>{" "}
          <button type="button" className="quiet" aria-label="Forget what I typed" onClick={() => attachment.dropKept()}>
            Forget
          </button>
        </span>
      )}
      <span className="line-note-next" aria-hidden="true" data-testid="next-try">
        {terminal.phase === "waiting" && seconds > 0 ? `next try in ${seconds} s` : "trying…"}
      </span>
      <button type="button" className="small" data-testid="try-now" disabled={terminal.phase !== "waiting"} onClick={attachment.line.tryNow}>
        Try now
      </button>
    </div>
  );
}

/** Ends that do not pass by themselves. */
function Final({ attachment, code, message }: { attachment: Attachment; code: Code; message: string }): ReactNode {
  if (code === Code.UNKNOWN_SESSION || code === Code.UNKNOWN_GATEWAY || code === Code.SESSION_ENDED || code === Code.DONE) return null;
  const fenced = code === Code.FENCED;
  return (
    <div className="line-note" role="alert" data-testid="line-note" data-code={Code[code]}>
      <span className="line-note-what">
        {fenced ? "This terminal was opened by another page with the same identity." : displaySafe(message === "" ? "The session refused this page." : message)}
      </span>
      <button type="button" className="small" data-testid="attach-again" onClick={() => attachment.again()}>
        {fenced ? "Use it here" : "Try again"}
      </button>
    </div>
  );
}

/** Whether `on` has held for some time. */
function useLate(on: boolean, ms: number): boolean {
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (!on) {
      setLate(false);
      return undefined;
    }
    const timer = setTimeout(() => setLate(true), ms);
    return () => clearTimeout(timer);
  }, [on, ms]);
  return late;
}
