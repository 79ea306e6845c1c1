// One person, as an administrator manages them.

import { useEffect, useState, type ReactNode } from "react";

import { PersonRole, type ApiToken, type Person as PersonMessage } from "../gen/chatcode/v1/people_pb";
import { highest, teamsOf, type Known } from "../people/directory";
import { explain } from "../link/refusal";
import { dateText, displaySafe, spanText } from "../words";
import { Refused, useAct } from "./dialog";
import { NameAndEmail } from "./directory";
import { Roles } from "./directory-roles";
import { placeChoices, placeText, roleText, ROLES } from "./directory-words";
import { Ways } from "./directory-ways";
import { useApp, useNow, useStore } from "./hooks";
import { OneTime } from "./one-time";

type Mode = "shown" | "editing" | "removing";

export function Person({ known, person, gone }: { known: Known; person: PersonMessage; gone: () => void }): ReactNode {
  const { directory } = useApp();
  const [mode, setMode] = useState<Mode>("shown");
  const [url, setUrl] = useState<{ url: string; expiresUnixMs: number }>();
  const act = useAct();
  const isOut = person.suspendedUnixMs !== 0n;
  const name = displaySafe(person.displayName, 64);
  const teams = teamsOf(known, person.id).map((team) => displaySafe(team.name, 64));
  const remove = async (): Promise<void> => {
    if (await act.run(() => directory.removePerson(person.id))) gone();
  };
  return (
    <div className="directory-details" data-testid="person-details">
      <p className="directory-hint">
        Added {dateText(Number(person.createdUnixMs))}
        {teams.length === 0 ? "" : ` · in ${teams.join(", ")}`}
        {isOut ? ` · suspended since ${dateText(Number(person.suspendedUnixMs))}` : ""}
      </p>
      {mode === "editing" ? (
        <Edit person={person} done={() => setMode("shown")} />
      ) : (
        <div className="directory-acts">
          <button type="button" className="small" disabled={act.busy || isOut} data-testid="person-invite" onClick={() => void act.run(async () => setUrl(await directory.invite(person.id)))}>
            Invite by a link
          </button>
          <button type="button" className="small" data-testid="person-edit" onClick={() => setMode("editing")}>
            Edit
          </button>
          <button type="button" className="small" disabled={act.busy} data-testid="person-suspend" onClick={() => void act.run(() => directory.suspend(person.id, !isOut))}>
            {isOut ? "Let in again" : "Suspend"}
          </button>
          <button type="button" className="small" disabled={act.busy} data-testid="person-remove" onClick={() => setMode("removing")}>
            Remove…
          </button>
        </div>
      )}
      {url !== undefined && (
        <OneTime value={url.url} label={`The link for ${name}`} testId="person-link">
          It lets {name} in once, until {dateText(url.expiresUnixMs)}. It is shown only now; give it to nobody else.
        </OneTime>
      )}
      {mode === "removing" && (
        <div className="token-question" role="group" aria-label={`Remove ${name}?`} data-testid="person-question">
          <p>
            {name} is gone for good, with roles, ways to sign in and API tokens; sessions, terminals and links end at once. The audit keeps the
            name. To shut somebody out for a while, suspend them.
          </p>
          <div className="dialog-acts">
            <button type="button" className="quiet" autoFocus onClick={() => setMode("shown")}>
              Keep
            </button>
            <button type="button" className="danger" disabled={act.busy} data-testid="person-confirm" onClick={() => void remove()}>
              Remove {name}
            </button>
          </div>
        </div>
      )}
      <Refused words={act.refused} />
      <Roles known={known} holder={{ case: "person", value: person.id }} />
      <Ways person={person.id} name={name} />
      <Tokens known={known} person={person.id} />
    </div>
  );
}

function Edit({ person, done }: { person: PersonMessage; done: () => void }): ReactNode {
  const { directory } = useApp();
  const [name, setName] = useState(person.displayName);
  const [email, setEmail] = useState(person.email);
  const { busy, refused, run } = useAct();
  const save = async (): Promise<void> => {
    if (await run(() => directory.updatePerson(person.id, name.trim(), email.trim()))) done();
  };
  return (
    <form
      className="directory-form"
      data-testid="person-edit-form"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <NameAndEmail name={name} setName={setName} email={email} setEmail={setEmail} />
      <Refused words={refused} />
      <div className="dialog-acts">
        <button type="button" className="quiet" onClick={done}>
          Cancel
        </button>
        <button type="submit" className="primary" disabled={busy} data-testid="person-save">
          Save
        </button>
      </div>
    </form>
  );
}

const DAY_S = 86_400;
const LIVES = [
  { seconds: DAY_S, label: "a day" },
  { seconds: 30 * DAY_S, label: "30 days" },
  { seconds: 90 * DAY_S, label: "90 days" },
  { seconds: 365 * DAY_S, label: "a year" },
] as const;

