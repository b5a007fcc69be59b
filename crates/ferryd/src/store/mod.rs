//! What survives a restart: registered hosts, tasks, the log of their steps, and events.
//!
//! Every write that belongs to a task under way is **fenced**: it names the [`Lease`] it is made under, and changes nothing
//! unless that lease's generation and owner are still the task's. A controller that wakes up after another one has taken
//! its task over gets [`StoreError::Fenced`] and must stop at once. (A lease that has run out but that nobody else took
//! still writes: nobody else has done anything in between.)

use api::event::Event;
use api::task::{ResolveRequest, Side, Task, TaskQuery};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::{DomainUuid, TaskId};

mod codec;
mod sql;
pub mod sqlite;

/// A registered host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// The registered name (unique).
    pub name: String,
    /// libvirt URI as `ferryd` opens it.
    pub uri: String,
    /// libvirt URI by which other hosts reach it, where it differs.
    pub peer_uri: Option<String>,
    /// The address or network by which migrations to it send the memory.
    #[serde(default)]
    pub migrate_via: Option<String>,
}

/// A task as it is created.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    /// The task as clients see it; its `state` is `queued`.
    pub task: Task,
    /// Everything needed to do the work (the plan), opaque to the store.
    pub plan: serde_json::Value,
}

impl NewTask {
    /// A task with the plan of its work.
    ///
    /// # Errors
    /// The plan cannot be written as JSON.
    pub fn of(task: Task, plan: &impl Serialize) -> Result<Self> {
        match serde_json::to_value(plan) {
            Ok(plan) => Ok(Self { task, plan }),
            Err(source) => Err(StoreError::Corrupt { what: format!("plan of task {}", task.id), source }),
        }
    }
}

/// A stored task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRecord {
    /// The task as clients see it.
    pub task: Task,
    /// The plan it was created with.
    pub plan: serde_json::Value,
    /// Somebody asked to cancel it.
    pub cancel_requested: bool,
    /// A person decided, and it has not been acted upon.
    pub resolve: Option<Decision>,
    /// The limit of the bandwidth that somebody asked for last.
    pub bandwidth: Option<BandwidthWish>,
}

/// A limit of the bandwidth that was asked for while the task was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BandwidthWish {
    /// The limit.
    pub mib_s: u64,
    /// When it was asked for, in milliseconds since 1970: the last one counts.
    pub at_ms: u64,
}

/// A person's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whose copy stays.
    pub keep: Side,
    /// The other host is vouched to be off.
    pub fenced: bool,
    /// When it was made, in milliseconds since 1970: what tells it from an equal one that was made before, and no longer holds.
    pub at_ms: u64,
}

impl Decision {
    /// What was asked, at this time.
    #[must_use]
    pub fn new(request: ResolveRequest, at_ms: u64) -> Self {
        Self { keep: request.keep, fenced: request.fenced, at_ms }
    }
}

/// The right to work on a task, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The task.
    pub task: TaskId,
    /// Who holds it: one value per run of a controller.
    pub owner: String,
    /// Grows by one each time the lease is taken.
    pub generation: i64,
}

/// One line of a task's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Rising number within the task, from 1.
    pub seq: i64,
    /// When it was written.
    pub at_ms: u64,
    /// The generation it was written under.
    pub generation: i64,
    /// The step's name.
    pub step: String,
    /// What is about to be done, with the manifest of what it creates; written before the step acts.
    pub intent: serde_json::Value,
    /// What came of it; none while the step is under way, or when a crash came between.
    pub result: Option<serde_json::Value>,
}

/// What an ended task may have left on a host that did not answer. The log of the task proves that the copy there is not the
/// domain any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    /// The task that left it.
    pub task: TaskId,
    /// The domain.
    pub domain: DomainUuid,
    /// Which side of the migration it is on.
    pub side: Side,
    /// The registered host it is on.
    pub host: String,
    /// The registered host that has the domain; of later migrations the one they ended at.
    pub owner: String,
    /// When it was noted.
    pub at_ms: u64,
    /// Whether somebody has started the copy since: then it is not a leftover any more, but a person's.
    #[serde(default)]
    pub started: Started,
    /// The domain was seen to be gone there: only files and storage pools may be left, and a domain there is somebody else's.
    #[serde(default)]
    pub copy_gone: bool,
}

