//! What a runner writes through: every write fenced, every change of the task an event.

use std::sync::Arc;
use std::time::Duration;

use api::task::{Phase, Task, TaskState};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Engine, Wish};
use crate::model::{DomainUuid, TaskId, Tenure};
use crate::store::{Debt, Decision, Lease, Store, StoreError};

/// An answer of the store's that took no longer than this proves that the lease is still held: it lasts for much longer.
const FRESH: Duration = Duration::from_secs(2);

/// Why a runner stops before its task is settled.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The lease is lost: another controller works on the task.
    #[error("another controller took the task over")]
    Fenced,
    /// The store failed.
    #[error("the database failed: {0}")]
    Store(#[source] StoreError),
    /// A host of the task's is not registered any more.
    #[error("{0} is not registered any more; register it again")]
    HostGone(String),
    /// What the store holds of the task makes no sense.
    #[error("the stored task cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Fenced => Self::Fenced,
            other => Self::Store(other),
        }
    }
}

/// A runner's hold on its task.
pub struct Handle {
    engine: Arc<Engine>,
    store: Arc<dyn Store>,
    lease: Lease,
    task: Task,
    wishes: watch::Receiver<Wish>,
    tenure: Tenure,
    /// A decision of this time, or an earlier one, does not hold any more.
    void_until_ms: Option<u64>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("lease", &self.lease).finish_non_exhaustive()
    }
}

impl Handle {
    pub(super) fn new(
        engine: Arc<Engine>,
        store: Arc<dyn Store>,
        lease: Lease,
        task: Task,
        wishes: watch::Receiver<Wish>,
        tenure: Tenure,
    ) -> Self {
        Self { engine, store, lease, task, wishes, tenure, void_until_ms: None }
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.lease.task
    }

    /// How long the lease surely lasts, for what goes on by itself.
    #[must_use]
    pub fn tenure(&self) -> Tenure {
        self.tenure.clone()
    }

    /// The task as it was last stored.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.engine.clock().now_ms()
    }

    /// Follows what is asked of the task, from what was last read by [`Handle::wish`] on.
    #[must_use]
    pub fn wishes(&self) -> watch::Receiver<Wish> {
        self.wishes.clone()
    }

    /// What is asked of the task now.
    #[must_use]
    pub fn wish(&mut self) -> Wish {
        let wish = *self.wishes.borrow_and_update();
        let holds = |decision: &Decision| self.void_until_ms.is_none_or(|void_ms| decision.at_ms > void_ms);
        Wish { resolve: wish.resolve.filter(holds), ..wish }
    }

    /// Writes what is about to be done; only when this has returned may it be done.
    ///
    /// # Errors
    /// Fenced, or the store failed: then it must not be done.
    pub async fn intend(&self, step: &str, intent: &impl Serialize) -> Result<i64, Stop> {
        let intent = serde_json::to_value(intent)?;
        hook::at(step, hook::Point::BeforeIntent);
        let asked = Instant::now();
        let seq = self.store.log_intent(&self.lease, step, &intent, self.now_ms()).await?;
        hook::at(step, hook::Point::AfterIntent);
        self.still_ours(asked).await?;
        Ok(seq)
    }

    /// A controller that is stopped (a frozen process, a hung disk) between a write and its act must not act when it goes on
    /// after another has taken the task over: the lease is asked for again until the answer is fresh.
    async fn still_ours(&self, mut asked: Instant) -> Result<(), Stop> {
        while asked.elapsed() > FRESH {
            asked = Instant::now();
            self.store.renew(&self.lease, self.engine.lease_end()).await?;
        }
        Ok(())
    }

    /// Writes what came of it.
    ///
    /// # Errors
    /// Fenced, or the store failed.
    pub async fn came_to(&self, step: &str, seq: i64, result: &impl Serialize) -> Result<(), Stop> {
        let result = serde_json::to_value(result)?;
        hook::at(step, hook::Point::BeforeResult);
        self.store.log_result(&self.lease, seq, &result).await?;
        hook::at(step, hook::Point::AfterResult);
        Ok(())
    }

    /// Changes the task and tells everyone who follows it.
    ///
    /// # Errors
    /// Fenced, or the store failed.
    pub async fn update(&mut self, change: impl FnOnce(&mut Task)) -> Result<(), Stop> {
        let mut task = self.task.clone();
        change(&mut task);
        task.updated_at_ms = self.now_ms();
        let event = self.store.update(&self.lease, &task).await?;
        self.task = task;
        self.engine.announce(event.id);
        Ok(())
    }

    /// Stores how the task ended, and what `also` adds to that. Nothing is written to it afterwards.
    ///
    /// # Errors
    /// Fenced, or the store failed.
    pub async fn end(
        &mut self,
        state: TaskState,
        message: String,
        cause: Option<String>,
        also: impl FnOnce(&mut Task),
    ) -> Result<(), Stop> {
        let now_ms = self.now_ms();
        self.update(|task| {
            (task.state, task.phase, task.message, task.cause) = (state, Phase::Ended, message, cause);
            task.ended_at_ms = Some(now_ms);
            // Nothing is on its way any more: what it came to is told by the outcome.
            task.progress = None;
            also(task);
        })
        .await
    }

    /// Notes in what is owed of a domain that this host has it now: a leftover of an earlier migration is removed only while it is seen
    /// there.
    ///
    /// # Errors
    /// The store failed.
    pub async fn owned_by(&self, domain: DomainUuid, host: &str) -> Result<(), Stop> {
        for debt in self.store.debts().await? {
            if debt.domain == domain && debt.owner != host && debt.host != host {
                self.store.update_debt(&Debt { owner: host.to_owned(), ..debt }).await?;
            }
        }
        Ok(())
    }

    /// Notes that something may be left on a host that does not answer.
    ///
    /// # Errors
    /// Fenced, or the store failed.
    pub async fn owe(&self, debt: &Debt) -> Result<(), Stop> {
        Ok(self.store.owe(&self.lease, debt).await?)
    }

    /// Takes a person's decision back: what it was made upon has changed. Only one that is made from now on counts.
    ///
    /// # Errors
    /// Fenced, or the store failed; it counts no more all the same.
    pub async fn decision_is_void(&mut self) -> Result<(), Stop> {
        self.void_until_ms =
            self.wishes.borrow().resolve.map(|decision| decision.at_ms).or(self.void_until_ms);
        Ok(self.store.clear_resolve(&self.lease).await?)
    }
}

/// The points at which a test may have the controller die: right before and after each write of the log. Only development
/// builds have them.
mod hook {
    /// Where.
    #[derive(Clone, Copy, Debug)]
    pub(super) enum Point {
        BeforeIntent,
        AfterIntent,
        BeforeResult,
        AfterResult,
    }

    #[cfg(not(debug_assertions))]
    pub(super) fn at(_step: &str, _point: Point) {}

    /// Dies as by SIGKILL when `FERRYD_DIE_AT` names this point (`resume-destination:AfterIntent`).
    #[cfg(debug_assertions)]
    pub(super) fn at(step: &str, point: Point) {
        let here = format!("{step}:{point:?}");
        if std::env::var("FERRYD_DIE_AT").is_ok_and(|wanted| wanted == here) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}
