-- What the core keeps. Times are milliseconds since 1970 (UTC); hashes are
-- SHA-256. Written in the SQL that SQLite and PostgreSQL share.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Everything that was enrolled.
CREATE TABLE members (
    id          TEXT   NOT NULL PRIMARY KEY,
    kind        TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    enrolled_ms BIGINT NOT NULL,
    revoked_ms  BIGINT
);

-- The allow-list: a certificate that is not here, or is revoked, is refused.
CREATE TABLE certificates (
    serial       TEXT   NOT NULL PRIMARY KEY,
    member       TEXT   NOT NULL REFERENCES members (id),
    spki         BLOB   NOT NULL,
    not_after_ms BIGINT NOT NULL,
    revoked_ms   BIGINT
);
CREATE INDEX certificates_by_member ON certificates (member);

CREATE TABLE join_tokens (
    id          TEXT   NOT NULL PRIMARY KEY,
    secret_hash BLOB   NOT NULL,
    kind        TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    expires_ms  BIGINT NOT NULL,
    used_ms     BIGINT,
    used_spki   BLOB,
    answer      BLOB
);

CREATE TABLE people (
    id           TEXT   NOT NULL PRIMARY KEY,
    display_name TEXT   NOT NULL,
    role         TEXT   NOT NULL,
    created_ms   BIGINT NOT NULL
);

CREATE TABLE sign_ins (
    hash       BLOB   NOT NULL PRIMARY KEY,
    person     TEXT   NOT NULL REFERENCES people (id),
    expires_ms BIGINT NOT NULL
);

CREATE TABLE person_sessions (
    hash       BLOB   NOT NULL PRIMARY KEY,
    person     TEXT   NOT NULL REFERENCES people (id),
    created_ms BIGINT NOT NULL,
    used_ms    BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);

CREATE TABLE tickets (
    hash           BLOB   NOT NULL PRIMARY KEY,
    person_session BLOB   NOT NULL,
    origin         TEXT   NOT NULL,
    method         TEXT   NOT NULL,
    gateway        TEXT   NOT NULL,
    session        TEXT   NOT NULL,
    expires_ms     BIGINT NOT NULL
);

-- The last link of each gateway. `facts` is an encoded chatcode.v1.HostFacts.
CREATE TABLE links (
    gateway         TEXT   NOT NULL PRIMARY KEY REFERENCES members (id),
    epoch           BIGINT NOT NULL,
    since_ms        BIGINT NOT NULL,
    ended           BIGINT NOT NULL,
    facts           BLOB   NOT NULL,
    program_version TEXT   NOT NULL
);

-- What was last known of the sessions of each gateway. `body` is an encoded
-- chatcode.v1.Session.
CREATE TABLE sessions (
    gateway TEXT NOT NULL REFERENCES members (id),
    id      TEXT NOT NULL,
    body    BLOB NOT NULL,
    PRIMARY KEY (gateway, id)
);

-- Only ever appended to. Each row's hash covers the row before it.
CREATE TABLE audit (
    number     BIGINT NOT NULL PRIMARY KEY,
    unix_ms    BIGINT NOT NULL,
    principal  TEXT   NOT NULL,
    action     TEXT   NOT NULL,
    gateway    TEXT   NOT NULL,
    session    TEXT   NOT NULL,
    result     BIGINT NOT NULL,
    request_id TEXT   NOT NULL,
    peer       TEXT   NOT NULL,
    detail     TEXT   NOT NULL,
    hash       BLOB   NOT NULL
);
CREATE TRIGGER audit_rows_stay_as_they_are BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is only appended to'); END;
CREATE TRIGGER audit_rows_stay BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is only appended to'); END;
