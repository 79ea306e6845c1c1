// A dialog that holds up the page behind it.

import { useEffect, useRef, type ReactNode } from "react";

/** A modal dialog of the browser: it keeps the focus, and Escape closes it. */
export function Modal(props: { title: string; testId: string; className?: string; close: () => void; children: ReactNode }): ReactNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const shown = dialog.current;
    if (shown === null || shown.open) return;
    shown.showModal();
    shown.querySelector<HTMLElement>("[data-autofocus]")?.focus();
  }, []);
  return (
    <dialog
      ref={dialog}
      className={`dialog ${props.className ?? ""}`}
      aria-label={props.title}
      data-testid={props.testId}
      onClose={props.close}
      onPointerDown={(event) => {
        if (event.target === dialog.current) props.close();
      }}
    >
      <div className="dialog-body">{props.children}</div>
    </dialog>
  );
}
