// The roles of a person or a team: what was given, giving more, taking away.

import { useState, type ReactNode } from "react";

import { PersonRole } from "../gen/chatcode/v1/people_pb";
import { bindingsOf, type Holder, type Known } from "../people/directory";
import { Refused, useAct } from "./dialog";
import { bindingText, MEANINGS, placeChoices, roleText, ROLES } from "./directory-words";
import { useApp, useStore } from "./hooks";

export function Roles({ known, holder }: { known: Known; holder: Holder }): ReactNode {
  const { directory, fleet } = useApp();
  const { machines } = useStore(fleet.state);
  const held = bindingsOf(known, holder);
  const act = useAct();
  const places = placeChoices(machines);
  // Owners are persons, and own everything.
  const roles = ROLES.filter((role) => role !== PersonRole.OWNER || holder.case === "person");
  const [role, setRole] = useState<PersonRole>(PersonRole.OPERATOR);
  const [where, setWhere] = useState("everything");
  const place = (role === PersonRole.OWNER ? undefined : places.find(({ value }) => value === where)) ?? places[0];
  return (
    <section aria-label="Roles" data-testid="roles">
      <h3>Roles</h3>
      {held.length === 0 && <p className="directory-none">None: {holder.case === "person" ? "sees nothing by themselves" : "gives its members nothing"}.</p>}
      <ul className="directory-items">
        {held.map((binding) => {
          const words = bindingText(binding, machines);
          return (
            <li key={binding.id} data-testid="role" data-role={roleText(binding.role)}>
              <span>{words}</span>
              <button type="button" className="small" disabled={act.busy} aria-label={`Take away: ${words}`} data-testid="role-take" onClick={() => void act.run(() => directory.take(binding.id))}>
                Take away
              </button>
            </li>
          );
        })}
      </ul>
      <div className="directory-row">
        <select aria-label="Role" value={role} data-testid="role-choice" onChange={(event) => setRole(Number(event.target.value) as PersonRole)}>
          {roles.map((each) => (
            <option key={each} value={each}>
              {roleText(each)}
            </option>
          ))}
        </select>
        <select aria-label="Where it counts" value={place?.value} disabled={role === PersonRole.OWNER} data-testid="role-where" onChange={(event) => setWhere(event.target.value)}>
          {places.map(({ value, label }) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
        <button type="button" className="small" disabled={act.busy || place === undefined} data-testid="role-give" onClick={() => place !== undefined && void act.run(() => directory.give(holder, role, place.place))}>
          Give
        </button>
      </div>
      <p className="directory-hint">
        {roleText(role)}: {MEANINGS[role]}.
        {role === PersonRole.OWNER ? " Whoever becomes owner begins anew: their sessions, links, passkeys and password end." : ""}
      </p>
      <Refused words={act.refused} />
    </section>
  );
}
