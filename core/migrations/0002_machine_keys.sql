-- The durable key of a machine, by which it may be revived; NULL: it never is.
ALTER TABLE members ADD COLUMN machine_key BLOB;
