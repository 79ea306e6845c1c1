-- The audit is searched by who and by where, and old rows move into archives. The
-- way back is the copy that is kept before.
CREATE INDEX audit_by_principal ON audit (principal, number);
CREATE INDEX audit_by_gateway ON audit (gateway, number);
CREATE INDEX audit_by_session ON audit (session, number);
CREATE INDEX audit_by_request ON audit (request_id, number);
CREATE INDEX audit_by_time ON audit (unix_ms, number);

-- Rows leave only when an archive has them: `audit_archived` in `meta` is the
-- number of the last one that does.
DROP TRIGGER audit_rows_stay;
CREATE TRIGGER audit_rows_stay BEFORE DELETE ON audit
WHEN OLD.number > COALESCE((SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'audit_archived'), 0)
BEGIN SELECT RAISE(ABORT, 'the audit is only appended to'); END;

-- Who made it: a token, a one-time URL and the session that began with it, and the
-- join token by which a member came.
ALTER TABLE api_tokens ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE sign_ins ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE person_sessions ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE members ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
