-- How memory travels: where migrations to a host send it, and what was asked of a migration under way.

ALTER TABLE hosts ADD COLUMN migrate_via TEXT;
ALTER TABLE tasks ADD COLUMN bandwidth TEXT;                     -- the limit that was asked for last, as JSON
