// Links to a session: made, listed, taken back.

import { Role } from "../gen/chatcode/v1/grant_pb";
import type { Share } from "../gen/chatcode/v1/shares_pb";
import type { Rpc } from "../link/rpc";
import type { Tab } from "../workspace/workspace";

export const SHARE_FRAGMENT = "share";

/** What a link shall be. */
export interface ShareWish {
  writer: boolean;
  seconds: number;
  uses: number;
  /** Empty: it asks for none. Secret: never kept. */
  passphrase: string;
  accountsOnly: boolean;
}

export class Sharing {
  constructor(
    private readonly rpc: Rpc,
    private readonly origin: string,
  ) {}

  /** Makes a link; answers its address, which is secret and told only now. */
  async create({ gateway, session }: Tab, { writer, seconds, uses, passphrase, accountsOnly }: ShareWish): Promise<string> {
    const role = writer ? Role.WRITER : Role.VIEWER;
    const { secret } = await this.rpc.shares.create({ gateway, session, role, ttlS: seconds, uses, passphrase, accountsOnly });
    return `${this.origin}/#${SHARE_FRAGMENT}=${secret}`;
  }

  /** The links to this session that count, the newest first. */
  async list({ gateway, session }: Tab): Promise<Share[]> {
    return (await this.rpc.shares.list({ gateway, session })).shares;
  }

  /** Takes a link back; its guests are out within a second. */
  async revoke(id: string): Promise<void> {
    await this.rpc.shares.revoke({ id });
  }
}
