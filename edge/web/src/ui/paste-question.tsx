// Lines that a paste would run at once are shown before they go.

import { useEffect, useRef, type ReactNode } from "react";

import type { Attachment } from "../session/attachment";
import { useStore } from "./hooks";

export function PasteQuestion({ attachment }: { attachment: Attachment }): ReactNode {
  const { risk } = useStore(attachment.status);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (risk === undefined || dialog.current === null || dialog.current.open) return;
    dialog.current.showModal();
    dialog.current.querySelector<HTMLElement>("[data-autofocus]")?.focus();
  }, [risk]);
  if (risk === undefined) return null;
  const go = (): void => {
    attachment.dismissRisk();
    risk.go();
  };
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby="paste-title" data-testid="paste-question" onClose={() => attachment.dismissRisk()}>
      <h2 id="paste-title">{risk.risk.lines === 1 ? "Paste a whole line?" : `Paste ${risk.risk.lines} lines?`}</h2>
      <p>The program in the terminal does not hold pastes back: a line runs as soon as it arrives.</p>
      <pre className="paste-preview">{risk.risk.preview}</pre>
      <div className="dialog-acts">
        <button type="button" className="quiet" onClick={() => attachment.dismissRisk()}>
          Cancel
        </button>
        <button type="button" className="primary" data-autofocus data-testid="paste-anyway" onClick={go}>
          Paste
        </button>
      </div>
    </dialog>
  );
}
