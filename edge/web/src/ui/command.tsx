import { useState, type ReactNode } from "react";

/** Something to type into a shell, and a button that copies it. */
export function Command({ text }: { text: string }): ReactNode {
  const [copied, setCopied] = useState(false);
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  };
  return (
    <div className="command">
      <code>
        <span aria-hidden="true">$ </span>
        {text}
      </code>
      <button type="button" className="quiet" onClick={copy} aria-label={`Copy “${text}”`}>
        {copied ? "Copied" : "Copy"}
      </button>
    </div>
  );
}
