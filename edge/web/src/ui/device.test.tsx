import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";

import { DevicesLookResponseSchema } from "../gen/chatcode/v1/devices_pb";
import { PersonRole } from "../gen/chatcode/v1/people_pb";
import { factsOf, roleText } from "./device";

const NOW = 100_000_000;

test("what asks is shown harmlessly, with what it would get and until when", () => {
  const waiting = create(DevicesLookResponseSchema, {
    userCode: "BCDF-GHJK",
    program: "chatcode 0.1.0\u202e",
    hostname: "attic",
    address: "192.0.2.7",
    role: PersonRole.OPERATOR,
    ttlS: 30 * 86_400,
    askedUnixMs: 99_960_000n,
    expiresUnixMs: 100_560_000n,
  });
  expect(Object.fromEntries(factsOf(waiting, NOW))).toEqual({
    Program: "chatcode 0.1.0\ufffd",
    Machine: "attic",
    From: "192.0.2.7",
    May: "see, start, type into and end your sessions (operator)",
    For: "30 d",
    Asked: "40 s ago, and waits 9 min more",
  });
  expect(Object.fromEntries(factsOf(waiting, NOW + 600_000))["Asked"]).toContain("waits no more");
});

test("every role says what it may, and none says so", () => {
  const words = [PersonRole.VIEWER, PersonRole.OPERATOR, PersonRole.ADMIN, PersonRole.OWNER].map(roleText);
  expect(new Set(words).size).toBe(4);
  expect(roleText(PersonRole.UNSPECIFIED)).toBe("do nothing");
});
