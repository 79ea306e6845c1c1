// Search in what the terminal still holds.

import { useEffect, useRef, useState, type ReactNode } from "react";

import type { Attachment } from "../session/attachment";
import { useApp, useStore } from "./hooks";
import { CloseIcon } from "./icons";

export function SearchBar({ attachment }: { attachment: Attachment }): ReactNode {
  const app = useApp();
  const field = useRef<HTMLInputElement>(null);
  const [text, setText] = useState("");
  const { found, current } = useStore(attachment.status).search;
  useEffect(() => {
    field.current?.focus();
    attachment.askForSkipped();
  }, [attachment]);
  useEffect(() => () => attachment.screen.endFind(), [attachment]);
  const close = (): void => app.searching.set(false);
  const count = text === "" ? "" : found === 0 ? "nothing" : `${current + 1} of ${found}`;
  return (
    <div className="search" role="search" data-testid="search">
      <input
        ref={field}
        value={text}
        placeholder="Search"
        aria-label="Search in the terminal"
        data-testid="search-field"
        spellCheck={false}
        onChange={(event) => {
          setText(event.target.value);
          attachment.find(event.target.value, false, true);
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape") close();
          if (event.key === "Enter") attachment.find(text, event.shiftKey, false);
        }}
      />
      <span className="search-count" aria-live="polite" data-testid="search-count">
        {count}
      </span>
      <button type="button" className="icon-button" aria-label="End the search" onClick={close}>
        <CloseIcon />
      </button>
    </div>
  );
}
