import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";

import { LostReason, RestartPolicy, SessionSchema, SessionState } from "../gen/chatcode/v1/sessions_pb";
import { endText, restartText, sessionDetail } from "./session-words";

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
