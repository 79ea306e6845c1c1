// Who did what: rows that are looked for, their details, and all of them as a
// file.

import { useEffect, useMemo, useRef, useState, type ReactNode } from "react";

import { download, exportAudit } from "../audit/export";
import { ANY, AuditSearch, filterOf, isChosen, type Wish } from "../audit/search";
import type { AuditRow } from "../gen/chatcode/v1/audit_pb";
import { dateText, displaySafe, momentText } from "../words";
import { Filters } from "./audit-filters";
import { actionText, detailText, resultText, resultTone, whoText } from "./audit-words";
import { Modal, Refused, useAct } from "./dialog";
import { Facts, type Fact } from "./facts";
import { useApp, useNow, useStore } from "./hooks";

/** After the last key, before the core is asked. */
const TYPING_MS = 250;

export function AuditDialog({ gateway, close }: { gateway: string; close: () => void }): ReactNode {
  const app = useApp();
  const [wish, setWish] = useState<Wish>({ ...ANY, gateway });
  const search = useMemo(() => new AuditSearch(app.rpc.audit), [app]);
  const pause = useRef(0);
  useEffect(() => {
    const timer = setTimeout(() => void search.begin(wish, Date.now()), pause.current);
    pause.current = TYPING_MS;
    return () => clearTimeout(timer);
  }, [search, wish]);
  useEffect(() => () => search.end(), [search]);
  const narrow = (fields: Partial<Wish>): void => setWish((before) => ({ ...before, ...fields }));
  return (
    <Modal title="Audit" testId="audit" className="audit" close={close}>
      <header className="audit-head">
        <h2>Audit</h2>
        <Export wish={wish} />
        <button type="button" className="quiet" data-testid="audit-close" onClick={close}>
          Close
        </button>
      </header>
      <Filters wish={wish} narrow={narrow} />
      <Rows search={search} narrow={narrow} />
    </Modal>
  );
}

/** Everything that the filter means, as a file of JSON lines. */
function Export({ wish }: { wish: Wish }): ReactNode {
  const app = useApp();
  const { busy, refused, run } = useAct();
  const [rows, setRows] = useState(0);
  const leaving = useRef(new AbortController());
  useEffect(() => {
    leaving.current = new AbortController();
    return () => leaving.current.abort();
  }, []);
  const chosen = isChosen(wish);
  const save = (): Promise<boolean> =>
    run(async () => {
      setRows(0);
      const { signal } = leaving.current;
      const text = await exportAudit(app.rpc, app.socketUrl, filterOf(wish, Date.now()), signal, setRows);
      download(`audit-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.jsonl`, text.parts);
    });
  return (
    <>
      <Refused words={refused} />
      <button
        type="button"
        className="small"
        disabled={busy}
        data-testid="audit-export"
        title={chosen ? "These rows as JSON lines" : "All rows as JSON lines, with a signed head: “chatcode audit verify” checks them"}
        onClick={() => void save()}
      >
        {busy ? `Exporting… ${rows}` : chosen ? "Export these" : "Export all"}
      </button>
    </>
  );
}

function Rows({ search, narrow }: { search: AuditSearch; narrow: (fields: Partial<Wish>) => void }): ReactNode {
  const found = useStore(search.found);
  const now = useNow(false);
  const [open, setOpen] = useState<bigint>();
  const { rows, next, busy, refused, waits } = found;
  return (
    <div className="audit-scroll" data-testid="audit-rows" aria-busy={busy} role="region" aria-label="Rows" tabIndex={0}>
      <ul className="audit-rows">
        {rows.map((row) => (
          <Row
            key={String(row.number)}
            row={row}
            now={now}
            open={open === row.number}
            toggle={() => setOpen((before) => (before === row.number ? undefined : row.number))}
            narrow={narrow}
          />
        ))}
      </ul>
      <Refused words={refused} />
      {rows.length === 0 && !busy && next === 0n && refused === undefined && (
        <p className="audit-note" data-testid="audit-none">
          No row is like that.
        </p>
      )}
      {busy && <p className="audit-note">{rows.length === 0 && next !== 0n ? `Looked back to row ${next}…` : "Asking…"}</p>}
      {!busy && next !== 0n && <More key={String(next)} search={search} byItself={refused === undefined && !waits} before={next} />}
    </div>
  );
}

