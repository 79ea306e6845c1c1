-- People, teams, and who has which role where; API tokens. The way back is the
-- copy that is kept before: core.db.schema-4.
ALTER TABLE people ADD COLUMN email        TEXT;
ALTER TABLE people ADD COLUMN suspended_ms BIGINT;
CREATE UNIQUE INDEX people_by_email ON people (email);

CREATE TABLE teams (
    id             TEXT   NOT NULL PRIMARY KEY,
    name           TEXT   NOT NULL UNIQUE,
    external_group TEXT   NOT NULL DEFAULT '',
    created_ms     BIGINT NOT NULL
);
CREATE TABLE team_members (
    team   TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    person TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    PRIMARY KEY (team, person)
);

-- Exactly one of `person` and `team`. `place`: empty for everything,
-- "label:KEY=VALUE", or "gateway:ID".
CREATE TABLE bindings (
    id         TEXT   NOT NULL PRIMARY KEY,
    person     TEXT   REFERENCES people (id) ON DELETE CASCADE,
    team       TEXT   REFERENCES teams (id) ON DELETE CASCADE,
    role       TEXT   NOT NULL,
    place      TEXT   NOT NULL,
    created_ms BIGINT NOT NULL,
    created_by TEXT   NOT NULL,
    UNIQUE (person, role, place),
    UNIQUE (team, role, place)
);
INSERT INTO bindings (id, person, role, place, created_ms, created_by)
    SELECT id, id, role, '', created_ms, 'core' FROM people WHERE role = 'owner';
ALTER TABLE people DROP COLUMN role;

CREATE TABLE api_tokens (
    id         TEXT   NOT NULL PRIMARY KEY,
    hash       BLOB   NOT NULL UNIQUE,
    person     TEXT   NOT NULL REFERENCES people (id) ON DELETE CASCADE,
    name       TEXT   NOT NULL,
    role       TEXT   NOT NULL,
    place      TEXT   NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    used_ms    BIGINT NOT NULL DEFAULT 0,
    revoked_ms BIGINT
);
CREATE INDEX api_tokens_by_person ON api_tokens (person);

-- What a browser called itself and came from, and when its person last proved
-- who they are.
ALTER TABLE person_sessions ADD COLUMN device    TEXT   NOT NULL DEFAULT '';
ALTER TABLE person_sessions ADD COLUMN address   TEXT   NOT NULL DEFAULT '';
ALTER TABLE person_sessions ADD COLUMN proven_ms BIGINT NOT NULL DEFAULT 0;
UPDATE person_sessions SET proven_ms = created_ms;
