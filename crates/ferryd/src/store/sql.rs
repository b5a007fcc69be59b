//! The statements, written so that SQLite and PostgreSQL both take them (numbered parameters, nothing of one database only).

pub(super) const HOSTS: &str = "SELECT name, uri, peer_uri, migrate_via FROM hosts ORDER BY name";
pub(super) const ADD_HOST: &str =
    "INSERT INTO hosts (name, uri, peer_uri, migrate_via, created_at_ms) VALUES ($1, $2, $3, $4, $5)";
pub(super) const REMOVE_HOST: &str = "DELETE FROM hosts WHERE name = $1";

pub(super) const ADD_TASK: &str = "INSERT INTO tasks \
     (id, kind, state, active, domain_uuid, vm, plan, body, created_at_ms, updated_at_ms) \
     VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8, $9)";
pub(super) const TASK: &str =
    "SELECT body, plan, cancel_requested, resolve, bandwidth FROM tasks WHERE id = $1";
macro_rules! tasks_where {
    ($first:literal) => {
        concat!(
            "SELECT id, body FROM tasks WHERE ",
            $first,
            "(CAST($1 AS TEXT) IS NULL OR vm = $1) \
             AND (CAST($2 AS TEXT) IS NULL OR state = $2) \
             AND (CAST($3 AS INTEGER) IS NULL OR active = $3) \
             AND (CAST($4 AS TEXT) IS NULL OR kind = $4) \
             ORDER BY created_at_ms DESC, id DESC LIMIT $5"
        )
    };
}
pub(super) const TASKS: &str = tasks_where!("");
/// Apart, so that the domain's index leads to them.
pub(super) const TASKS_OF_DOMAIN: &str = tasks_where!("domain_uuid = $6 AND ");
pub(super) const ACTIVE_TASK: &str = "SELECT id FROM tasks WHERE domain_uuid = $1 AND active = 1";
pub(super) const TASK_ACTIVE: &str = "SELECT active FROM tasks WHERE id = $1";
pub(super) const CLAIMABLE: &str = "SELECT id FROM tasks \
     WHERE active = 1 AND (lease_owner IS NULL OR lease_until_ms <= $1) \
     ORDER BY created_at_ms, id";

pub(super) const LEASE: &str = "UPDATE tasks \
     SET lease_owner = $2, lease_until_ms = $4, generation = generation + 1 \
     WHERE id = $1 AND active = 1 AND (lease_owner IS NULL OR lease_until_ms <= $3) \
     RETURNING generation";
/// The fence: touches the task's row, and so holds it until the transaction ends, if the lease is still the task's.
pub(super) const FENCE: &str = "UPDATE tasks SET generation = generation \
     WHERE id = $1 AND generation = $2 AND lease_owner = $3";
pub(super) const RENEW: &str = "UPDATE tasks SET lease_until_ms = $4 \
     WHERE id = $1 AND generation = $2 AND lease_owner = $3";
pub(super) const RELEASE: &str = "UPDATE tasks SET lease_owner = NULL, lease_until_ms = NULL \
     WHERE id = $1 AND generation = $2 AND lease_owner = $3";
pub(super) const DROP_LEASES: &str =
    "UPDATE tasks SET lease_owner = NULL, lease_until_ms = NULL WHERE active = 1";
pub(super) const CLEAR_RESOLVE: &str = "UPDATE tasks SET resolve = NULL \
     WHERE id = $1 AND generation = $2 AND lease_owner = $3";
pub(super) const UPDATE_TASK: &str = "UPDATE tasks \
     SET state = $4, active = $5, body = $6, updated_at_ms = $7 \
     WHERE id = $1 AND generation = $2 AND lease_owner = $3 AND active = 1";

pub(super) const REQUEST_CANCEL: &str = "UPDATE tasks SET cancel_requested = 1 WHERE id = $1 AND active = 1";
pub(super) const REQUEST_BANDWIDTH: &str = "UPDATE tasks SET bandwidth = $2 WHERE id = $1 AND active = 1";
pub(super) const REQUEST_RESOLVE: &str =
    "UPDATE tasks SET resolve = $2 WHERE id = $1 AND state = 'needs-attention'";

pub(super) const NEXT_SEQ: &str = "SELECT COALESCE(MAX(seq), 0) + 1 FROM task_log WHERE task_id = $1";
pub(super) const LOG_INTENT: &str = "INSERT INTO task_log (task_id, seq, at_ms, generation, step, intent) \
     VALUES ($1, $2, $3, $4, $5, $6)";
pub(super) const LOG_RESULT: &str = "UPDATE task_log SET result = $3 WHERE task_id = $1 AND seq = $2";
pub(super) const LOG: &str = "SELECT seq, at_ms, generation, step, intent, result FROM task_log \
     WHERE task_id = $1 ORDER BY seq";

pub(super) const NEXT_EVENT_ID: &str =
    "UPDATE counters SET value = value + 1 WHERE name = 'event' RETURNING value";
pub(super) const LAST_EVENT_ID: &str = "SELECT value FROM counters WHERE name = 'event'";
pub(super) const ADD_EVENT: &str = "INSERT INTO events (id, at_ms, task_id, body) VALUES ($1, $2, $3, $4)";
pub(super) const EVENTS_AFTER: &str = "SELECT id, at_ms, task_id, body FROM events \
     WHERE id > $1 ORDER BY id LIMIT $2";
pub(super) const TASK_EVENTS_AFTER: &str = "SELECT id, at_ms, task_id, body FROM events \
     WHERE id > $1 AND task_id = $3 ORDER BY id LIMIT $2";
pub(super) const PRUNE_EVENTS: &str = "DELETE FROM events \
     WHERE at_ms < $1 AND task_id IN (SELECT id FROM tasks WHERE active = 0)";

pub(super) const OWE: &str = "INSERT INTO debts (task_id, side, body, created_at_ms) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (task_id, side) DO NOTHING";
pub(super) const DEBTS: &str = "SELECT body FROM debts ORDER BY created_at_ms, task_id, side";
pub(super) const UPDATE_DEBT: &str = "UPDATE debts SET body = $3 WHERE task_id = $1 AND side = $2";
pub(super) const SETTLE_DEBT: &str = "DELETE FROM debts WHERE task_id = $1 AND side = $2";
