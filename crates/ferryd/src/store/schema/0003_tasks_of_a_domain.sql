-- The tasks of one domain, the newest first: whether a migration has brought it to where it is.

CREATE INDEX tasks_by_domain ON tasks (domain_uuid, created_at_ms, id);
