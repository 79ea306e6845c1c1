// Who may enter and what they may do: people, teams, programs.

import { useEffect, useId, useState, type KeyboardEvent, type ReactNode } from "react";

import { highest, isMeant, teamsOf, type Known } from "../people/directory";
import { displaySafe } from "../words";
import { Modal, Refused, useAct } from "./dialog";
import { Person } from "./directory-person";
import { Programs } from "./directory-programs";
import { Team } from "./directory-team";
import { roleText } from "./directory-words";
import { useApp, useStore } from "./hooks";

const PARTS = ["people", "teams", "programs"] as const;
type Part = (typeof PARTS)[number];
const NAMES: Record<Part, string> = { people: "People", teams: "Teams", programs: "Programs" };

export function DirectoryDialog({ close }: { close: () => void }): ReactNode {
  const { directory } = useApp();
  const known = useStore(directory.known);
  const [part, setPart] = useState<Part>("people");
  const { busy, refused, run } = useAct();
  const ask = (): void => void run(() => directory.ask());
  useEffect(() => {
    ask();
    window.addEventListener("focus", ask);
    return () => window.removeEventListener("focus", ask);
    // Once; what is asked never changes.
  }, [directory]);
  const arrows = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    const next = PARTS[(PARTS.indexOf(part) + by + PARTS.length) % PARTS.length] ?? "people";
    setPart(next);
    document.getElementById(`directory-${next}`)?.focus();
  };
  return (
    <Modal title="People and roles" testId="directory" className="audit directory" close={close}>
      <header className="audit-head">
        <h2>People and roles</h2>
        <button type="button" className="quiet" disabled={busy} data-testid="directory-again" onClick={ask}>
          Refresh
        </button>
        <button type="button" className="quiet" data-dialog-later data-testid="directory-close" onClick={close}>
          Close
        </button>
        <Refused words={refused} />
      </header>
      <div className="directory-parts" role="tablist" aria-label="Parts" onKeyDown={arrows}>
        {PARTS.map((each) => (
          <button
            key={each}
            type="button"
            role="tab"
            id={`directory-${each}`}
            aria-selected={each === part}
            aria-controls="directory-part"
            tabIndex={each === part ? 0 : -1}
            data-testid={`directory-${each}`}
            onClick={() => setPart(each)}
          >
            {NAMES[each]}
          </button>
        ))}
      </div>
      <div className="audit-scroll" id="directory-part" role="tabpanel" aria-labelledby={`directory-${part}`} tabIndex={0}>
        {known === undefined ? <p className="directory-none">Asking for them…</p> : <PartView part={part} known={known} />}
      </div>
    </Modal>
  );
}

function PartView({ part, known }: { part: Part; known: Known }): ReactNode {
  switch (part) {
    case "people":
      return <People known={known} />;
    case "teams":
      return <Teams known={known} />;
    case "programs":
      return <Programs known={known} />;
  }
}

function People({ known }: { known: Known }): ReactNode {
  const [words, setWords] = useState("");
  const [open, setOpen] = useState<string>();
  const [adding, setAdding] = useState(false);
  const found = known.people.filter((person) => isMeant(person, words));
  return (
    <>
      <div className="directory-head">
        <input type="search" value={words} aria-label="Find people" placeholder="Name or e-mail address" data-autofocus data-testid="people-find" onChange={(event) => setWords(event.target.value)} />
        <button type="button" className="small" aria-expanded={adding} data-testid="person-add" onClick={() => setAdding(!adding)}>
          Add a person
        </button>
      </div>
      {adding && (
        <AddPerson
          done={(id) => {
            setAdding(false);
            setWords("");
            if (id !== undefined) setOpen(id);
          }}
        />
      )}
      {found.length === 0 && <p className="directory-none">Nobody is called that.</p>}
      <ul className="directory-list" data-testid="people-list">
        {found.map((person) => (
          <li key={person.id} data-testid="person" data-person={person.id} data-suspended={person.suspendedUnixMs !== 0n}>
            <button type="button" className="directory-line" aria-expanded={open === person.id} data-testid="person-open" onClick={() => setOpen(open === person.id ? undefined : person.id)}>
              <b>{displaySafe(person.displayName, 64)}</b>
              <span>{displaySafe(person.email, 254)}</span>
              <span>
                {roleText(highest(known, person.id))}
                {teamsOf(known, person.id).map(({ name }) => ` · ${displaySafe(name, 64)}`)}
              </span>
              <span className="directory-state">{person.suspendedUnixMs === 0n ? "" : "suspended"}</span>
            </button>
            {open === person.id && <Person known={known} person={person} gone={() => setOpen(undefined)} />}
          </li>
        ))}
      </ul>
    </>
  );
}

