// On a touch screen: the keys that its keyboard does not have. Ctrl and Alt
// hold for the next key.

import { useEffect, useState, type ReactNode } from "react";

import type { Attachment } from "../session/attachment";

type Held = "ctrl" | "alt" | undefined;

const KEYS: readonly { label: string; name: string; plain: string; application?: string }[] = [
  { label: "Esc", name: "Esc", plain: "\x1b" },
  { label: "Tab", name: "Tab", plain: "\t" },
  { label: "←", name: "Left", plain: "\x1b[D", application: "\x1bOD" },
  { label: "↓", name: "Down", plain: "\x1b[B", application: "\x1bOB" },
  { label: "↑", name: "Up", plain: "\x1b[A", application: "\x1bOA" },
  { label: "→", name: "Right", plain: "\x1b[C", application: "\x1bOC" },
];
const MORE: readonly { label: string; name: string; plain: string }[] = [
  { label: "^C", name: "Control C", plain: "\x03" },
  { label: "|", name: "Pipe", plain: "|" },
  { label: "~", name: "Tilde", plain: "~" },
  { label: "/", name: "Slash", plain: "/" },
];

export function KeyRow({ attachment }: { attachment: Attachment }): ReactNode {
  const [held, setHeld] = useState<Held>(undefined);
  useEffect(() => {
    attachment.screen.hold(held, () => setHeld(undefined));
  }, [held, attachment]);
  const toggle = (key: Held): void => setHeld(held === key ? undefined : key);
  const press = (plain: string, application?: string): void => {
    attachment.screen.press(application !== undefined && attachment.screen.applicationCursor ? application : plain);
  };
  // A tap must not take the focus, else the keyboard of the device folds away.
  return (
    <div className="key-row" role="toolbar" aria-label="Keys" data-testid="key-row" onPointerDown={(event) => event.preventDefault()}>
      {KEYS.slice(0, 2).map(({ label, name, plain }) => (
        <button type="button" key={name} aria-label={name} tabIndex={-1} onClick={() => press(plain)}>
          {label}
        </button>
      ))}
      <button type="button" aria-pressed={held === "ctrl"} tabIndex={-1} onClick={() => toggle("ctrl")}>
        Ctrl
      </button>
      <button type="button" aria-pressed={held === "alt"} tabIndex={-1} onClick={() => toggle("alt")}>
        Alt
      </button>
      {KEYS.slice(2).map(({ label, name, plain, application }) => (
        <button type="button" key={name} aria-label={name} tabIndex={-1} onClick={() => press(plain, application)}>
          {label}
        </button>
      ))}
      {MORE.map(({ label, name, plain }) => (
        <button type="button" key={name} aria-label={name} tabIndex={-1} onClick={() => press(plain)}>
          {label}
        </button>
      ))}
    </div>
  );
}
