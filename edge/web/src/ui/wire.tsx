// The wire: the way from this page to the shell, hop by hop, with what each
// one costs and where it is cut.

import type { ReactNode } from "react";

import type { Hop } from "../link/health";
import type { LineState } from "../link/line";
import { displaySafe, latencyText, spanText } from "../words";
import { inView, keyOf } from "../workspace/workspace";
import { hopTitle } from "./hop-title";
import { useApp, useNow, useStore } from "./hooks";
import { LineNote } from "./line-note";
import { useWay } from "./way";

export function Wire(): ReactNode {
  const app = useApp();
  const tab = inView(useStore(app.workspace.tabs));
  const attachment = tab === undefined ? undefined : app.workspace.attachment(tab);
  const { hops, down, machine, status, now } = useWay(tab, attachment);
  const fleet = useStore(app.fleet.line.state);

  return (
    <footer className="wire" data-testid="status" data-down={down?.name ?? ""} aria-label="The way to the shell">
      <ol className="hops">
        <li className="hop" data-state="up">
          <span className="node" />
          <span className="hop-name">you</span>
        </li>
        {hops.map((hop) => (
          <HopView key={hop.name} hop={hop} name={hopTitle(hop.name, machine)} now={now} />
        ))}
      </ol>
      {attachment !== undefined && tab !== undefined && <LineNote key={keyOf(tab)} attachment={attachment} tab={tab} />}
      <span className="wire-total" data-testid="latency">
        {status?.attached === true && status.rttMs !== undefined && (
          <>
            key to shell and back <b>{latencyText(status.rttMs)}</b>
          </>
        )}
      </span>
      {attachment === undefined && <FleetRetry line={fleet} />}
    </footer>
  );
}

function HopView({ hop, name, now }: { hop: Hop; name: string; now: number }): ReactNode {
  const down = hop.state === "down";
  const words = down ? `down for ${spanText(now - (hop.since ?? now))}` : hop.ms === undefined ? "" : latencyText(hop.ms);
  const title = down ? `${name}: ${hop.why ?? "down"}` : hop.ms === undefined ? name : `${name}: ${words} there and back over this hop`;
  return (
    <li className="hop" data-state={hop.state} data-hop={hop.name} data-testid="hop" title={displaySafe(title)}>
      <span className="span">
        <span className="span-ms">{words}</span>
      </span>
      <span className="node" />
      <span className="hop-name">{displaySafe(name, 64)}</span>
    </li>
  );
}

/** With no terminal in view the wire itself says when it tries again. */
function FleetRetry({ line }: { line: LineState }): ReactNode {
  const app = useApp();
  const waiting = line.phase === "waiting";
  const now = useNow(waiting);
  if (!waiting) return null;
  const seconds = Math.max(Math.ceil(((line.nextTry ?? now) - now) / 1000), 0);
  return (
    <span className="wire-retry">
      <span aria-hidden="true">{seconds > 0 ? `next try in ${seconds} s` : "trying…"}</span>
      <button type="button" className="small" onClick={app.fleet.line.tryNow}>
        Try now
      </button>
    </span>
  );
}
