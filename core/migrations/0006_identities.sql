-- By what people sign in, and the challenges that some of it answers. The way back
-- is the copy that is kept before: core.db.schema-5.

-- `kind`: 'passkey', 'password', 'mail' or 'provider'. `subject` names it among
-- those of its kind: a credential's id, a person's id, an address, an issuer and
-- subject. `data`: a credential as JSON, a hash of a password as a PHC string.
CREATE TABLE identities (
    id         TEXT   NOT NULL PRIMARY KEY,
    person     TEXT   NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    kind       TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    data       TEXT   NOT NULL,
    label      TEXT   NOT NULL,
    created_ms BIGINT NOT NULL,
    used_ms    BIGINT NOT NULL DEFAULT 0,
    UNIQUE (kind, subject)
);
CREATE INDEX identities_by_person ON identities (person);

-- `hash`: of the secret that the browser has, and of the session when it is for
-- one. `person`: whose session that is.
CREATE TABLE challenges (
    hash       BLOB   NOT NULL PRIMARY KEY,
    kind       TEXT   NOT NULL,
    person     TEXT   REFERENCES people (id) ON DELETE CASCADE,
    data       TEXT   NOT NULL,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX challenges_by_kind ON challenges (kind, expires_ms);
