// People, teams, roles and programs of the installation, as an administrator manages
// them. All of it is bounded by the core, so all of it is asked for at once.

import type { MessageInitShape } from "@bufbuild/protobuf";

import type { PersonSession } from "../gen/chatcode/v1/accounts_pb";
import type { AdminMember } from "../gen/chatcode/v1/admin_pb";
import type { Identity } from "../gen/chatcode/v1/identities_pb";
import { PersonRole, type ApiToken, type Binding, type Person, type PlaceSchema, type Team } from "../gen/chatcode/v1/people_pb";
import type { Rpc } from "../link/rpc";
import { Store } from "../store";

export interface Known {
  /** In the order in which they were added. */
  people: readonly Person[];
  /** By name. */
  teams: readonly Team[];
  bindings: readonly Binding[];
  /** Edges and administrators' programs; missing for those who may not see them. */
  programs: readonly AdminMember[];
}

export type Place = MessageInitShape<typeof PlaceSchema>;

/** By what a person signs in, and where they are signed in. */
export interface WaysIn {
  identities: readonly Identity[];
  sessions: readonly PersonSession[];
}

/** Who has a role: a person or a team. */
export interface Holder {
  case: "person" | "team";
  value: string;
}

/** Pages of one list at most; beyond it something is wrong. */
const MOST_PAGES = 64;

export class Directory {
  readonly known = new Store<Known | undefined>(undefined);
  /** Grows with each question: an answer to an older one is late. */
  #asked = 0;

  constructor(
    private readonly rpc: Rpc,
    private readonly origin: string,
  ) {}

  /** Asks for everything anew. Throws a refusal. */
  readonly ask = async (): Promise<void> => {
    this.#asked += 1;
    const asked = this.#asked;
    const { people, admin } = this.rpc;
    const [everybody, teams, bindings, programs] = await Promise.all([
      pages(async (after) => people.list({ after }), (page) => page.people),
      pages(async (after) => people.listTeams({ after }), (page) => page.teams),
      pages(async (after) => people.listBindings({ after }), (page) => page.bindings),
      pages(async (after) => admin.listMembers({ after }), (page) => page.members),
    ]);
    if (asked === this.#asked) this.known.set({ people: everybody, teams, bindings, programs });
  };

  /** What was known is not for whoever comes next. */
  forget(): void {
    this.#asked += 1;
    this.known.set(undefined);
  }

  async addPerson(displayName: string, email: string): Promise<Person | undefined> {
    const { person } = await this.rpc.people.create({ displayName, email });
    await this.ask();
    return person;
  }

  async updatePerson(id: string, displayName: string, email: string): Promise<void> {
    await this.rpc.people.update({ id, displayName, email });
    await this.ask();
  }

  /** Shuts out, or lets in again. */
  async suspend(id: string, suspended: boolean): Promise<void> {
    await this.rpc.people.suspend({ id, suspended });
    await this.ask();
  }

  async removePerson(id: string): Promise<void> {
    await this.rpc.people.remove({ id });
    await this.ask();
  }

  /** A one-time URL that lets a person in: secret, told only now. */
  async invite(person: string): Promise<{ url: string; expiresUnixMs: number }> {
    const { secret, expiresUnixMs } = await this.rpc.accounts.createSignIn({ person });
    return { url: `${this.origin}/#login=${secret}`, expiresUnixMs: Number(expiresUnixMs) };
  }

  async give(holder: Holder, role: PersonRole, place: Place): Promise<void> {
    await this.rpc.people.createBinding({ holder: holder as { case: "person"; value: string }, role, place });
    await this.ask();
  }

  async take(binding: string): Promise<void> {
    await this.rpc.people.removeBinding({ id: binding });
    await this.ask();
  }

  async addTeam(name: string, externalGroup: string): Promise<void> {
    await this.rpc.people.createTeam({ name, externalGroup });
    await this.ask();
  }

  async updateTeam(id: string, name: string, externalGroup: string): Promise<void> {
    await this.rpc.people.updateTeam({ id, name, externalGroup });
    await this.ask();
  }

  async removeTeam(id: string): Promise<void> {
    await this.rpc.people.removeTeam({ id });
    await this.ask();
  }

  async setMember(team: string, person: string, member: boolean): Promise<void> {
    await this.rpc.people.setTeamMember({ team, person, member });
    await this.ask();
  }

  /** The API tokens of a person, those that count first. */
  async tokens(person: string): Promise<ApiToken[]> {
    return (await this.rpc.people.listApiTokens({ person })).tokens;
  }

  /** Makes a token: secret, told only now. */
  async createToken(person: string, name: string, role: PersonRole, place: Place, ttlS: number): Promise<string> {
    return (await this.rpc.people.createApiToken({ person, name, role, place, ttlS })).secret;
  }

  async revokeToken(id: string): Promise<void> {
    await this.rpc.people.revokeApiToken({ id });
  }

  /** By what a person signs in, and where they are signed in. */
  async waysIn(person: string): Promise<WaysIn> {
    const { identities, sessions } = await this.rpc.identities.listOf({ person });
    return { identities, sessions };
  }

  /** Takes a way in away, of a device that was lost; all sessions of the person end. */
  async removeWayIn(person: string, id: string): Promise<void> {
    await this.rpc.identities.removeOf({ person, id });
  }

  /** Ends one session of a person, or all. */
  async signOut(person: string, session = ""): Promise<void> {
    await this.rpc.identities.signOutOf({ person, session });
  }

  /** Throws an edge or an administrator's program out. */
  async revokeProgram(id: string): Promise<void> {
    await this.rpc.admin.revokeMember({ id });
    await this.ask();
  }
}

/** All pages of a list. */
export async function pages<P extends { next: string }, T>(ask: (after: string) => Promise<P>, of: (page: P) => T[]): Promise<T[]> {
  const all: T[] = [];
  let after = "";
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const answer = await ask(after);
    all.push(...of(answer));
    after = answer.next;
    if (after === "") break;
  }
  return all;
}

/** What somebody was given, the highest first. */
export function bindingsOf({ bindings }: Known, { case: kind, value }: Holder): Binding[] {
  return bindings.filter(({ holder }) => holder.case === kind && holder.value === value).sort((a, b) => b.role - a.role);
}

export function teamsOf({ teams }: Known, person: string): Team[] {
  return teams.filter(({ members }) => members.includes(person));
}

/** The highest role that a person has by themselves or through a team. */
export function highest(known: Known, person: string): PersonRole {
  const held = [...bindingsOf(known, { case: "person", value: person }), ...teamsOf(known, person).flatMap((team) => bindingsOf(known, { case: "team", value: team.id }))];
  return held.reduce((most, { role }) => Math.max(most, role), PersonRole.UNSPECIFIED);
}

/** Whether a person is meant by these words: of the name or the address. */
export function isMeant({ displayName, email }: Person, words: string): boolean {
  const text = `${displayName} ${email}`.toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/u)
    .every((word) => text.includes(word));
}
