// A list of what is known of something; what is empty is left out.

import type { ReactNode } from "react";

export type Fact = readonly [name: string, value: ReactNode];

export function Facts({ of, testId }: { of: readonly Fact[]; testId?: string }): ReactNode {
  return (
    <dl className="facts" data-testid={testId}>
      {of
        .filter(([, value]) => value !== "")
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