function AddPerson({ done }: { done: (id: string | undefined) => void }): ReactNode {
  const { directory } = useApp();
  const [name, setName] = useState("");
  const [email, setEmail] = useState("");
  const { busy, refused, run } = useAct();
  const add = async (): Promise<void> => {
    let id: string | undefined;
    if (await run(async () => void (id = (await directory.addPerson(name.trim(), email.trim()))?.id))) done(id);
  };
  return (
    <form
      className="directory-form"
      data-testid="person-form"
      onSubmit={(event) => {
        event.preventDefault();
        void add();
      }}
    >
      <NameAndEmail name={name} setName={setName} email={email} setEmail={setEmail} />
      <Refused words={refused} />
      <div className="dialog-acts">
        <button type="button" className="quiet" onClick={() => done(undefined)}>
          Cancel
        </button>
        <button type="submit" className="primary" disabled={busy} data-testid="person-create">
          Add
        </button>
      </div>
    </form>
  );
}

interface NameAndEmailProps {
  name: string;
  setName: (name: string) => void;
  email: string;
  setEmail: (email: string) => void;
}

export function NameAndEmail({ name, setName, email, setEmail }: NameAndEmailProps): ReactNode {
  return (
    <>
      <label className="field">
        <span>Name</span>
        <input value={name} required maxLength={64} autoFocus autoComplete="off" data-testid="person-name" onChange={(event) => setName(event.target.value)} />
      </label>
      <label className="field">
        <span>E-mail</span>
        <input type="email" value={email} maxLength={254} autoComplete="off" placeholder="none" data-testid="person-email" onChange={(event) => setEmail(event.target.value)} />
      </label>
    </>
  );
}

function Teams({ known }: { known: Known }): ReactNode {
  const [open, setOpen] = useState<string>();
  const [adding, setAdding] = useState(false);
  return (
    <>
      <div className="directory-head">
        <p>What a team was given, each of its members has.</p>
        <button type="button" className="small" aria-expanded={adding} data-testid="team-add" onClick={() => setAdding(!adding)}>
          Add a team
        </button>
      </div>
      {adding && <TeamForm submit="Add" done={() => setAdding(false)} />}
      {known.teams.length === 0 && <p className="directory-none">There is no team yet.</p>}
      <ul className="directory-list" data-testid="team-list">
        {known.teams.map((team) => (
          <li key={team.id} data-testid="team" data-team={team.id}>
            <button type="button" className="directory-line" aria-expanded={open === team.id} data-testid="team-open" onClick={() => setOpen(open === team.id ? undefined : team.id)}>
              <b>{displaySafe(team.name, 64)}</b>
              <span>{team.members.length === 1 ? "1 member" : `${team.members.length} members`}</span>
              <span>{team.externalGroup === "" ? "" : `group ${displaySafe(team.externalGroup, 256)}`}</span>
              <span />
            </button>
            {open === team.id && <Team known={known} team={team} gone={() => setOpen(undefined)} />}
          </li>
        ))}
      </ul>
    </>
  );
}

/** A new team, or another name and group for one. */
export function TeamForm({ id, name: first = "", group: firstGroup = "", submit, done }: { id?: string; name?: string; group?: string; submit: string; done: () => void }): ReactNode {
  const { directory } = useApp();
  const [name, setName] = useState(first);
  const [group, setGroup] = useState(firstGroup);
  const { busy, refused, run } = useAct();
  const hint = useId();
  const save = async (): Promise<void> => {
    if (await run(() => (id === undefined ? directory.addTeam(name.trim(), group.trim()) : directory.updateTeam(id, name.trim(), group.trim())))) done();
  };
  return (
    <form
      className="directory-form"
      data-testid="team-form"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <label className="field">
        <span>Name</span>
        <input value={name} required maxLength={64} autoFocus autoComplete="off" data-testid="team-name" onChange={(event) => setName(event.target.value)} />
      </label>
      <label className="field">
        <span>Group</span>
        <input value={group} maxLength={256} autoComplete="off" placeholder="none" aria-describedby={hint} data-testid="team-group" onChange={(event) => setGroup(event.target.value)} />
        <small id={hint}>PROVIDER:GROUP of an identity provider, whose people are in the team when they sign in.</small>
      </label>
      <Refused words={refused} />
      <div className="dialog-acts">
        <button type="button" className="quiet" onClick={done}>
          Cancel
        </button>
        <button type="submit" className="primary" disabled={busy} data-testid="team-save">
          {submit}
        </button>
      </div>
    </form>
  );
}