function Tokens({ known, person }: { known: Known; person: string }): ReactNode {
  const { directory, fleet } = useApp();
  const { machines } = useStore(fleet.state);
  const now = useNow(true);
  const [tokens, setTokens] = useState<readonly ApiToken[]>();
  const [failed, setFailed] = useState<string>();
  const [making, setMaking] = useState(false);
  const [secret, setSecret] = useState<string>();
  const act = useAct();
  const ask = async (): Promise<void> => setTokens(await directory.tokens(person));
  useEffect(() => void ask().catch((error: unknown) => setFailed(explain(error))), [person]);
  const most = highest(known, person);
  const open = tokens?.filter(({ revokedUnixMs, expiresUnixMs }) => revokedUnixMs === 0n && Number(expiresUnixMs) > now);
  return (
    <section aria-label="API tokens" data-testid="api-tokens">
      <h3>API tokens</h3>
      <Refused words={failed ?? act.refused} />
      {open?.length === 0 && <p className="directory-none">None: no program acts for this person.</p>}
      <ul className="directory-items">
        {open?.map((token) => (
          <li key={token.id} data-testid="api-token">
            <span>
              <b>{displaySafe(token.name, 64)}</b> · {roleText(token.role)} on {placeText(token.place, machines)} · ends in {spanText(Number(token.expiresUnixMs) - now)} ·{" "}
              {token.usedUnixMs === 0n ? "never used" : `used ${spanText(now - Number(token.usedUnixMs))} ago`}
            </span>
            <button
              type="button"
              className="small"
              disabled={act.busy}
              aria-label={`Revoke the token ${displaySafe(token.name, 64)}`}
              data-testid="api-token-revoke"
              onClick={() =>
                void act.run(async () => {
                  await directory.revokeToken(token.id);
                  await ask();
                })
              }
            >
              Revoke
            </button>
          </li>
        ))}
      </ul>
      {secret !== undefined && (
        <OneTime value={secret} label="The token" testId="api-token-secret">
          This is the token. It is shown only now.
        </OneTime>
      )}
      {making ? (
        <MakeToken
          person={person}
          most={most}
          done={(made) => {
            setMaking(false);
            setSecret(made);
            if (made !== undefined) void act.run(ask);
          }}
        />
      ) : (
        <button type="button" className="small" disabled={most === PersonRole.UNSPECIFIED} data-testid="api-token-add" onClick={() => setMaking(true)}>
          Make a token
        </button>
      )}
    </section>
  );
}

function MakeToken({ person, most, done }: { person: string; most: PersonRole; done: (secret: string | undefined) => void }): ReactNode {
  const { directory, fleet } = useApp();
  const { machines } = useStore(fleet.state);
  const choices = placeChoices(machines);
  const [name, setName] = useState("");
  const [role, setRole] = useState<PersonRole>(PersonRole.VIEWER);
  const [where, setWhere] = useState("everything");
  const [seconds, setSeconds] = useState<number>(30 * DAY_S);
  const { busy, refused, run } = useAct();
  const make = async (): Promise<void> => {
    const place = (choices.find(({ value }) => value === where) ?? choices[0])?.place;
    let secret: string | undefined;
    if (place !== undefined && (await run(async () => void (secret = await directory.createToken(person, name.trim(), role, place, seconds))))) done(secret);
  };
  return (
    <form
      className="directory-form"
      data-testid="api-token-form"
      onSubmit={(event) => {
        event.preventDefault();
        void make();
      }}
    >
      <label className="field">
        <span>For what</span>
        <input value={name} required maxLength={64} autoFocus autoComplete="off" data-testid="api-token-name" onChange={(event) => setName(event.target.value)} />
      </label>
      <div className="directory-row">
        <select aria-label="The most that it may" value={role} data-testid="api-token-role" onChange={(event) => setRole(Number(event.target.value) as PersonRole)}>
          {ROLES.filter((each) => each <= most).map((each) => (
            <option key={each} value={each}>
              {roleText(each)}
            </option>
          ))}
        </select>
        <select aria-label="Where it counts" value={where} onChange={(event) => setWhere(event.target.value)}>
          {choices.map(({ value, label }) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
        <select aria-label="How long it lives" value={seconds} onChange={(event) => setSeconds(Number(event.target.value))}>
          {LIVES.map((life) => (
            <option key={life.seconds} value={life.seconds}>
              {life.label}
            </option>
          ))}
        </select>
      </div>
      <Refused words={refused} />
      <div className="dialog-acts">
        <button type="button" className="quiet" onClick={() => done(undefined)}>
          Cancel
        </button>
        <button type="submit" className="primary" disabled={busy} data-testid="api-token-make">
          Make it
        </button>
      </div>
    </form>
  );
}
