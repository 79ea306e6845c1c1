-- Links that let guests into one session. The way back is the copy that is kept
-- before: core.db.schema-8.

-- Who shares is exactly one of `person` and `admin` (the id of a member). `role`:
-- "viewer" or "writer". `passphrase`: its argon2id hash; empty: none.
CREATE TABLE shares (
    id              TEXT   NOT NULL PRIMARY KEY,
    hash            BLOB   NOT NULL UNIQUE,
    gateway         TEXT   NOT NULL,
    session         TEXT   NOT NULL,
    role            TEXT   NOT NULL,
    person          TEXT   REFERENCES people (id) ON DELETE CASCADE,
    admin           TEXT,
    created_by      TEXT   NOT NULL,
    created_by_name TEXT   NOT NULL,
    created_ms      BIGINT NOT NULL,
    expires_ms      BIGINT NOT NULL,
    uses            BIGINT NOT NULL,
    used            BIGINT NOT NULL DEFAULT 0,
    passphrase      TEXT   NOT NULL DEFAULT '',
    accounts_only   BIGINT NOT NULL DEFAULT 0,
    revoked_ms      BIGINT
);
CREATE INDEX shares_by_session ON shares (gateway, session);
CREATE INDEX shares_by_creator ON shares (created_by);

-- Who came in. `person`: their account; NULL: they have none here.
CREATE TABLE guests (
    id           TEXT   NOT NULL PRIMARY KEY,
    hash         BLOB   NOT NULL UNIQUE,
    share        TEXT   NOT NULL REFERENCES shares (id) ON DELETE CASCADE,
    display_name TEXT   NOT NULL,
    person       TEXT   REFERENCES people (id) ON DELETE CASCADE,
    device       TEXT   NOT NULL,
    address      TEXT   NOT NULL,
    entered_ms   BIGINT NOT NULL,
    left_ms      BIGINT
);
CREATE INDEX guests_by_share ON guests (share);
