import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it, vi } from "vitest";

import { Code } from "../gen/chatcode/v1/code_pb";
import { Refusal } from "../link/refusal";
import { Waiting } from "./sign-in";

vi.mock("./hooks", () => ({ useNow: () => 10_000 }));

/** What is shown while a sign-in is refused with this. */
function shown(code: Code, message: string): string {
  const waiting = { state: "waiting", since: 4_000, nextTry: 16_000, refusal: new Refusal(code, message) } as const;
  const markup = renderToStaticMarkup(<Waiting waiting={waiting} again={() => undefined} />);
  return markup.replace(/<[^>]*>/gu, " ").replace(/\s+/gu, " ").trim();
}

describe("a page that waits", () => {
  it("blames the edge or the core only where they do not answer", () => {
    expect(shown(Code.UNSPECIFIED, "the edge does not answer")).toMatch(/^The edge does not answer Your sessions/u);
    expect(shown(Code.CORE_UNREACHABLE, "the core does not answer")).toMatch(/^The core does not answer Your sessions/u);
  });

  it("says what the edge said where that has answered", () => {
    const words = "too much was tried from your address; wait a minute and try again";
    expect(shown(Code.RATE_LIMITED, words)).toMatch(new RegExp(`^You cannot come in just now ${words} Your sessions`, "u"));
    expect(shown(Code.RATE_LIMITED, words)).toContain("next try in 6 s");
    expect(shown(Code.INTERNAL, "")).toMatch(/^You cannot come in just now internal Your sessions/u);
  });
});
