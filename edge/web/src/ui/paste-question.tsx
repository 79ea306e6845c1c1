// Lines that a paste would run at once are shown before they go.

import type { ReactNode } from "react";

import type { Attachment } from "../session/attachment";
import { Dialog } from "./dialog";
import { useStore } from "./hooks";

export function PasteQuestion({ attachment }: { attachment: Attachment }): ReactNode {
  const { risk } = useStore(attachment.status);
  if (risk === undefined) return null;
  const { lines, preview } = risk.risk;
  const go = (): void => {
    attachment.dismissRisk();
    risk.go();
  };
  return (
    <Dialog
      title={lines === 1 ? "Paste a whole line?" : `Paste ${lines} lines?`}
      testId="paste-question"
      close={() => attachment.dismissRisk()}
      acts={
        <button type="button" className="primary" data-autofocus data-testid="paste-anyway" onClick={go}>
          Paste
        </button>
      }
    >
      <p>The program in the terminal does not hold pastes back: a line runs as soon as it arrives.</p>
      <pre className="paste-preview">{preview}</pre>
    </Dialog>
  );
}
