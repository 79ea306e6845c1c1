-- Sign-in by mail, and who is in a team by the word of an identity provider. The
-- way back is the copy that is kept before: core.db.schema-7.

-- `browser`: hash of the secret of the browser that asked. `link`: hash of the
-- secret in the mail. `code`: hash of the code and of the browser's secret, so that
-- nobody finds the code who reads this. `person`: who adds the address; NULL: it is
-- for signing in.
CREATE TABLE mail_sign_ins (
    browser    BLOB   NOT NULL PRIMARY KEY,
    link       BLOB   NOT NULL UNIQUE,
    code       BLOB   NOT NULL,
    address    TEXT   NOT NULL,
    person     TEXT   REFERENCES people (id) ON DELETE CASCADE,
    device     TEXT   NOT NULL,
    client     TEXT   NOT NULL,
    wrong      BIGINT NOT NULL DEFAULT 0,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX mail_sign_ins_by_end ON mail_sign_ins (expires_ms);

-- The provider on whose word; empty: by hand.
ALTER TABLE team_members ADD COLUMN provider TEXT NOT NULL DEFAULT '';
