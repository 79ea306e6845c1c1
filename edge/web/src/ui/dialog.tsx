// The one room of dialogs: what holds up the page behind it, its buttons, and
// what it says when something was refused.

import { useEffect, useRef, useState, type ReactNode } from "react";

import { explain } from "../link/refusal";
import { displaySafe } from "../words";

interface ModalProps {
  title: string;
  testId: string;
  className?: string;
  close: () => void;
  children: ReactNode;
}

/** A modal dialog of the browser: it keeps the focus, and Escape closes it. */
export function Modal(props: ModalProps): ReactNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const shown = dialog.current;
    if (shown === null || shown.open) return;
    shown.showModal();
    firstOf(shown)?.focus();
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

interface DialogProps extends ModalProps {
  /** The button that only closes. */
  later?: string;
  /** That button is the only one, or the one to press by now. */
  over?: boolean;
  /** It is for reading, and what there is to read may come later: the keyboard begins at the title. */
  reading?: boolean;
  /** What was refused, and why. */
  refused?: string | undefined;
  /** The buttons that do something. */
  acts?: ReactNode;
  /** The dialog is a form, and this what its button of type submit does. */
  form?: { testId?: string; submit: () => void };
}

/** A question or a form: heading, content, what was refused, buttons. */
export function Dialog({ later = "Cancel", over = false, reading = false, refused, acts, form, children, ...modal }: DialogProps): ReactNode {
  const content = (
    <>
      <h2 tabIndex={-1} data-autofocus={reading ? true : undefined}>
        {modal.title}
      </h2>
      {children}
      <Refused words={refused} />
      <div className="dialog-acts">
        <button type="button" className={over ? "primary" : "quiet"} data-dialog-later onClick={modal.close}>
          {later}
        </button>
        {acts}
      </div>
    </>
  );
  if (form === undefined) return <Modal {...modal}>{content}</Modal>;
  return (
    <Modal {...modal}>
      <form
        data-testid={form.testId}
        onSubmit={(event) => {
          event.preventDefault();
          form.submit();
        }}
      >
        {content}
      </form>
    </Modal>
  );
}

/** What was refused and why; nothing when nothing was. */
export function Refused({ words }: { words: string | undefined }): ReactNode {
  if (words === undefined) return null;
  return (
    <p className="refused" role="alert" data-testid="refused">
      {displaySafe(words)}
    </p>
  );
}

/** Gives the keyboard to the dialog's last resort, when what had it is gone; what is read stays in view. */
export function focusLater(): void {
  document.querySelector<HTMLElement>("dialog[open] [data-dialog-later]")?.focus({ preventScroll: true });
}

/** What is asked for, else the harmless button; in a dialog taller than the screen the title, which that would scroll out of sight. */
function firstOf(dialog: HTMLElement): HTMLElement | null {
  const fits = dialog.scrollHeight <= dialog.clientHeight;
  return dialog.querySelector<HTMLElement>("[data-autofocus]") ?? dialog.querySelector<HTMLElement>(fits ? "[data-dialog-later]" : "h2");
}

/** Something that a dialog asks of the core: whether it is under way, and why it was refused. */
export interface Act {
  busy: boolean;
  refused: string | undefined;
  refuse: (words: string) => void;
  /** Does it; answers whether it was done. */
  run: (work: () => Promise<void>) => Promise<boolean>;
}

export function useAct(): Act {
  const [busy, setBusy] = useState(false);
  const [refused, refuse] = useState<string>();
  const run = async (work: () => Promise<void>): Promise<boolean> => {
    setBusy(true);
    refuse(undefined);
    try {
      await work();
      return true;
    } catch (error) {
      refuse(explain(error));
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, refused, refuse, run };
}
