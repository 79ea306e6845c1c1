// What a person says of the rows of the audit that they look for.

import type { ReactNode } from "react";

import type { Wish } from "../audit/search";
import { displaySafe } from "../words";
import { useApp, useStore } from "./hooks";
import { CloseIcon } from "./icons";

const RESULTS: readonly [value: Wish["result"], label: string][] = [
  ["", "Any result"],
  ["refused", "Refused"],
  ["done", "Done"],
];

const SINCE: readonly [hours: number, label: string][] = [
  [0, "Whenever"],
  [1, "The last hour"],
  [24, "The last day"],
  [24 * 7, "The last 7 days"],
  [24 * 30, "The last 30 days"],
];

interface Props {
  wish: Wish;
  narrow: (fields: Partial<Wish>) => void;
}

export function Filters({ wish, narrow }: Props): ReactNode {
  const app = useApp();
  const { machines } = useStore(app.fleet.state);
  const known = machines.some(({ gateway }) => gateway.id === wish.gateway);
  return (
    <form className="audit-filters" role="search" aria-label="Rows to look for" data-testid="audit-filters" onSubmit={(event) => event.preventDefault()}>
      <input
        aria-label="Words in the detail"
        placeholder="Words in the detail"
        maxLength={128}
        value={wish.text}
        data-autofocus
        data-testid="audit-text"
        onChange={(event) => narrow({ text: event.target.value })}
      />
      <input
        aria-label="What was done begins so"
        placeholder="What, such as gateway."
        maxLength={128}
        spellCheck={false}
        value={wish.action}
        data-testid="audit-action"
        onChange={(event) => narrow({ action: event.target.value })}
      />
      <select aria-label="Machine" value={wish.gateway} data-testid="audit-gateway" onChange={(event) => narrow({ gateway: event.target.value })}>
        <option value="">Any machine, or none</option>
        {!known && wish.gateway !== "" && <option value={wish.gateway}>{displaySafe(wish.gateway, 36)}</option>}
        {machines.map(({ gateway }) => (
          <option key={gateway.id} value={gateway.id}>
            {displaySafe(gateway.name, 64)}
          </option>
        ))}
      </select>
      <select aria-label="Result" value={wish.result} data-testid="audit-result" onChange={(event) => narrow({ result: event.target.value as Wish["result"] })}>
        {RESULTS.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
      <select aria-label="Since when" value={wish.hours} data-testid="audit-since" onChange={(event) => narrow({ hours: Number(event.target.value) })}>
        {SINCE.map(([hours, label]) => (
          <option key={hours} value={hours}>
            {label}
          </option>
        ))}
      </select>
      <Only what="by" value={wish.principal} drop={() => narrow({ principal: "" })} />
      <Only what="on session" value={wish.session} drop={() => narrow({ session: "" })} />
    </form>
  );
}

/** Something that was chosen in a row, and the way back. */
function Only({ what, value, drop }: { what: string; value: string; drop: () => void }): ReactNode {
  if (value === "") return null;
  const words = `Only ${what} ${displaySafe(value, 128)}`;
  return (
    <button type="button" className="small audit-only" aria-label={`${words}. Take this off.`} data-testid="audit-only" onClick={drop}>
      <span>{words}</span>
      <CloseIcon />
    </button>
  );
}
