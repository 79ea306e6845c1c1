// Sharing a session: the button that says whether it is shared, making a link, and
// the links that are out with their guests.

import { useEffect, useState, type ReactNode } from "react";

import { Role } from "../gen/chatcode/v1/grant_pb";
import { Permission } from "../gen/chatcode/v1/rule_pb";
import type { Share, ShareGuest } from "../gen/chatcode/v1/shares_pb";
import { explain } from "../link/refusal";
import type { ShareWish } from "../sharing/sharing";
import { displaySafe, spanText } from "../words";
import { keyOf, type Tab } from "../workspace/workspace";
import { Dialog, focusLater, Refused, useAct } from "./dialog";
import { useApp, useNow, useStore } from "./hooks";
import { ShareIcon } from "./icons";
import { OneTime } from "./one-time";

/** How long a link may count. */
const TIMES = [
  { seconds: 3600, label: "an hour" },
  { seconds: 86_400, label: "a day" },
  { seconds: 7 * 86_400, label: "7 days" },
  { seconds: 30 * 86_400, label: "30 days" },
] as const;
const MOST_USES = 100;
const PASSPHRASE = { least: 8, most: 128 } as const;

/** Says that links let others into the session in view; opens them. Not there for those who may not share what nobody shares. */
export function ShareButton({ tab }: { tab: Tab }): ReactNode {
  const app = useApp();
  const links = useStore(app.fleet.state).links.get(keyOf(tab)) ?? 0;
  const may = useStore(app.account.permissions).has(Permission.SESSION_SHARE);
  if (links === 0 && !may) return null;
  const words = links === 0 ? "Share this session" : `Shared by ${links === 1 ? "a link" : `${links} links`}: see them`;
  return (
    <button
      type="button"
      className={links === 0 ? "icon-button" : "share-badge"}
      aria-label={words}
      title={words}
      data-testid="share-open"
      data-links={links}
      onClick={() => app.overlay.set({ kind: "share", tab, name: app.fleet.session(tab.gateway, tab.session)?.name ?? "" })}
    >
      <ShareIcon />
      {links > 0 && <span>Shared</span>}
    </button>
  );
}

export function ShareDialog({ tab, name, close }: { tab: Tab; name: string; close: () => void }): ReactNode {
  const app = useApp();
  const may = useStore(app.account.permissions).has(Permission.SESSION_SHARE);
  const [link, setLink] = useState<{ url: string; passphrase: boolean }>();
  const { busy, refused, run } = useAct();
  const [wish, setWish] = useState<ShareWish>({ writer: false, seconds: 86_400, uses: 1, passphrase: "", accountsOnly: false });
  const change = (fields: Partial<ShareWish>): void => setWish((before) => ({ ...before, ...fields }));
  const make = (): void =>
    void run(async () => {
      setLink({ url: await app.sharing.create(tab, wish), passphrase: wish.passphrase !== "" });
      change({ passphrase: "" });
    });
  const form = may && link === undefined;
  return (
    <Dialog
      title={`Share “${displaySafe(name, 64)}”`}
      testId="share"
      later={link === undefined && may ? "Cancel" : "Close"}
      over={!may}
      refused={refused}
      close={close}
      {...(form ? { form: { testId: "share-form", submit: make } } : {})}
      acts={
        form ? (
          <button type="submit" className="primary" disabled={busy} data-testid="share-make">
            Make a link
          </button>
        ) : undefined
      }
    >
      {form && <WishFields wish={wish} change={change} />}
      {link !== undefined && <NewLink link={link.url} passphrase={link.passphrase} another={() => setLink(undefined)} />}
      <Links tab={tab} may={may} />
    </Dialog>
  );
}

