import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";

import { ShareGuestSchema, ShareSchema } from "../gen/chatcode/v1/shares_pb";
import { guestText, shareText } from "./share";

const NOW = 100_000_000;
const share = (shape: MessageInitShape<typeof ShareSchema>) => create(ShareSchema, { uses: 1, expiresUnixMs: 103_600_000n, createdByName: "Ada", ...shape });

test("a link says whom it still lets in, until when, under what terms and whose it is", () => {
  expect(shareText(share({}), NOW)).toBe("lets in 1 more guest · ends in 1 h · by Ada");
  expect(shareText(share({ uses: 5, used: 2, passphrase: true, accountsOnly: true }), NOW)).toBe("lets in 3 more guests · ends in 1 h · asks for a passphrase · only with an account · by Ada");
  expect(shareText(share({ used: 1, createdByName: "A\u202eda" }), NOW)).toBe("used up; its guests may come back · ends in 1 h · by A\ufffdda");
});

test("a guest says who, since when and from where", () => {
  const guest = create(ShareGuestSchema, { displayName: "Bo (guest)", enteredUnixMs: 99_940_000n, device: "Firefox on Linux", address: "192.0.2.7" });
  expect(guestText(guest, NOW)).toBe("Bo (guest) · came in 1 min ago · Firefox on Linux · from 192.0.2.7");
});