/// What has become of a leftover that was to be removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Started {
    /// Nobody was seen to start it.
    #[default]
    No,
    /// Somebody did.
    Yes,
    /// Somebody did while the owner's copy ran: both are suspended, and a person is to be asked.
    Twice,
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A host of that name is registered.
    #[error("a host of this name is registered already")]
    HostExists,
    /// Another task that has not ended works on the same domain.
    #[error("task {0} is already at work on this virtual machine")]
    DomainBusy(TaskId),
    /// There is no such task.
    #[error("there is no task {0}")]
    NoSuchTask(TaskId),
    /// Another controller has taken the task over; the caller must stop.
    #[error("the task was taken over by another controller")]
    Fenced,
    /// The task has ended (or is not in the state the write needs).
    #[error("the task has ended")]
    Ended,
    /// What is stored cannot be read.
    #[error("stored {what} cannot be read")]
    Corrupt {
        /// Which record.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The database's tables are not those of this Ferry, and cannot be made so.
    #[error("the database's tables cannot be brought up to date")]
    Schema(#[from] sqlx::migrate::MigrateError),
}

/// Result of a store call.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A database of Ferry's. All times are passed in (milliseconds since the Unix epoch); the store has no clock.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// All registered hosts, by name.
    async fn hosts(&self) -> Result<Vec<HostRecord>>;
    /// Registers a host. Fails with [`StoreError::HostExists`].
    async fn add_host(&self, host: &HostRecord, now_ms: u64) -> Result<()>;
    /// Removes a host; false when there was none.
    async fn remove_host(&self, name: &str) -> Result<bool>;

    /// Creates a task and its first event. At most one task that has not ended may exist per domain: a unique index decides,
    /// also between two that arrive at once ([`StoreError::DomainBusy`]).
    async fn create_task(&self, new: &NewTask) -> Result<Event>;
    /// One task.
    async fn task(&self, id: TaskId) -> Result<Option<TaskRecord>>;
    /// Tasks by filter, newest first, at most `limit`.
    async fn tasks(&self, query: &TaskQuery, limit: u32) -> Result<Vec<Task>>;
    /// The task that has not ended and works on this domain.
    async fn active_task(&self, domain: DomainUuid) -> Result<Option<TaskId>>;
    /// Tasks that have not ended and whose lease is free or has run out at `now_ms`, oldest first. Tasks that need attention are
    /// among them: the hosts may have come to an answer by themselves.
    async fn claimable(&self, now_ms: u64) -> Result<Vec<TaskId>>;

    /// Takes the lease of a task whose lease is free or has run out; none when it is held (also by the same owner), the task
    /// has ended, or there is none.
    async fn lease(&self, id: TaskId, owner: &str, now_ms: u64, until_ms: u64) -> Result<Option<Lease>>;
    /// Takes all leases back. Only for a store that one controller uses alone and has locked: then whoever held a lease is gone.
    /// Generations stay, so that the next lease is a higher one.
    async fn drop_leases(&self) -> Result<()>;
    /// Keeps the lease until `until_ms`. Fenced.
    async fn renew(&self, lease: &Lease, until_ms: u64) -> Result<()>;
    /// Gives the lease back, so that the task can be claimed at once. Fenced; the lease cannot be used again.
    async fn release(&self, lease: &Lease) -> Result<()>;
    /// Writes what a step is about to do, and returns its number. Fenced.
    async fn log_intent(
        &self,
        lease: &Lease,
        step: &str,
        intent: &serde_json::Value,
        now_ms: u64,
    ) -> Result<i64>;
    /// Writes what came of it, also of an intent that an earlier generation wrote. Fenced. Both writes to the log work on a
    /// task that has just ended, as long as the lease is held.
    async fn log_result(&self, lease: &Lease, seq: i64, result: &serde_json::Value) -> Result<()>;
    /// The whole log of a task, in order.
    async fn log(&self, id: TaskId) -> Result<Vec<LogEntry>>;
    /// Stores the task as it is now together with its event, in one transaction. Fenced. A final state ends the task: its
    /// domain is free for the next one, and a later update fails with [`StoreError::Ended`]. A task that needs attention
    /// has not ended. The event's time is the task's `updated_at_ms`.
    async fn update(&self, lease: &Lease, task: &Task) -> Result<Event>;

    /// Notes that the task shall be cancelled; noting it again is no error. Fails with [`StoreError::Ended`] when the
    /// task has ended, with [`StoreError::NoSuchTask`] when there is none. Not fenced: anyone may ask.
    async fn request_cancel(&self, id: TaskId) -> Result<()>;
    /// Notes a person's decision on a task that needs attention; a later decision replaces one that was not acted upon.
    /// Fails with [`StoreError::Ended`] when it does not need any, with [`StoreError::NoSuchTask`] when there is none.
    async fn request_resolve(&self, id: TaskId, decision: &Decision) -> Result<()>;
    /// Notes the limit of the bandwidth that is asked for; a later one replaces it. Fails with [`StoreError::Ended`] when the task has
    /// ended, with [`StoreError::NoSuchTask`] when there is none. Not fenced: anyone may ask.
    async fn request_bandwidth(&self, id: TaskId, wish: &BandwidthWish) -> Result<()>;
    /// Forgets the decision, which does not hold any more. Fenced.
    async fn clear_resolve(&self, lease: &Lease) -> Result<()>;

    /// Notes that something may be left on a host that did not answer. Noting the same again changes nothing. Fenced.
    async fn owe(&self, lease: &Lease, debt: &Debt) -> Result<()>;
    /// Creates a task in the place of a debt, in one transaction; otherwise as [`Store::create_task`].
    async fn create_task_instead(&self, new: &NewTask, debt: &Debt) -> Result<Event>;
    /// Notes what has become of a leftover ([`Debt::started`]) or of its owner ([`Debt::owner`]); no debt of that task on that side is success.
    async fn update_debt(&self, debt: &Debt) -> Result<()>;
    /// What is still to be removed, oldest first.
    async fn debts(&self) -> Result<Vec<Debt>>;
    /// Forgets what was removed; no debt of that task on that side is success.
    async fn settle_debt(&self, debt: &Debt) -> Result<()>;

    /// Events after this id, in order, at most `limit`; of one task where given.
    async fn events_after(&self, after: i64, task: Option<TaskId>, limit: u32) -> Result<Vec<Event>>;
    /// The id of the newest event there ever was, 0 before the first. Ids are never given twice, and an event that can be
    /// seen has no event with a smaller id that cannot be seen yet.
    async fn last_event_id(&self) -> Result<i64>;
    /// Removes events older than `before_ms` of tasks that have ended; returns how many.
    async fn prune_events(&self, before_ms: u64) -> Result<u64>;
}
