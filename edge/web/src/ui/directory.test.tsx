import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";

import type { Machine } from "../fleet/fleet";
import { AdminMemberSchema } from "../gen/chatcode/v1/admin_pb";
import { GatewaySchema } from "../gen/chatcode/v1/fleet_pb";
import { BindingSchema, PersonRole, PlaceSchema } from "../gen/chatcode/v1/people_pb";
import { programText } from "./directory-programs";
import { bindingText, placeChoices, placeText } from "./directory-words";

const machine = (id: string, name: string, labels: Record<string, string> = {}): Machine => ({ gateway: create(GatewaySchema, { id, name, labels }), sessions: [] });
const MACHINES = [machine("g1", "mill", { site: "attic" }), machine("g2", "har\u202ebour", { site: "attic", os: "linux" })];

test("a role is said with where it counts", () => {
  const binding = (role: PersonRole, place: Parameters<typeof create<typeof PlaceSchema>>[1]) => create(BindingSchema, { role, place: create(PlaceSchema, place) });
  expect(bindingText(binding(PersonRole.OWNER, { place: { case: "everything", value: true } }), MACHINES)).toBe("owner");
  expect(bindingText(binding(PersonRole.OPERATOR, { place: { case: "label", value: { key: "site", value: "attic" } } }), MACHINES)).toBe("operator on site=attic");
  expect(bindingText(binding(PersonRole.VIEWER, { place: { case: "gateway", value: "g2" } }), MACHINES)).toBe("viewer on har\ufffdbour");
  expect(placeText(create(PlaceSchema, { place: { case: "gateway", value: "0a1b2c3d-gone" } }), MACHINES)).toBe("machine 0a1b2c3d");
});

test("a role may count for everything, for labels that there are, once each, and for machines", () => {
  expect(placeChoices(MACHINES).map(({ value }) => value)).toEqual(["everything", "label:os=linux", "label:site=attic", "gateway:g1", "gateway:g2"]);
});

test("a program says whether it is here, and how its certificate stands", () => {
  const NOW = 10_000_000;
  const program = (shape: Parameters<typeof create<typeof AdminMemberSchema>>[1]) => programText(create(AdminMemberSchema, { enrolledUnixMs: 9_940_000n, notAfterUnixMs: 13_600_000n, ...shape }), NOW);
  expect(program({ connections: 2 })).toBe("2 connections · certificate for 1 h more · enrolled 1 min ago");
  expect(program({ notAfterUnixMs: 9_000_000n })).toBe("not connected · its certificate has ended · enrolled 1 min ago");
  expect(program({ notAfterUnixMs: 0n })).toContain("no certificate that counts");
  expect(program({ revokedUnixMs: 9_940_000n })).toBe("revoked 1 min ago");
});
