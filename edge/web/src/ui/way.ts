import { hops, type Hop } from "../link/health";
import type { LineState } from "../link/line";
import type { Attachment, AttachmentStatus } from "../session/attachment";
import { Store } from "../store";
import type { Tab } from "../workspace/workspace";
import { useApp, useNow, useStore } from "./hooks";

const NO_LINE = new Store<LineState | undefined>(undefined);
const NO_STATUS = new Store<AttachmentStatus | undefined>(undefined);

export interface Way {
  hops: Hop[];
  down: Hop | undefined;
  /** The name of the tab's machine. */
  machine: string | undefined;
  status: AttachmentStatus | undefined;
  now: number;
}

/** The way from here to the shell of the tab; without one as far as the core. */
export function useWay(tab: Tab | undefined, attachment: Attachment | undefined): Way {
  const app = useApp();
  const terminal = useStore<LineState | undefined>((attachment?.line.state ?? NO_LINE) as Store<LineState | undefined>);
  const status = useStore<AttachmentStatus | undefined>((attachment?.status ?? NO_STATUS) as Store<AttachmentStatus | undefined>);
  const fleet = useStore(app.fleet.line.state);
  useStore(app.fleet.state);
  const online = useStore(app.online);
  const edge = useStore(app.rpc.edge.seen);
  const gateway = tab === undefined ? undefined : app.fleet.gateway(tab.gateway);
  const used = status?.exited === true || terminal?.phase === "idle" ? undefined : terminal;
  const shaken = [fleet, used].some((line) => line !== undefined && (line.phase !== "open" || line.refusal !== undefined));
  useNow(shaken || edge?.core.up === false);
  const now = Date.now();
  const chain = hops({ now, fleet, terminal: used, rttMs: status?.rttMs, gateway, edge, online });
  return { hops: chain, down: chain.find(({ state }) => state === "down"), machine: gateway?.name, status, now };
}
