// What is said of roles and of where they count.

import type { Machine } from "../fleet/fleet";
import { PersonRole, type Binding, type Place } from "../gen/chatcode/v1/people_pb";
import type { Place as Wanted } from "../people/directory";
import { displaySafe } from "../words";

/** From least to most. */
export const ROLES = [PersonRole.VIEWER, PersonRole.OPERATOR, PersonRole.ADMIN, PersonRole.OWNER] as const;

const NAMES: Record<PersonRole, string> = {
  [PersonRole.UNSPECIFIED]: "no role",
  [PersonRole.VIEWER]: "viewer",
  [PersonRole.OPERATOR]: "operator",
  [PersonRole.ADMIN]: "admin",
  [PersonRole.OWNER]: "owner",
};

/** What a role may, in a line. */
export const MEANINGS: Record<PersonRole, string> = {
  [PersonRole.UNSPECIFIED]: "sees nothing",
  [PersonRole.VIEWER]: "sees machines and sessions, and what sessions print",
  [PersonRole.OPERATOR]: "also starts, types into, shares and ends sessions",
  [PersonRole.ADMIN]: "also enrolls, updates and revokes machines, manages people, reads the audit",
  [PersonRole.OWNER]: "also makes owners, enrolls administrators' programs, rotates the CA",
};

export function roleText(role: PersonRole): string {
  return NAMES[role] ?? "another role";
}

/** Where a role counts: "everything", "site=attic", "mill". */
export function placeText(place: Place | undefined, machines: readonly Machine[]): string {
  switch (place?.place.case) {
    case "everything":
      return "everything";
    case "label":
      return displaySafe(`${place.place.value.key}=${place.place.value.value}`, 100);
    case "gateway": {
      const id = place.place.value;
      const machine = machines.find(({ gateway }) => gateway.id === id);
      return displaySafe(machine?.gateway.name ?? `machine ${id.slice(0, 8)}`, 64);
    }
    default:
      return "nowhere";
  }
}

/** "operator on site=attic", "owner". */
export function bindingText({ role, place }: Binding, machines: readonly Machine[]): string {
  const where = placeText(place, machines);
  return where === "everything" ? roleText(role) : `${roleText(role)} on ${where}`;
}

/** A choice of where a role counts. */
export interface PlaceChoice {
  /** Names it in a form. */
  value: string;
  label: string;
  place: Wanted;
}

/** Everywhere, the labels that machines have, and the machines. */
export function placeChoices(machines: readonly Machine[]): PlaceChoice[] {
  const labels = new Map<string, PlaceChoice>();
  for (const { gateway } of machines) {
    for (const [key, value] of Object.entries(gateway.labels)) {
      const text = `${key}=${value}`;
      labels.set(text, { value: `label:${text}`, label: `machines with ${displaySafe(text, 100)}`, place: { place: { case: "label", value: { key, value } } } });
    }
  }
  return [
    { value: "everything", label: "everything", place: { place: { case: "everything", value: true } } },
    ...[...labels.values()].sort((a, b) => a.label.localeCompare(b.label)),
    ...machines.map(({ gateway }) => ({
      value: `gateway:${gateway.id}`,
      label: displaySafe(gateway.name, 64),
      place: { place: { case: "gateway" as const, value: gateway.id } },
    })),
  ];
}
