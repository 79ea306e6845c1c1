// Fields that several forms have.

import { useEffect, useRef, useState, type ReactNode } from "react";

interface PasswordFieldProps {
  value: string;
  set: (value: string) => void;
  testId: string;
  /** What a password manager does with it. */
  complete: "current-password" | "new-password";
  /** For a new one: its bounds in characters, and what is said of them. */
  bounds?: { least: number; most: number; words: string };
  /** The keyboard begins here, in a dialog that opens. */
  first?: boolean;
}

export function PasswordField({ value, set, testId, complete, bounds, first = false }: PasswordFieldProps): ReactNode {
  return (
    <label className="field">
      <span>Password</span>
      <input
        type="password"
        value={value}
        required
        minLength={bounds?.least}
        maxLength={bounds?.most}
        autoComplete={complete}
        autoFocus={complete === "new-password"}
        data-autofocus={first ? true : undefined}
        data-testid={testId}
        onChange={(event) => set(event.target.value)}
      />
      {bounds !== undefined && <small>{bounds.words}</small>}
    </label>
  );
}

interface RenameProps {
  name: string;
  maxLength: number;
  testId: string;
  /** The new name; nothing when it was left as it is. */
  done: (name: string | undefined) => void;
}

/** The name of something, being changed: Enter or another place takes it, Escape leaves it. */
export function Rename({ name, maxLength, testId, done }: RenameProps): ReactNode {
  const field = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(name);
  useEffect(() => field.current?.select(), []);
  return (
    <input
      ref={field}
      className="session-rename"
      data-testid={testId}
      aria-label={`New name of ${name}`}
      value={text}
      maxLength={maxLength}
      onChange={(event) => setText(event.target.value)}
      onBlur={() => done(text)}
      onKeyDown={(event) => {
        if (event.key === "Enter") {
          // It is no answer to the form or dialog around it.
          event.preventDefault();
          done(text);
        }
        if (event.key === "Escape") {
          event.preventDefault();
          event.stopPropagation();
          done(undefined);
        }
      }}
    />
  );
}
