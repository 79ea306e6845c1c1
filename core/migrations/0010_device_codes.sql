-- Logins of programs that wait for a person. The way back is the copy that is kept
-- before.

-- `device`: hash of the secret that the program has. `user_code`: hash of the short
-- code that a person types; it only names the question, which nobody answers who is
-- not signed in. `subscriber`: whose waiting ones are counted together. `person`,
-- `principal`: who has decided.
CREATE TABLE device_codes (
    device      BLOB   NOT NULL PRIMARY KEY,
    user_code   BLOB   NOT NULL UNIQUE,
    program     TEXT   NOT NULL,
    hostname    TEXT   NOT NULL,
    address     TEXT   NOT NULL,
    subscriber  TEXT   NOT NULL,
    role        TEXT   NOT NULL,
    ttl_s       BIGINT NOT NULL,
    state       TEXT   NOT NULL DEFAULT 'pending',
    person      TEXT   REFERENCES people (id) ON DELETE CASCADE,
    principal   TEXT   NOT NULL DEFAULT '',
    asked_ms    BIGINT NOT NULL,
    expires_ms  BIGINT NOT NULL
);
CREATE INDEX device_codes_by_subscriber ON device_codes (subscriber);
CREATE INDEX device_codes_by_end ON device_codes (expires_ms);
