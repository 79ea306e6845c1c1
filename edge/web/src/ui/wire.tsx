// The wire: the way from this page to the shell, hop by hop, with what each
// one costs and where it is cut.

import type { ReactNode } from "react";

import { hops, type Hop } from "../link/health";
import type { LineState } from "../link/line";
import { Store } from "../store";
import type { Attachment, AttachmentStatus } from "../session/attachment";
import { displaySafe, latencyText, spanText } from "../words";
import { hopTitle } from "./hop-title";
import { useApp, useNow, useStore } from "./hooks";
import { LineNote } from "./line-note";

const NO_LINE = new Store<LineState | undefined>(undefined);
const NO_STATUS = new Store<AttachmentStatus | undefined>(undefined);

export function Wire(): ReactNode {
  const app = useApp();
  const { open, active } = useStore(app.workspace.tabs);
  const tab = open.find(({ session }) => session === active);
  const attachment: Attachment | undefined = tab === undefined ? undefined : app.workspace.attachment(tab);
  const terminal = useStore<LineState | undefined>((attachment?.line.state ?? NO_LINE) as Store<LineState | undefined>);
  const status = useStore<AttachmentStatus | undefined>((attachment?.status ?? NO_STATUS) as Store<AttachmentStatus | undefined>);
  const fleet = useStore(app.fleet.line.state);
  useStore(app.fleet.state);
  const online = useStore(app.online);
  const core = useStore(app.core);
  const gateway = tab === undefined ? undefined : app.fleet.gateway(tab.gateway);
  const used = status?.exited === true || terminal?.phase === "idle" ? undefined : terminal;
  const chain = hops({ fleet, terminal: used, gateway, core, online });
  const down = chain.find(({ state }) => state === "down");
  const now = useNow(down !== undefined);

  return (
    <footer className="wire" data-testid="status" data-down={down?.name ?? ""} aria-label="The way to the shell">
      <ol className="hops">
        <li className="hop" data-state="up">
          <span className="node" />
          <span className="hop-name">you</span>
        </li>
        {chain.map((hop) => (
          <HopView key={hop.name} hop={hop} name={hopTitle(hop.name, gateway?.name)} now={now} />
        ))}
      </ol>
      {attachment !== undefined && tab !== undefined && <LineNote key={tab.session} attachment={attachment} tab={tab} />}
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