function WishFields({ wish, change }: { wish: ShareWish; change: (fields: Partial<ShareWish>) => void }): ReactNode {
  return (
    <div className="share-wish">
      <fieldset className="share-role">
        <legend>Who has the link</legend>
        <label>
          <input type="radio" name="share-role" checked={!wish.writer} data-autofocus data-testid="share-viewer" onChange={() => change({ writer: false })} />
          may look
        </label>
        <label>
          <input type="radio" name="share-role" checked={wish.writer} data-testid="share-writer" onChange={() => change({ writer: true })} />
          may look and type
        </label>
      </fieldset>
      {wish.writer && (
        <p className="share-warning" data-testid="share-warning">
          Who types here does all that your shell may do on this machine. Give the link only to people whom you would give your keyboard.
        </p>
      )}
      <label className="field">
        <span>It counts for</span>
        <select value={wish.seconds} data-testid="share-time" onChange={(event) => change({ seconds: Number(event.target.value) })}>
          {TIMES.map(({ seconds, label }) => (
            <option key={seconds} value={seconds}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <label className="field">
        <span>Guests</span>
        <input
          type="number"
          min={1}
          max={MOST_USES}
          required
          value={wish.uses}
          data-testid="share-uses"
          onChange={(event) => change({ uses: Number(event.target.value) })}
        />
        <small>So many may come in by it; each may come back.</small>
      </label>
      <label className="field">
        <span>Passphrase</span>
        <input
          type="password"
          value={wish.passphrase}
          minLength={PASSPHRASE.least}
          maxLength={PASSPHRASE.most}
          autoComplete="off"
          placeholder="none"
          data-testid="share-passphrase"
          onChange={(event) => change({ passphrase: event.target.value })}
        />
      </label>
      <label className="share-check">
        <input type="checkbox" checked={wish.accountsOnly} data-testid="share-accounts" onChange={(event) => change({ accountsOnly: event.target.checked })} />
        Only people with an account here
      </label>
    </div>
  );
}

/** The link, which is shown once. */
function NewLink({ link, passphrase, another }: { link: string; passphrase: boolean; another: () => void }): ReactNode {
  return (
    <div className="share-link" data-testid="share-made">
      <OneTime value={link} label="The link" testId="share-link">
        This is the link. It is shown only now{passphrase ? "; tell the passphrase in another way" : ""}.
      </OneTime>
      <button type="button" className="small" data-testid="share-another" onClick={another}>
        Make another one
      </button>
    </div>
  );
}

/** The links that are out, asked for again whenever there are others. */
function Links({ tab, may }: { tab: Tab; may: boolean }): ReactNode {
  const app = useApp();
  const now = useNow(true);
  const count = useStore(app.fleet.state).links.get(keyOf(tab)) ?? 0;
  const presence = useStore(app.workspace.attachment(tab).status).presence;
  const [shares, setShares] = useState<readonly Share[]>();
  const [refused, setRefused] = useState<string>();
  useEffect(() => {
    let asked = true;
    app.sharing.list(tab).then(
      (all) => {
        if (!asked) return;
        setShares(all);
        setRefused(undefined);
      },
      (error: unknown) => asked && setRefused(explain(error)),
    );
    return () => {
      asked = false;
    };
    // Whoever comes in is a viewer, too.
  }, [app, tab, count, presence]);
  const open = shares?.filter((share) => Number(share.expiresUnixMs) > now);
  const gone = (id: string): void => {
    setShares((all) => all?.filter((share) => share.id !== id));
    focusLater();
  };
  return (
    <section className="shares" aria-labelledby="shares-title" data-testid="shares">
      <h3 id="shares-title">Links that are out</h3>
      <Refused words={refused} />
      {open === undefined && refused === undefined && <p className="shares-none">Asking for them…</p>}
      {open?.length === 0 && (
        <p className="shares-none" data-testid="shares-none">
          None: nobody comes in by a link.
        </p>
      )}
      <ul>
        {open?.map((share) => (
          <Link key={share.id} share={share} now={now} may={may} gone={() => gone(share.id)} />
        ))}
      </ul>
    </section>
  );
}

function Link({ share, now, may, gone }: { share: Share; now: number; may: boolean; gone: () => void }): ReactNode {
  const app = useApp();
  const { busy, refused, run } = useAct();
  const takeBack = async (): Promise<void> => {
    if (await run(() => app.sharing.revoke(share.id))) gone();
  };
  return (
    <li className="share" data-testid="share-item" data-share={share.id}>
      <div className="share-head">
        <span className="share-name">{share.role === Role.WRITER ? "May type" : "May look"}</span>
        {may && (
          <button
            type="button"
            className="small"
            disabled={busy}
            data-testid="share-revoke"
            aria-label={`Take back the link of ${displaySafe(share.createdByName, 64)}; its guests are put out`}
            onClick={() => void takeBack()}
          >
            Take back
          </button>
        )}
      </div>
      <p className="share-detail">{shareText(share, now)}</p>
      <Refused words={refused} />
      {share.guests.length > 0 && (
        <ul className="share-guests" aria-label="Guests">
          {share.guests.map((guest) => (
            <li key={guest.principal} data-testid="share-guest">
              {guestText(guest, now)}
            </li>
          ))}
        </ul>
      )}
    </li>
  );
}

/** What a link is good for, and whose it is. */
export function shareText({ uses, used, expiresUnixMs, passphrase, accountsOnly, createdByName }: Share, now: number): string {
  const left = Math.max(uses - used, 0);
  const words = [
    left === 0 ? "used up; its guests may come back" : `lets in ${left} more ${left === 1 ? "guest" : "guests"}`,
    `ends in ${spanText(Number(expiresUnixMs) - now)}`,
    passphrase ? "asks for a passphrase" : "",
    accountsOnly ? "only with an account" : "",
    `by ${displaySafe(createdByName, 64)}`,
  ];
  return words.filter((word) => word !== "").join(" · ");
}

/** Who came in, when and from where. */
export function guestText({ displayName, enteredUnixMs, device, address }: ShareGuest, now: number): string {
  const words = [
    displaySafe(displayName, 64),
    `came in ${spanText(now - Number(enteredUnixMs))} ago`,
    displaySafe(device, 96),
    address === "" ? "" : `from ${displaySafe(address, 64)}`,
  ];
  return words.filter((word) => word !== "").join(" · ");
}
