-- What a certificate depends on: SHA-256 of the public keys of the intermediate
-- that signed it and of the root above that. NULL: of the time before rotations.
ALTER TABLE certificates ADD COLUMN issuer BLOB;
ALTER TABLE certificates ADD COLUMN root BLOB;
-- What a member said it trusts: the same of its roots, one behind the other.
ALTER TABLE members ADD COLUMN trusts BLOB;
-- Its last renewal or revival, and those that failed since.
ALTER TABLE members ADD COLUMN renewed_ms BIGINT;
ALTER TABLE members ADD COLUMN renewal_failures BIGINT NOT NULL DEFAULT 0;
