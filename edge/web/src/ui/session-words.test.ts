import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";

import { GatewaySchema, LinkState } from "../gen/chatcode/v1/fleet_pb";
import { HostFactsSchema } from "../gen/chatcode/v1/link_pb";
import { LostReason, RestartPolicy, SessionSchema, SessionState } from "../gen/chatcode/v1/sessions_pb";
import { alarmText, endText, labelsText, restartText, sessionDetail, systemText } from "./session-words";

test("a session that is over says what happened and that nothing starts it again", () => {
  const lost = (lostReason: LostReason) => create(SessionSchema, { state: SessionState.LOST, lostReason });
  expect(endText(lost(LostReason.HOLDER_VANISHED))).toBe("lost: its holder vanished");
  expect(endText(lost(LostReason.MACHINE_RESTARTED))).toBe("lost: the machine was restarted");
  const exit = { code: 0, signal: 9 };
  expect(endText(create(SessionSchema, { state: SessionState.EXITED, exit, restartsOver: true }))).toBe("ended by KILL; not started again");
  const stopped = create(SessionSchema, { state: SessionState.EXITED, exit, lostReason: LostReason.MACHINE_RESTARTED });
  expect(endText(stopped)).toBe("ended by the machine's restart");
});

test("a session that was started again says how often", () => {
  const back = create(SessionSchema, { state: SessionState.RUNNING, command: ["top"], folder: "/srv", restarts: 2 });
  expect(sessionDetail(back)).toBe("top in /srv, restarted 2 times");
});

test("a session says when it is started again, and as what, as long as it is", () => {
  const text = (restart: RestartPolicy, resumeCommand: string[] = [], restartsOver = false) =>
    restartText(create(SessionSchema, { restart, resumeCommand, restartsOver }));
  expect(text(RestartPolicy.UNSPECIFIED)).toBeUndefined();
  expect(text(RestartPolicy.ON_CRASH)).toBe("again after a crash");
  expect(text(RestartPolicy.ON_BOOT, ["claude", "--continue"])).toBe("again after a crash or reboot: claude --continue");
  expect(text(RestartPolicy.ON_CRASH, ["sh", "-c", "a\u202eb c"])).toBe("again after a crash: sh -c 'a\ufffdb c'");
  expect(text(RestartPolicy.ON_BOOT, ["claude"], true)).toBeUndefined();
  expect(text(9 as RestartPolicy)).toBeUndefined();
});

test("a machine that shares its identity says so for a day, unless it is revoked", () => {
  const at = (duplicateUnixMs: bigint, linkState = LinkState.ONLINE) => alarmText(create(GatewaySchema, { duplicateUnixMs, linkState }), 100_000_000);
  expect(at(0n)).toBeUndefined();
  expect(at(99_940_000n)).toContain("used this one's identity 1 min ago");
  expect(at(99_940_000n, LinkState.REVOKED)).toBeUndefined();
  expect(at(100_000_000n - 86_400_000n)).toBeUndefined();
});

test("labels and facts of a machine are one harmless line", () => {
  expect(labelsText({ team: "kites", site: "attic", spare: "" })).toBe("site=attic, spare, team=kites");
  expect(systemText(create(HostFactsSchema, { os: "linux", kernel: "6.1\u202e", arch: "" }))).toBe("linux 6.1\ufffd");
  expect(systemText(undefined)).toBe("");
});
