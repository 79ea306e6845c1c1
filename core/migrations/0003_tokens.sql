-- Join tokens with several uses, labels, a network, an approval, and taken back.
ALTER TABLE join_tokens ADD COLUMN uses       BIGINT NOT NULL DEFAULT 1;
ALTER TABLE join_tokens ADD COLUMN used       BIGINT NOT NULL DEFAULT 0;
ALTER TABLE join_tokens ADD COLUMN labels     TEXT   NOT NULL DEFAULT '';
ALTER TABLE join_tokens ADD COLUMN approval   BIGINT NOT NULL DEFAULT 0;
ALTER TABLE join_tokens ADD COLUMN network    TEXT   NOT NULL DEFAULT '';
ALTER TABLE join_tokens ADD COLUMN created_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE join_tokens ADD COLUMN created_by TEXT   NOT NULL DEFAULT '';
ALTER TABLE join_tokens ADD COLUMN revoked_ms BIGINT;

-- Each use with its key, and the answer that this key may ask for again; no
-- answer as long as a person has not approved.
CREATE TABLE token_uses (
    token   TEXT   NOT NULL REFERENCES join_tokens (id),
    spki    BLOB   NOT NULL,
    used_ms BIGINT NOT NULL,
    member  TEXT,
    answer  BLOB,
    PRIMARY KEY (token, spki)
);
INSERT INTO token_uses (token, spki, used_ms, answer)
    SELECT id, used_spki, used_ms, answer FROM join_tokens WHERE used_spki IS NOT NULL;
UPDATE join_tokens SET used = 1 WHERE used_ms IS NOT NULL;
ALTER TABLE join_tokens DROP COLUMN used_ms;
ALTER TABLE join_tokens DROP COLUMN used_spki;
ALTER TABLE join_tokens DROP COLUMN answer;

-- Machines that wait for a person. `decided`: 0 not yet, 1 approved, 2 refused.
-- `facts` is an encoded chatcode.v1.HostFacts.
CREATE TABLE pending (
    id         TEXT   NOT NULL PRIMARY KEY,
    token      TEXT   NOT NULL REFERENCES join_tokens (id),
    spki       BLOB   NOT NULL,
    name       TEXT   NOT NULL,
    facts      BLOB   NOT NULL,
    address    TEXT   NOT NULL,
    asked_ms   BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    decided    BIGINT NOT NULL DEFAULT 0,
    UNIQUE (token, spki)
);

ALTER TABLE members ADD COLUMN labels TEXT NOT NULL DEFAULT '';
-- When another live machine last showed the same identity; 0: never.
ALTER TABLE links ADD COLUMN duplicate_ms BIGINT NOT NULL DEFAULT 0;
