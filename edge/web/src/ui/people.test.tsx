import { create } from "@bufbuild/protobuf";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it, vi } from "vitest";

import { Role } from "../gen/chatcode/v1/grant_pb";
import { PresenceSchema } from "../gen/chatcode/v1/terminal_pb";
import type { Attachment, AttachmentStatus } from "../session/attachment";
import { Store } from "../store";
import { People } from "./people";

vi.mock("./hooks", () => ({ useStore: <T,>(store: Store<T>): T => store.get() }));

/** What viewer 1 is shown when these are here and this one types. */
function shown(writer: number, here: [viewer: number, displayName: string][]): string {
  const viewers = here.map(([viewer, displayName]) => ({ viewer, displayName, role: Role.WRITER }));
  const presence = create(PresenceSchema, { writer, viewers });
  const status = new Store({ attached: true, exited: false, presence, role: Role.WRITER, viewer: 1, refusedKeys: 0 } as AttachmentStatus);
  const markup = renderToStaticMarkup(<People attachment={{ status } as unknown as Attachment} />);
  return markup.replace(/<[^>]*>/gu, " ").replace(/\s+/gu, " ").trim();
}

describe("who types", () => {
  it("is not said to one who is alone and may type", () => {
    expect(shown(1, [[1, "ada"]])).toBe("");
    expect(shown(0, [[1, "ada"]])).toBe("");
  });

  it("is somebody else, nobody, or away for a moment", () => {
    expect(shown(2, [[1, "ada"], [2, "bob"]])).toBe("bob types in another window Take over");
    expect(shown(0, [[1, "ada"], [2, "bob"]])).toBe("bob Nobody types Take over");
    expect(shown(3, [[1, "ada"], [2, "bob"]])).toBe("Who types here is away Take over");
    expect(shown(3, [[1, "ada"]])).toBe("Who types here is away Take over");
  });
});
