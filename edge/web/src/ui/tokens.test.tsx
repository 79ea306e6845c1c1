import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";

import { MemberKind } from "../gen/chatcode/v1/enrollment_pb";
import { TokenInfoSchema } from "../gen/chatcode/v1/fleet_pb";
import { madeText, tokenName, tokenText } from "./tokens";

const NOW = 100_000_000;
const token = (shape: MessageInitShape<typeof TokenInfoSchema>) => create(TokenInfoSchema, { kind: MemberKind.GATEWAY, uses: 1, expiresUnixMs: 100_840_000n, ...shape });

test("a token says whom it lets in", () => {
  expect(tokenName(token({ name: "attic\u202e" }))).toBe("attic\ufffd");
  expect(tokenName(token({}))).toBe("Any machine");
  expect(tokenName(token({ kind: MemberKind.EDGE }))).toBe("An edge");
  expect(tokenName(token({ kind: MemberKind.ADMIN }))).toBe("An administrator");
});

test("a token says how often, until when, from where and as what it is good", () => {
  expect(tokenText(token({}), NOW)).toBe("good once · ends in 14 min");
  const many = token({ uses: 20, used: 7, approval: true, network: "192.0.2.0/24", labels: { site: "attic" } });
  expect(tokenText(many, NOW)).toBe("13 of 20 uses left · ends in 14 min · asks for approval · only from 192.0.2.0/24 · site=attic");
});

test("a token says when it was made, and by whom", () => {
  const by = (createdBy: string, createdUnixMs = 99_940_000n) => madeText(token({ createdBy, createdUnixMs }), "person/1", NOW);
  expect(by("person/1")).toBe("Made 1 min ago by you");
  expect(by("admin/3f0c22d1-0000-4000-8000-000000000007")).toBe("Made 1 min ago by admin 3f0c22d1");
  expect(by("core", 0n)).toBe("Made by core");
  expect(by("")).toBe("Made 1 min ago");
});
