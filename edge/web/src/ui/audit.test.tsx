import { renderToStaticMarkup } from "react-dom/server";
import { expect, test, vi } from "vitest";

import { ANY } from "../audit/search";
import { Code } from "../gen/chatcode/v1/code_pb";
import { Store } from "../store";
import { Filters } from "./audit-filters";
import { actionText, detailText, resultText, resultTone, whoText } from "./audit-words";

const gateway = { id: "g-1", name: "mill\u202e" };
const app = { fleet: { state: new Store({ machines: [{ gateway }] }) } };
vi.mock("./hooks", () => ({ useApp: () => app, useStore: <T,>(store: Store<T>): T => store.get() }));

test("who did something is said shortly, and oneself as you", () => {
  expect(whoText("person/1", "person/1")).toBe("you");
  expect(whoText("person/1/api-token/t", "person/1")).toBe("your API token");
  expect(whoText("person/4f1c2c6e-0000-4000-8000-000000000001", "person/1")).toBe("person 4f1c2c6e");
  expect(whoText("person/4f1c2c6e-0000-4000-8000-000000000001/api-token/t", "")).toBe("person 4f1c2c6e by an API token");
  expect(whoText("admin/3f0c22d1-0000-4000-8000-000000000007", "person/1")).toBe("admin 3f0c22d1");
  expect(whoText("core", "person/1")).toBe("core");
  expect(whoText("a\u202eb", "")).toBe("a\ufffdb");
});

test("what was done and how it ended is said in words", () => {
  expect(actionText("/chatcode.v1.Fleet/Revoke")).toBe("Fleet/Revoke");
  expect(actionText("gateway.revoked")).toBe("gateway.revoked");
  expect([Code.UNSPECIFIED, Code.DONE, Code.UNKNOWN_GATEWAY].map(resultText)).toEqual(["let in", "done", "unknown gateway"]);
  expect([Code.UNSPECIFIED, Code.DONE, Code.FORBIDDEN].map(resultTone)).toEqual(["quiet", "good", "bad"]);
});

test("whoever stands in a detail leaves room for the name that follows", () => {
  expect(detailText("person/c5c9b6a9-fb48-40d6-9cc8-6c4ce9758001 Ada (owner)")).toBe("person c5c9b6a9 Ada (owner)");
  expect(detailText("operator on label site=attic to person/8d2f7a10-0000-4000-8000-000000000009 Ada")).toBe("operator on label site=attic to person 8d2f7a10 Ada");
  expect(detailText("from 192.0.2.14:51820 a\u202eb")).toBe("from 192.0.2.14:51820 a\ufffdb");
});

test("the filters show what is chosen, and a machine that is not known any more", () => {
  const shown = (wish: object) => renderToStaticMarkup(<Filters wish={{ ...ANY, ...wish }} narrow={() => undefined} />);
  expect(shown({})).toContain("mill\ufffd");
  expect(shown({})).not.toContain("audit-only");
  expect(shown({ gateway: "gone" })).toContain(">gone</option>");
  expect(shown({ principal: "person/2" })).toContain("Only by person/2");
});
