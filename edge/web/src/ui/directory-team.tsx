// One team: its members and its roles.

import { useState, type ReactNode } from "react";

import type { Team as TeamMessage } from "../gen/chatcode/v1/people_pb";
import type { Known } from "../people/directory";
import { displaySafe } from "../words";
import { Refused, useAct } from "./dialog";
import { TeamForm } from "./directory";
import { Roles } from "./directory-roles";
import { useApp } from "./hooks";

export function Team({ known, team, gone }: { known: Known; team: TeamMessage; gone: () => void }): ReactNode {
  const { directory } = useApp();
  const [mode, setMode] = useState<"shown" | "editing" | "removing">("shown");
  const act = useAct();
  const name = displaySafe(team.name, 64);
  const remove = async (): Promise<void> => {
    if (await act.run(() => directory.removeTeam(team.id))) gone();
  };
  return (
    <div className="directory-details" data-testid="team-details">
      {mode === "editing" ? (
        <TeamForm id={team.id} name={team.name} group={team.externalGroup} submit="Save" done={() => setMode("shown")} />
      ) : (
        <div className="directory-acts">
          <button type="button" className="small" data-testid="team-edit" onClick={() => setMode("editing")}>
            Edit
          </button>
          <button type="button" className="small" data-testid="team-remove" onClick={() => setMode("removing")}>
            Remove…
          </button>
        </div>
      )}
      {mode === "removing" && (
        <div className="token-question" role="group" aria-label={`Remove ${name}?`}>
          <p>Its members stay, and lose at once what they have through the team.</p>
          <div className="dialog-acts">
            <button type="button" className="quiet" autoFocus onClick={() => setMode("shown")}>
              Keep
            </button>
            <button type="button" className="danger" disabled={act.busy} data-testid="team-confirm" onClick={() => void remove()}>
              Remove {name}
            </button>
          </div>
        </div>
      )}
      <Refused words={act.refused} />
      <Members known={known} team={team} />
      <Roles known={known} holder={{ case: "team", value: team.id }} />
    </div>
  );
}

function Members({ known, team }: { known: Known; team: TeamMessage }): ReactNode {
  const { directory } = useApp();
  const act = useAct();
  const [wanted, setWanted] = useState("");
  const inside = known.people.filter(({ id }) => team.members.includes(id));
  const outside = known.people.filter(({ id }) => !team.members.includes(id));
  const chosen = outside.find(({ id }) => id === wanted) ?? outside[0];
  return (
    <section aria-label="Members" data-testid="members">
      <h3>Members</h3>
      {inside.length === 0 && <p className="directory-none">Nobody yet.</p>}
      <ul className="directory-items">
        {inside.map((person) => {
          const name = displaySafe(person.displayName, 64);
          return (
            <li key={person.id} data-testid="member">
              <span>{name}</span>
              <button type="button" className="small" disabled={act.busy} aria-label={`Take out: ${name}`} data-testid="member-out" onClick={() => void act.run(() => directory.setMember(team.id, person.id, false))}>
                Take out
              </button>
            </li>
          );
        })}
      </ul>
      {chosen !== undefined && (
        <div className="directory-row">
          <select aria-label="Who comes in" value={chosen.id} data-testid="member-choice" onChange={(event) => setWanted(event.target.value)}>
            {outside.map((person) => (
              <option key={person.id} value={person.id}>
                {displaySafe(person.displayName, 64)}
                {person.email === "" ? "" : ` (${displaySafe(person.email, 254)})`}
              </option>
            ))}
          </select>
          <button type="button" className="small" disabled={act.busy} data-testid="member-in" onClick={() => void act.run(() => directory.setMember(team.id, chosen.id, true))}>
            Take in
          </button>
        </div>
      )}
      <Refused words={act.refused} />
    </section>
  );
}
