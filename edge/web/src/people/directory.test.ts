import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";

import { BindingSchema, PersonRole, PersonSchema, TeamSchema } from "../gen/chatcode/v1/people_pb";
import type { Rpc } from "../link/rpc";
import { bindingsOf, Directory, highest, isMeant, pages, teamsOf, type Known } from "./directory";

const known: Known = {
  people: [create(PersonSchema, { id: "ada", displayName: "Ada Lovelace", email: "ada@example.org" }), create(PersonSchema, { id: "bo", displayName: "Bo" })],
  teams: [create(TeamSchema, { id: "night", name: "night shift", members: ["bo"] })],
  bindings: [
    create(BindingSchema, { id: "1", holder: { case: "person", value: "ada" }, role: PersonRole.VIEWER }),
    create(BindingSchema, { id: "2", holder: { case: "person", value: "ada" }, role: PersonRole.ADMIN }),
    create(BindingSchema, { id: "3", holder: { case: "team", value: "night" }, role: PersonRole.OPERATOR }),
  ],
  programs: [],
};

describe("who has what", () => {
  it("is by oneself, the highest first", () => {
    expect(bindingsOf(known, { case: "person", value: "ada" }).map(({ id }) => id)).toEqual(["2", "1"]);
    expect(bindingsOf(known, { case: "person", value: "night" })).toEqual([]);
  });

  it("is through teams, too", () => {
    expect(teamsOf(known, "bo").map(({ id }) => id)).toEqual(["night"]);
    expect(highest(known, "bo")).toBe(PersonRole.OPERATOR);
    expect(highest(known, "ada")).toBe(PersonRole.ADMIN);
    expect(highest(known, "nobody")).toBe(PersonRole.UNSPECIFIED);
  });
});

it("a person is found by parts of name and address in any order", () => {
  const [ada] = known.people;
  for (const words of ["", "love", "ADA example", "example lovelace"]) expect(ada !== undefined && isMeant(ada, words)).toBe(true);
  expect(ada !== undefined && isMeant(ada, "ada bo")).toBe(false);
});

it("all pages of a list are asked for, and not for ever", async () => {
  const asked: string[] = [];
  const ask = (after: string): Promise<{ next: string; items: string[] }> => {
    asked.push(after);
    return Promise.resolve({ next: after === "b" ? "" : after === "" ? "a" : "b", items: [`after ${after}`] });
  };
  expect(await pages(ask, ({ items }) => items)).toEqual(["after ", "after a", "after b"]);
  expect(asked).toEqual(["", "a", "b"]);
  const endless = await pages(() => Promise.resolve({ next: "again", items: [1] }), ({ items }) => items);
  expect(endless).toHaveLength(64);
});

it("an answer that comes after somebody left is for nobody", async () => {
  let answer: () => void = () => undefined;
  const page = new Promise<object>((resolve) => (answer = () => resolve({ next: "", people: [], teams: [], bindings: [], members: [] })));
  const list = (): Promise<object> => page;
  const directory = new Directory({ people: { list, listTeams: list, listBindings: list }, admin: { listMembers: list } } as unknown as Rpc, "");
  const asking = directory.ask();
  directory.forget();
  answer();
  await asking;
  expect(directory.known.get()).toBeUndefined();
});
