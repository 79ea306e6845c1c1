// Something secret that is shown once: to be copied now.

import { useEffect, useRef, useState, type ReactNode } from "react";

export function OneTime({ value, label, testId, children }: { value: string; label: string; testId: string; children: ReactNode }): ReactNode {
  const field = useRef<HTMLInputElement>(null);
  const [copied, setCopied] = useState<string>();
  useEffect(() => field.current?.select(), [value]);
  const copy = (): void => {
    field.current?.select();
    navigator.clipboard.writeText(value).then(
      () => setCopied(value),
      () => setCopied(undefined),
    );
  };
  return (
    <div className="one-time">
      <p>{children}</p>
      <div className="one-time-row">
        <input ref={field} readOnly value={value} aria-label={label} data-testid={testId} onFocus={(event) => event.target.select()} />
        <button type="button" className="primary" data-testid={`${testId}-copy`} onClick={copy}>
          {copied === value ? "Copied" : "Copy"}
        </button>
      </div>
    </div>
  );
}
