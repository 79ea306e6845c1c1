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

it("says of a machine that cannot update itself only that, and of one whose try failed why", () => {
  const status = (available: string) => create(UpdateStatusSchema, { policy: UpdatePolicy.NOTIFY, problem: "it cannot update itself", available });
  expect(policyText(status(""))).toBe("No updates now: it cannot update itself");
  expect(policyText(status("0.2.0"))).toBe("Looks for updates and says so. The last try failed: it cannot update itself");
});
