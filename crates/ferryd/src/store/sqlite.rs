//! The store in a SQLite file.
//!
//! One connection writes, a few read: SQLite has one writer anyway, and waiting for it in a queue of ours is fair where
//! waiting in SQLite's is luck. The log is written ahead (WAL), so readers never wait for the writer; `synchronous=FULL`,
//! because what was decided about a virtual machine must be known after a power cut.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use api::event::Event;
use api::task::{Task, TaskQuery};
use async_trait::async_trait;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Row, SqlSafeStr, Sqlite, Transaction};

use super::{
    BandwidthWish, Debt, Decision, HostRecord, Lease, LogEntry, NewTask, Result, Store, StoreError,
    TaskRecord, codec, sql,
};
use crate::model::{DomainUuid, TaskId};

/// How long a statement waits for another process that has the file locked (a person with the `sqlite3` shell).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that read.
const READERS: u32 = 4;

/// A [`Store`] in a SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the file, creates it where there is none, and brings its tables up to date.
    ///
    /// # Errors
    /// [`StoreError::Database`] when the file cannot be opened, [`StoreError::Schema`] when its tables cannot be brought up
    /// to date (they belong to a newer Ferry, say).
    pub async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        schema().run(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.pragma("query_only", "ON"))
            .await?;
        Ok(Self { writer, readers })
    }

    /// Waits for what is under way and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// How safe a write is: the journal's mode, SQLite's `synchronous` (2 is FULL) and whether foreign keys are checked.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn durability(&self) -> Result<(String, i64, i64)> {
        Ok((
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&self.writer).await?,
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(&self.writer).await?,
            sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&self.writer).await?,
        ))
    }

    /// Stores a task with its first event and, in the same transaction, forgets the debt that it stands for.
    async fn insert_task(&self, new: &NewTask, debt: Option<&Debt>) -> Result<Event> {
        let task = &new.task;
        let body = codec::encode("the task", task)?;
        let mut tx = self.writer.begin().await?;
        sqlx::query(sql::ADD_TASK)
            .bind(task.id.to_string())
            .bind(codec::word("the task's kind", task.kind)?)
            .bind(codec::word("the task's state", task.state)?)
            .bind(task.vm_uuid.to_string())
            .bind(&task.vm)
            .bind(codec::encode("the task's plan", &new.plan)?)
            .bind(&body)
            .bind(codec::to_db(task.created_at_ms))
            .bind(codec::to_db(task.updated_at_ms))
            .execute(&mut *tx)
            .await?;
        let event = add_event(&mut tx, task, &body).await?;
        if let Some(debt) = debt {
            sqlx::query(sql::SETTLE_DEBT)
                .bind(debt.task.to_string())
                .bind(codec::word("the debt's side", debt.side)?)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(event)
    }

    async fn create(&self, new: &NewTask, debt: Option<&Debt>) -> Result<Event> {
        let refused = match self.insert_task(new, debt).await {
            Err(StoreError::Database(error)) if is_unique_violation(&error) => error,
            created => return created,
        };
        match self.active_task(DomainUuid(new.task.vm_uuid)).await? {
            Some(other) if other.0 != new.task.id => Err(StoreError::DomainBusy(other)),
            // The task in the way has ended between the two statements: the domain is free now.
            None => self.insert_task(new, debt).await,
            // The same task, created twice: a fault of the caller's.
            Some(_) => Err(refused.into()),
        }
    }

    /// One fenced statement. `statement` takes the lease's task, generation and owner as its first parameters.
    async fn fenced(&self, lease: &Lease, statement: &'static str, until_ms: Option<u64>) -> Result<()> {
        let mut query =
            sqlx::query(statement).bind(lease.task.to_string()).bind(lease.generation).bind(&lease.owner);
        if let Some(until_ms) = until_ms {
            query = query.bind(codec::to_db(until_ms));
        }
        match query.execute(&self.writer).await?.rows_affected() {
            0 => Err(StoreError::Fenced),
            _ => Ok(()),
        }
    }

    /// Begins a transaction that only the holder of the lease may make.
    async fn fence(&self, lease: &Lease) -> Result<Transaction<'static, Sqlite>> {
        let mut tx = self.writer.begin().await?;
        let held = sqlx::query(sql::FENCE)
            .bind(lease.task.to_string())
            .bind(lease.generation)
            .bind(&lease.owner)
            .execute(&mut *tx)
            .await?;
        if held.rows_affected() == 0 { Err(StoreError::Fenced) } else { Ok(tx) }
    }

    /// Why a request that only a task in a certain state takes changed nothing.
    async fn why_not(&self, id: TaskId) -> Result<StoreError> {
        let row = sqlx::query(sql::TASK_ACTIVE).bind(id.to_string()).fetch_optional(&self.readers).await?;
        Ok(if row.is_some() { StoreError::Ended } else { StoreError::NoSuchTask(id) })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn hosts(&self) -> Result<Vec<HostRecord>> {
        let rows = sqlx::query(sql::HOSTS).fetch_all(&self.readers).await?;
        rows.iter()
            .map(|row| {
                Ok(HostRecord {
                    name: row.try_get("name")?,
                    uri: row.try_get("uri")?,
                    peer_uri: row.try_get("peer_uri")?,
                    migrate_via: row.try_get("migrate_via")?,
                })
            })
            .collect()
    }

    async fn add_host(&self, host: &HostRecord, now_ms: u64) -> Result<()> {
        let added = sqlx::query(sql::ADD_HOST)
            .bind(&host.name)
            .bind(&host.uri)
            .bind(&host.peer_uri)
            .bind(&host.migrate_via)
            .bind(codec::to_db(now_ms))
            .execute(&self.writer)
            .await;
        match added {
            Ok(_) => Ok(()),
            Err(error) if is_unique_violation(&error) => Err(StoreError::HostExists),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove_host(&self, name: &str) -> Result<bool> {
        let removed = sqlx::query(sql::REMOVE_HOST).bind(name).execute(&self.writer).await?;
        Ok(removed.rows_affected() > 0)
    }

    async fn create_task(&self, new: &NewTask) -> Result<Event> {
        self.create(new, None).await
    }

    async fn create_task_instead(&self, new: &NewTask, debt: &Debt) -> Result<Event> {
        self.create(new, Some(debt)).await
    }

    async fn task(&self, id: TaskId) -> Result<Option<TaskRecord>> {
        let row = sqlx::query(sql::TASK).bind(id.to_string()).fetch_optional(&self.readers).await?;
        row.map(|row| task_record(id, &row)).transpose()
    }

    async fn tasks(&self, query: &TaskQuery, limit: u32) -> Result<Vec<Task>> {
        let state = query.state.map(|state| codec::word("a task's state", state)).transpose()?;
        let kind = query.kind.map(|kind| codec::word("a task's kind", kind)).transpose()?;
        let statement = if query.vm_uuid.is_some() { sql::TASKS_OF_DOMAIN } else { sql::TASKS };
        let mut wanted = sqlx::query(statement)
            .bind(query.vm.as_deref())
            .bind(state)
            .bind(query.active.map(i32::from))
            .bind(kind)
            .bind(i64::from(limit));
        if let Some(uuid) = query.vm_uuid {
            wanted = wanted.bind(DomainUuid(uuid).to_string());
        }
        let rows = wanted.fetch_all(&self.readers).await?;
        rows.iter().map(|row| codec::task(row.try_get("id")?, row.try_get("body")?)).collect()
    }

    async fn active_task(&self, domain: DomainUuid) -> Result<Option<TaskId>> {
        let id: Option<String> = sqlx::query_scalar(sql::ACTIVE_TASK)
            .bind(domain.to_string())
            .fetch_optional(&self.readers)
            .await?;
        id.map(codec::task_id).transpose()
    }

    async fn claimable(&self, now_ms: u64) -> Result<Vec<TaskId>> {
        let ids: Vec<String> =
            sqlx::query_scalar(sql::CLAIMABLE).bind(codec::to_db(now_ms)).fetch_all(&self.readers).await?;
        ids.into_iter().map(codec::task_id).collect()
    }

    async fn lease(&self, id: TaskId, owner: &str, now_ms: u64, until_ms: u64) -> Result<Option<Lease>> {
        let generation: Option<i64> = sqlx::query_scalar(sql::LEASE)
            .bind(id.to_string())
            .bind(owner)
            .bind(codec::to_db(now_ms))
            .bind(codec::to_db(until_ms))
            .fetch_optional(&self.writer)
            .await?;
        Ok(generation.map(|generation| Lease { task: id, owner: owner.to_owned(), generation }))
    }

    async fn renew(&self, lease: &Lease, until_ms: u64) -> Result<()> {
        self.fenced(lease, sql::RENEW, Some(until_ms)).await
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        self.fenced(lease, sql::RELEASE, None).await
    }

    async fn log_intent(
        &self,
        lease: &Lease,
        step: &str,
        intent: &serde_json::Value,
        now_ms: u64,
    ) -> Result<i64> {
        let task = lease.task.to_string();
        let mut tx = self.fence(lease).await?;
        let seq: i64 = sqlx::query_scalar(sql::NEXT_SEQ).bind(&task).fetch_one(&mut *tx).await?;
        sqlx::query(sql::LOG_INTENT)
            .bind(&task)
            .bind(seq)
            .bind(codec::to_db(now_ms))
            .bind(lease.generation)
            .bind(step)
            .bind(codec::encode("the intent", intent)?)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(seq)
    }

    async fn log_result(&self, lease: &Lease, seq: i64, result: &serde_json::Value) -> Result<()> {
        let mut tx = self.fence(lease).await?;
        let written = sqlx::query(sql::LOG_RESULT)
            .bind(lease.task.to_string())
            .bind(seq)
            .bind(codec::encode("the result", result)?)
            .execute(&mut *tx)
            .await?;
        if written.rows_affected() == 0 {
            return Err(sqlx::Error::RowNotFound.into());
        }
        Ok(tx.commit().await?)
    }

    async fn log(&self, id: TaskId) -> Result<Vec<LogEntry>> {
        let rows = sqlx::query(sql::LOG).bind(id.to_string()).fetch_all(&self.readers).await?;
        rows.iter().map(|row| log_entry(id, row)).collect()
    }

    async fn update(&self, lease: &Lease, task: &Task) -> Result<Event> {
        let body = codec::encode("the task", task)?;
        let mut tx = self.fence(lease).await?;
        let written = sqlx::query(sql::UPDATE_TASK)
            .bind(lease.task.to_string())
            .bind(lease.generation)
            .bind(&lease.owner)
            .bind(codec::word("the task's state", task.state)?)
            .bind(i32::from(!task.state.is_final()))
            .bind(&body)
            .bind(codec::to_db(task.updated_at_ms))
            .execute(&mut *tx)
            .await?;
        if written.rows_affected() == 0 {
            return Err(StoreError::Ended);
        }
        let event = add_event(&mut tx, task, &body).await?;
        tx.commit().await?;
        Ok(event)
    }

    async fn request_cancel(&self, id: TaskId) -> Result<()> {
        let noted = sqlx::query(sql::REQUEST_CANCEL).bind(id.to_string()).execute(&self.writer).await?;
        if noted.rows_affected() == 0 { Err(self.why_not(id).await?) } else { Ok(()) }
    }

    async fn request_resolve(&self, id: TaskId, decision: &Decision) -> Result<()> {
        let noted = sqlx::query(sql::REQUEST_RESOLVE)
            .bind(id.to_string())
            .bind(codec::encode("the decision", decision)?)
            .execute(&self.writer)
            .await?;
        if noted.rows_affected() == 0 { Err(self.why_not(id).await?) } else { Ok(()) }
    }

    async fn request_bandwidth(&self, id: TaskId, wish: &BandwidthWish) -> Result<()> {
        let noted = sqlx::query(sql::REQUEST_BANDWIDTH)
            .bind(id.to_string())
            .bind(codec::encode("the limit", wish)?)
            .execute(&self.writer)
            .await?;
        if noted.rows_affected() == 0 { Err(self.why_not(id).await?) } else { Ok(()) }
    }

    async fn clear_resolve(&self, lease: &Lease) -> Result<()> {
        self.fenced(lease, sql::CLEAR_RESOLVE, None).await
    }

    async fn drop_leases(&self) -> Result<()> {
        sqlx::query(sql::DROP_LEASES).execute(&self.writer).await?;
        Ok(())
    }

    async fn owe(&self, lease: &Lease, debt: &Debt) -> Result<()> {
        let mut tx = self.fence(lease).await?;
        sqlx::query(sql::OWE)
            .bind(debt.task.to_string())
            .bind(codec::word("the debt's side", debt.side)?)
            .bind(codec::encode("the debt", debt)?)
            .bind(codec::to_db(debt.at_ms))
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    async fn debts(&self) -> Result<Vec<Debt>> {
        let bodies: Vec<String> = sqlx::query_scalar(sql::DEBTS).fetch_all(&self.readers).await?;
        bodies.iter().map(|body| codec::decode(|| "a debt".to_owned(), body)).collect()
    }

    async fn update_debt(&self, debt: &Debt) -> Result<()> {
        sqlx::query(sql::UPDATE_DEBT)
            .bind(debt.task.to_string())
            .bind(codec::word("the debt's side", debt.side)?)
            .bind(codec::encode("the debt", debt)?)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn settle_debt(&self, debt: &Debt) -> Result<()> {
        sqlx::query(sql::SETTLE_DEBT)
            .bind(debt.task.to_string())
            .bind(codec::word("the debt's side", debt.side)?)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    async fn events_after(&self, after: i64, task: Option<TaskId>, limit: u32) -> Result<Vec<Event>> {
        let statement = if task.is_some() { sql::TASK_EVENTS_AFTER } else { sql::EVENTS_AFTER };
        let mut query = sqlx::query(statement).bind(after).bind(i64::from(limit));
        if let Some(task) = task {
            query = query.bind(task.to_string());
        }
        query.fetch_all(&self.readers).await?.iter().map(event).collect()
    }

    async fn last_event_id(&self) -> Result<i64> {
        Ok(sqlx::query_scalar(sql::LAST_EVENT_ID).fetch_one(&self.readers).await?)
    }

    async fn prune_events(&self, before_ms: u64) -> Result<u64> {
        let pruned =
            sqlx::query(sql::PRUNE_EVENTS).bind(codec::to_db(before_ms)).execute(&self.writer).await?;
        Ok(pruned.rows_affected())
    }
}

/// Every change of the tables that there ever was, in order. A released file is never edited: a change is a new file.
fn schema() -> Migrator {
    let changes = [
        (1, "first", include_str!("schema/0001_first.sql")),
        (2, "transport", include_str!("schema/0002_transport.sql")),
        (3, "tasks of a domain", include_str!("schema/0003_tasks_of_a_domain.sql")),
    ];
    let changes = changes.map(|(version, name, text)| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, text.into_sql_str(), false)
    });
    let mut schema = Migrator::with_migrations(changes.to_vec());
    schema.dangerous_set_table_name("schema_changes");
    schema
}

/// Gives the event its number and stores it.
async fn add_event(tx: &mut Transaction<'_, Sqlite>, task: &Task, body: &str) -> Result<Event> {
    let id: i64 = sqlx::query_scalar(sql::NEXT_EVENT_ID).fetch_one(&mut **tx).await?;
    sqlx::query(sql::ADD_EVENT)
        .bind(id)
        .bind(codec::to_db(task.updated_at_ms))
        .bind(task.id.to_string())
        .bind(body)
        .execute(&mut **tx)
        .await?;
    Ok(Event { id, at_ms: task.updated_at_ms, task_id: task.id, task: task.clone() })
}

fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}

fn task_record(id: TaskId, row: &SqliteRow) -> Result<TaskRecord> {
    let resolve: Option<&str> = row.try_get("resolve")?;
    let bandwidth: Option<&str> = row.try_get("bandwidth")?;
    Ok(TaskRecord {
        task: codec::task(&id.to_string(), row.try_get("body")?)?,
        plan: codec::decode(|| format!("the plan of task {id}"), row.try_get("plan")?)?,
        cancel_requested: row.try_get::<i32, _>("cancel_requested")? != 0,
        resolve: resolve
            .map(|text| codec::decode(|| format!("the decision on task {id}"), text))
            .transpose()?,
        bandwidth: bandwidth
            .map(|text| codec::decode(|| format!("the limit of task {id}"), text))
            .transpose()?,
    })
}

fn log_entry(id: TaskId, row: &SqliteRow) -> Result<LogEntry> {
    let result: Option<&str> = row.try_get("result")?;
    Ok(LogEntry {
        seq: row.try_get("seq")?,
        at_ms: codec::from_db(row.try_get("at_ms")?),
        generation: row.try_get("generation")?,
        step: row.try_get("step")?,
        intent: codec::decode(|| format!("an intent of task {id}"), row.try_get("intent")?)?,
        result: result.map(|text| codec::decode(|| format!("a result of task {id}"), text)).transpose()?,
    })
}

fn event(row: &SqliteRow) -> Result<Event> {
    let id = row.try_get("id")?;
    Ok(Event {
        id,
        at_ms: codec::from_db(row.try_get("at_ms")?),
        task_id: codec::task_id(row.try_get("task_id")?)?.0,
        task: codec::decode(|| format!("event {id}"), row.try_get("body")?)?,
    })
}
