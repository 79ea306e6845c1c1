import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";

import { Code } from "../gen/chatcode/v1/code_pb";
import { GatewaySchema, LinkState } from "../gen/chatcode/v1/fleet_pb";
import { HostFactsSchema } from "../gen/chatcode/v1/link_pb";
import { certificateText, duplicateText, endedText, isAlarmed, labelsText, systemText } from "./machine-words";

const NOW = 100_000_000;
const machine = (shape: MessageInitShape<typeof GatewaySchema>) => create(GatewaySchema, { linkState: LinkState.ONLINE, ...shape });

test("a machine that shares its identity says so until somebody acknowledges it, unless it is revoked", () => {
  expect(isAlarmed(machine({}))).toBe(false);
  expect(isAlarmed(machine({ duplicateUnixMs: 1n }))).toBe(true);
  expect(isAlarmed(machine({ duplicateUnixMs: 1n, linkState: LinkState.REVOKED }))).toBe(false);
});

test("who else used an identity is told as far as it is known, and harmless", () => {
  const seen = { duplicateUnixMs: 99_940_000n, duplicateHostname: "mill\u202e", duplicateAddress: "192.0.2.7:51820" };
  expect(duplicateText(machine(seen), NOW)).toBe("1 min ago a machine that calls itself “mill\ufffd” came from 192.0.2.7:51820 with the key of this one.");
  expect(duplicateText(machine({ duplicateUnixMs: 99_940_000n }), NOW)).toBe("1 min ago a machine came with the key of this one.");
});

test("a certificate is good for so long, or has ended, and a renewal that failed is trouble", () => {
  const stands = (notAfterUnixMs: bigint, failures = 0, renewedUnixMs = 0n, linkState = LinkState.ONLINE) =>
    certificateText(machine({ certificate: { notAfterUnixMs, renewedUnixMs, failures }, linkState }), NOW);
  expect(stands(0n)).toBeUndefined();
  expect(stands(107_200_000n)?.words).toBe("Good for 2 h more");
  expect(stands(107_200_000n)?.more).not.toContain("renewed");
  expect(stands(107_200_000n, 0, 96_400_000n)?.more).toMatch(/^until .+, renewed 1 h ago$/u);
  expect(stands(107_200_000n)?.trouble).toBeUndefined();
  expect(stands(107_200_000n, 1)?.trouble).toContain("Its renewal failed. ");
  expect(stands(107_200_000n, 3)?.trouble).toContain("Its renewal failed 3 times. ");
  expect(stands(96_400_000n)).toMatchObject({ words: "Ended 1 h ago", trouble: "The machine gets another one by itself when it is back." });
  expect(stands(107_200_000n, 3, 0n, LinkState.REVOKED)).toBeUndefined();
  expect(certificateText(machine({}), NOW)).toBeUndefined();
});

test("a machine that is away says why, in words of people", () => {
  const away = (linkEnded: Code, linkState = LinkState.OFFLINE) => endedText(machine({ linkEnded, linkState }));
  expect(away(Code.DONE)).toBe("its daemon stopped");
  expect(away(Code.RATE_LIMITED)).toBe("rate limited");
  expect(away(Code.UNSPECIFIED)).toBe("");
  expect(away(Code.DONE, LinkState.ONLINE)).toBe("");
});

test("labels and facts of a machine are one harmless line", () => {
  expect(labelsText({ team: "kites", site: "attic", spare: "" })).toBe("site=attic, spare, team=kites");
  expect(systemText(create(HostFactsSchema, { os: "linux", kernel: "6.1\u202e", arch: "" }))).toBe("linux 6.1\ufffd");
  expect(systemText(undefined)).toBe("");
});
