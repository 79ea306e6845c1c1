import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";

import { Code } from "../gen/chatcode/v1/code_pb";
import { UpdateState, UpdateStatusSchema } from "../gen/chatcode/v1/host_pb";
import { Refusal } from "../link/refusal";
import { AWAY_MS, ASK_MS, progressText, Updates } from "./updates";

type Answer = MessageInitShape<typeof UpdateStatusSchema> | Refusal;

/** A machine that says this, one after the other, and the last for ever. */
function machine(...answers: Answer[]): { updates: Updates; asked: () => number } {
  let asked = 0;
  const next = (): Promise<{ status: ReturnType<typeof create<typeof UpdateStatusSchema>> }> => {
    const answer = answers[Math.min(asked, answers.length - 1)] as Answer;
    asked += 1;
    return answer instanceof Refusal ? Promise.reject(answer) : Promise.resolve({ status: create(UpdateStatusSchema, answer) });
  };
  const host = { update: next, updateStatus: next } as unknown as ConstructorParameters<typeof Updates>[0];
  return { updates: new Updates(host, () => Promise.resolve()), asked: () => asked };
}

const before = { from: "0.1.0", to: "0.2.0", done: true, endedUnixMs: 1n };
const offline = new Refusal(Code.GATEWAY_OFFLINE, "away");

describe("an update", () => {
  it("is followed over the break of the link to what became of it", async () => {
    const after = { from: "0.2.0", to: "0.3.0", done: true, endedUnixMs: 2n };
    const { updates, asked } = machine(
      { state: UpdateState.LOOKING, last: before },
      { state: UpdateState.DOWNLOADING, last: before },
      offline,
      { state: UpdateState.TRIAL, last: before },
      offline,
      { installed: "0.3.0", last: after },
    );
    expect(await updates.update("m")).toMatchObject({ to: "0.3.0", done: true });
    expect(asked()).toBe(6);
    expect(updates.state.get().get("m")?.installed).toBe("0.3.0");
  });

  it("that came to no trial has no outcome, and the machine says why", async () => {
    const { updates } = machine({ state: UpdateState.LOOKING, last: before }, { problem: "not signed", last: before });
    expect(await updates.update("m")).toBeUndefined();
    expect(updates.state.get().get("m")?.problem).toBe("not signed");
  });

  it("is an error when it is refused, or the machine stays away for too long", async () => {
    const refused = new Refusal(Code.FORBIDDEN, "no");
    await expect(machine(refused).updates.update("m")).rejects.toBe(refused);
    await expect(machine({ state: UpdateState.LOOKING }, refused).updates.update("m")).rejects.toBe(refused);
    const lost = machine({ state: UpdateState.TRIAL }, offline);
    await expect(lost.updates.update("m")).rejects.toBe(offline);
    expect(lost.asked()).toBe(AWAY_MS / ASK_MS + 2);
  });

  it("is told in words, and a machine that does not answer changes nothing", async () => {
    const { updates } = machine({ available: "0.3.0" }, offline);
    await updates.look("m");
    await updates.look("m");
    expect(updates.state.get().get("m")?.available).toBe("0.3.0");
    expect(progressText(create(UpdateStatusSchema, { state: UpdateState.DOWNLOADING, doneBytes: 57n, totalBytes: 100n }))).toBe("Downloading: 57 %");
    expect(progressText(create(UpdateStatusSchema, { state: UpdateState.DOWNLOADING }))).toBe("Downloading…");
    expect(progressText(create(UpdateStatusSchema))).toBe("");
  });
});
