-- The first schema. Plain SQL that SQLite and PostgreSQL both take: BIGINT for numbers and times (milliseconds since the
-- Unix epoch), INTEGER 0/1 for truth values, TEXT for identifiers and JSON.

-- Numbers that only ever grow. 'event' is the id of the newest event: taking the next one locks the row until the
-- transaction ends, so events become visible in the order of their ids, and an id is never given twice, even after the
-- newest events were pruned. Clients resume by that.
CREATE TABLE counters (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('event', 0);

CREATE TABLE hosts (
    name          TEXT   NOT NULL PRIMARY KEY,
    uri           TEXT   NOT NULL,
    peer_uri      TEXT,
    created_at_ms BIGINT NOT NULL
);

CREATE TABLE tasks (
    id               TEXT    NOT NULL PRIMARY KEY,
    kind             TEXT    NOT NULL,
    state            TEXT    NOT NULL,
    active           INTEGER NOT NULL CHECK (active IN (0, 1)),  -- 0 once the state is final
    domain_uuid      TEXT    NOT NULL,
    vm               TEXT    NOT NULL,
    lease_owner      TEXT,
    lease_until_ms   BIGINT,
    generation       BIGINT  NOT NULL DEFAULT 0,                 -- grows each time the lease is taken
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    resolve          TEXT,                                       -- a person's decision, as JSON
    plan             TEXT    NOT NULL,                           -- JSON, opaque
    body             TEXT    NOT NULL,                           -- the task as clients see it, as JSON
    created_at_ms    BIGINT  NOT NULL,
    updated_at_ms    BIGINT  NOT NULL,
    CHECK ((lease_owner IS NULL) = (lease_until_ms IS NULL))
);

-- The lock: one task that has not ended per domain, also between two requests that arrive at once.
CREATE UNIQUE INDEX tasks_one_active_per_domain ON tasks (domain_uuid) WHERE active = 1;
CREATE INDEX tasks_active ON tasks (created_at_ms, id) WHERE active = 1;
CREATE INDEX tasks_by_age ON tasks (created_at_ms, id);

CREATE TABLE task_log (
    task_id    TEXT   NOT NULL REFERENCES tasks (id),
    seq        BIGINT NOT NULL,
    at_ms      BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    step       TEXT   NOT NULL,
    intent     TEXT   NOT NULL,
    result     TEXT,
    PRIMARY KEY (task_id, seq)
);

CREATE TABLE events (
    id      BIGINT NOT NULL PRIMARY KEY,
    at_ms   BIGINT NOT NULL,
    task_id TEXT   NOT NULL REFERENCES tasks (id),
    body    TEXT   NOT NULL                                      -- the task as it was after the event, as JSON
);
CREATE INDEX events_by_task ON events (task_id, id);
CREATE INDEX events_by_age ON events (at_ms);

-- What an ended task may have left on a host that did not answer.
CREATE TABLE debts (
    task_id       TEXT   NOT NULL REFERENCES tasks (id),
    side          TEXT   NOT NULL,
    body          TEXT   NOT NULL,                               -- the debt, as JSON
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (task_id, side)
);
