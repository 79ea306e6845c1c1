import { create } from "@bufbuild/protobuf";
import { expect, it, vi } from "vitest";

import { UpdatePolicy, UpdateStatusSchema } from "../gen/chatcode/v1/host_pb";
import { policyText } from "./machine";

vi.mock("./hooks", () => ({}));

it("tells of a machine that its settings hold where they do", () => {
  const status = (pin: string) => create(UpdateStatusSchema, { policy: UpdatePolicy.NOTIFY, pin });
  expect(policyText(status(""))).toBe("Looks for updates and says so");
  expect(policyText(status("0.2"))).toBe("Looks for updates and says so. Held at 0.2 by its settings");
  expect(policyText(status("0.2\u001b[2J"))).not.toContain("\u001b");
});

it("says what is in the way of updates, whether one was tried or not", () => {
  const status = create(UpdateStatusSchema, { policy: UpdatePolicy.NOTIFY, problem: "it cannot update itself", pin: "0.2" });
  expect(policyText(status)).toBe("Looks for updates and says so. Held at 0.2 by its settings. In the way: it cannot update itself");
});