/** Older rows, as soon as one looks at where they will stand. */
function More({ search, byItself, before }: { search: AuditSearch; byItself: boolean; before: bigint }): ReactNode {
  const end = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const element = end.current;
    if (element === null || !byItself) return undefined;
    const seen = new IntersectionObserver((entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting)) void search.more();
    });
    seen.observe(element);
    return () => seen.disconnect();
  }, [search, byItself]);
  return (
    <button type="button" ref={end} className="quiet audit-more" data-testid="audit-more" onClick={() => void search.more()}>
      {byItself ? "Older ones" : `Look further back than row ${before}`}
    </button>
  );
}

interface RowProps {
  row: AuditRow;
  now: number;
  open: boolean;
  toggle: () => void;
  narrow: (fields: Partial<Wish>) => void;
}

function Row({ row, now, open, toggle, narrow }: RowProps): ReactNode {
  const app = useApp();
  const account = useStore(app.account.account);
  const me = account.state === "signed-in" ? account.principal : "";
  const machine = useMachineName(row.gateway);
  return (
    <li className="audit-row" data-testid="audit-row" data-number={String(row.number)}>
      <button type="button" className="audit-line" aria-expanded={open} onClick={toggle}>
        <time dateTime={new Date(Number(row.unixMs)).toISOString()}>{momentText(Number(row.unixMs), now)}</time>
        <span className="audit-who">{whoText(row.principal, me)}</span>
        <span className="audit-action">{actionText(row.action)}</span>
        <span className="audit-machine">{machine}</span>
        <span className="audit-result" data-tone={resultTone(row.result)}>
          {resultText(row.result)}
        </span>
        <span className="audit-detail">{detailText(row.detail)}</span>
      </button>
      {open && <Details row={row} machine={machine} narrow={narrow} />}
    </li>
  );
}

function Details({ row, machine, narrow }: { row: AuditRow; machine: string; narrow: (fields: Partial<Wish>) => void }): ReactNode {
  const app = useApp();
  const only = (label: string, fields: Partial<Wish>): ReactNode => (
    <button type="button" className="small" onClick={() => narrow(fields)}>
      {label}
    </button>
  );
  const known = app.fleet.gateway(row.gateway) !== undefined;
  const facts: Fact[] = [
    ["When", `${dateText(Number(row.unixMs))} (row ${row.number})`],
    ["Who", <Value key="who" text={row.principal} act={only("Only by this", { principal: row.principal })} />],
    ["What", <Value key="what" text={row.action} act={only("Only this", { action: row.action })} />],
    [
      "Machine",
      row.gateway === "" ? (
        ""
      ) : (
        <Value
          key="machine"
          text={machine === "" ? row.gateway : `${machine}, ${row.gateway}`}
          act={
            <>
              {only("Only on this", { gateway: row.gateway })}
              {known && (
                <button type="button" className="small" data-testid="audit-machine" onClick={() => app.overlay.set({ kind: "machine", gateway: row.gateway })}>
                  Look at it
                </button>
              )}
            </>
          }
        />
      ),
    ],
    ["Session", row.session === "" ? "" : <Value key="session" text={row.session} act={only("Only on this", { session: row.session })} />],
    ["Result", resultText(row.result)],
    ["Detail", displaySafe(row.detail, 256)],
    ["From", displaySafe(row.peer, 64)],
    ["Request", row.requestId === "" ? "" : <code key="request">{displaySafe(row.requestId, 64)}</code>],
  ];
  return <Facts of={facts} testId="audit-details" />;
}

function Value({ text, act }: { text: string; act: ReactNode }): ReactNode {
  return (
    <>
      {displaySafe(text, 256)}
      {act}
    </>
  );
}

/** The name of a machine; the beginning of its id where it is not known. */
function useMachineName(gateway: string): string {
  const app = useApp();
  const { machines } = useStore(app.fleet.state);
  const known = machines.find((machine) => machine.gateway.id === gateway);
  return displaySafe(known?.gateway.name ?? gateway.slice(0, 8), 64);
}
