//! The durable engine: queue, lease, log, cancellation, recovery. Knows nothing of migration.
//!
//! ```text
//!   created ──lease──▶ running ──final state stored──▶ ended
//!      ▲                  │
//!      └── lease ran out ─┘   (controller died: the next lease has a higher generation)
//! ```
//! Invariants:
//! * one runner per task: it works under a [`Lease`], and every write of it is fenced by the lease's generation;
//! * a runner that loses its lease is dropped at its next await, and cannot write before that; what it left running by itself asks its
//!   [`Tenure`];
//! * there is no separate crash path: a task taken over is run by the same code as a new one, which begins by reading the
//!   log.

mod clock;
mod handle;
mod kinds;
mod queued;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::problem::{Code, Problem};
use api::task::{Offer, Phase, ResolveRequest, Side, Task, TaskKind, TaskState};
use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub use clock::Clock;
pub use handle::{Handle, Stop};
pub use kinds::Runners;
pub use queued::queued;

use crate::model::{TaskId, Tenure};
use crate::store::{BandwidthWish, Debt, Decision, Lease, LogEntry, NewTask, Store, StoreError, TaskRecord};

/// How long a lease lasts without being renewed.
const LEASE: Duration = Duration::from_secs(15);
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(4);
/// How long of it is counted upon, from the question on: the clocks of two controllers differ.
const COUNTED_UPON: Duration = Duration::from_secs(10);
/// How long a new limit of the bandwidth is waited for to hold before its asker is answered.
const LIMIT_HOLDS_WITHIN: Duration = Duration::from_secs(5);
/// How often tasks are looked for that nobody works on (their controller died).
const SWEEP: Duration = Duration::from_secs(5);

/// Does the work of tasks.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Works on a task until it is settled, from wherever its log says it stands.
    ///
    /// # Errors
    /// [`Stop`] when the work cannot go on here; the task stays as it is for whoever leases it next.
    async fn run(&self, record: TaskRecord, log: Vec<LogEntry>, handle: Handle) -> Result<(), Stop>;
}

/// What somebody asked of a running task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Stop.
    pub cancel: bool,
    /// Do this.
    pub resolve: Option<Decision>,
    /// Keep to this limit of the bandwidth.
    pub bandwidth: Option<BandwidthWish>,
}

/// Runs tasks.
pub struct Engine {
    store: Arc<dyn Store>,
    clock: Clock,
    owner: String,
    events: watch::Sender<i64>,
    work: Notify,
    running: Mutex<HashMap<TaskId, watch::Sender<Wish>>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine over this store. `owner` is another one for every run of a controller.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, owner: String) -> Arc<Self> {
        Arc::new(Self {
            store,
            clock,
            owner,
            events: watch::Sender::new(0),
            work: Notify::new(),
            running: Mutex::new(HashMap::new()),
        })
    }

    /// Changes whenever an event was stored; holds the newest event's id.
    #[must_use]
    pub fn events(&self) -> watch::Receiver<i64> {
        self.events.subscribe()
    }

    /// The engine's time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Stores a new task and has it begun.
    ///
    /// # Errors
    /// [`StoreError::DomainBusy`] when a task works on the same domain.
    pub async fn submit(&self, new: &NewTask) -> Result<Task, StoreError> {
        let event = self.store.create_task(new).await?;
        self.announce(event.id);
        self.work.notify_one();
        Ok(event.task)
    }

    /// The same for a task that stands in the place of a debt.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub async fn submit_instead(&self, new: &NewTask, debt: &Debt) -> Result<Task, StoreError> {
        let event = self.store.create_task_instead(new, debt).await?;
        self.announce(event.id);
        self.work.notify_one();
        Ok(event.task)
    }

    fn announce(&self, event_id: i64) {
        self.events.send_if_modified(|newest| {
            let newer = event_id > *newest;
            *newest = event_id.max(*newest);
            newer
        });
    }

    /// Works until dropped: begins new tasks, takes over those whose controller is gone.
    pub async fn serve(self: Arc<Self>, runner: Arc<dyn Runner>) {
        loop {
            if let Err(error) = self.claim_all(&runner).await {
                tracing::error!(%error, "tasks could not be claimed; tried again");
            }
            // Woken by new work; otherwise it is time for the sweep.
            let _ = tokio::time::timeout(SWEEP, self.work.notified()).await;
        }
    }

    async fn claim_all(self: &Arc<Self>, runner: &Arc<dyn Runner>) -> Result<(), StoreError> {
        for id in self.store.claimable(self.clock.now_ms()).await? {
            let (now_ms, asked) = (self.clock.now_ms(), Instant::now());
            if let Some(lease) = self.store.lease(id, &self.owner, now_ms, self.lease_end()).await? {
                tokio::spawn(self.clone().work_on(lease, asked, runner.clone()));
            }
        }
        Ok(())
    }

    fn lease_end(&self) -> u64 {
        self.clock.now_ms() + u64::try_from(LEASE.as_millis()).unwrap_or(0)
    }

    async fn work_on(self: Arc<Self>, lease: Lease, asked: Instant, runner: Arc<dyn Runner>) {
        let id = lease.task;
        let (wish, wishes) = watch::channel(Wish::default());
        let (until, tenure) = watch::channel(asked + COUNTED_UPON);
        self.running().insert(id, wish.clone());
        let ended = tokio::select! {
            // In a fixed order, here and elsewhere in the engine, so that a simulated history can be played again.
            biased;
            ended = self.run(&lease, runner, &wish, wishes, Tenure::new(tenure)) => ended,
            lost = self.keep_lease(&lease, &wish, &until) => Err(lost),
        };
        // What still goes on by itself ends with that.
        drop(until);
        self.running().remove(&id);
        match ended {
            Ok(()) => {}
            Err(Stop::Fenced) => {
                tracing::warn!(task.id = %id, "another controller took the task over");
                return;
            }
            Err(stop) => {
                tracing::error!(task.id = %id, error = %stop, "work on the task stopped; it is taken up again")
            }
        }
        // An error here only means that the lease runs out by itself.
        if let Err(error) = self.store.release(&lease).await {
            tracing::debug!(task.id = %id, %error, "the lease was not given back");
        }
    }

    async fn run(
        self: &Arc<Self>,
        lease: &Lease,
        runner: Arc<dyn Runner>,
        wish: &watch::Sender<Wish>,
        wishes: watch::Receiver<Wish>,
        tenure: Tenure,
    ) -> Result<(), Stop> {
        let record = self.store.task(lease.task).await?.ok_or(StoreError::NoSuchTask(lease.task))?;
        heed(wish, &record);
        let log = self.store.log(lease.task).await?;
        let handle =
            Handle::new(self.clone(), self.store.clone(), lease.clone(), record.task.clone(), wishes, tenure);
        runner.run(record, log, handle).await
    }

    /// Renews the lease, tells in `until` how long it lasts, and passes on what was asked of the task through another controller; ends
    /// when the lease is lost.
    async fn keep_lease(
        &self,
        lease: &Lease,
        wish: &watch::Sender<Wish>,
        until: &watch::Sender<Instant>,
    ) -> Stop {
        loop {
            match self.store.task(lease.task).await {
                Ok(Some(record)) => heed(wish, &record),
                Ok(None) => return Stop::Fenced,
                Err(error) => tracing::warn!(task.id = %lease.task, %error, "the task could not be read"),
            }
            tokio::time::sleep(RENEWAL).await;
            let asked = Instant::now();
            match self.store.renew(lease, self.lease_end()).await {
                Ok(()) => drop(until.send_replace(asked + COUNTED_UPON)),
                Err(StoreError::Fenced | StoreError::Ended) => return Stop::Fenced,
                Err(error) => tracing::warn!(task.id = %lease.task, %error, "the lease could not be renewed"),
            }
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<TaskId, watch::Sender<Wish>>> {
        // Only inserted into and removed from: a panic elsewhere leaves it whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wish(&self, id: TaskId, change: impl FnOnce(&mut Wish)) {
        if let Some(wish) = self.running().get(&id) {
            wish.send_modify(change);
        }
        self.work.notify_one();
    }

    /// Asks a task to stop; answers at once with the task as it is. What becomes of it is told by the task: cancelled, or too
    /// late and done.
    ///
    /// # Errors
    /// Unknown task, or one that has ended.
    pub async fn cancel(&self, id: TaskId) -> Result<Task, Problem> {
        match self.store.request_cancel(id).await {
            Err(StoreError::Ended) => return Err(nothing_to_cancel(&self.current(id).await?)),
            other => other.map_err(|error| refusal(id, error))?,
        }
        self.wish(id, |wish| wish.cancel = true);
        self.current(id).await
    }

    /// Takes a person's decision on a task that needs attention: one of those that the task offers.
    ///
    /// # Errors
    /// Unknown task, one that needs no decision, or a decision that is not offered.
    pub async fn resolve(&self, id: TaskId, request: ResolveRequest) -> Result<Task, Problem> {
        is_offered(&self.current(id).await?, request)?;
        let decision = Decision::new(request, self.clock.now_ms());
        self.store.request_resolve(id, &decision).await.map_err(|error| refusal(id, error))?;
        self.wish(id, |wish| wish.resolve = Some(decision));
        self.current(id).await
    }

    /// Asks a task to keep to another limit of the bandwidth, and waits a while for it to hold. The answer says which does
    /// (`bandwidth_mib_s`): the new one may have to wait until memory is copied.
    ///
    /// # Errors
    /// Unknown task, or one that does not copy any more.
    pub async fn limit_bandwidth(&self, id: TaskId, mib_s: u64) -> Result<Task, Problem> {
        let mut events = self.events();
        copies_still(&self.current(id).await?)?;
        let wish = BandwidthWish { mib_s, at_ms: self.clock.now_ms() };
        self.store.request_bandwidth(id, &wish).await.map_err(|error| refusal(id, error))?;
        self.wish(id, |known| known.bandwidth = Some(wish));
        let until = Instant::now() + LIMIT_HOLDS_WITHIN;
        loop {
            let task = self.current(id).await?;
            if task.bandwidth_mib_s == Some(mib_s) {
                return Ok(task);
            }
            // It may have taken effect right before the end: only that tells.
            let waits =
                !task.state.is_final() && tokio::time::timeout_at(until, events.changed()).await.is_ok();
            if !waits {
                return copies_still(&task).map(|()| task);
            }
        }
    }

    async fn current(&self, id: TaskId) -> Result<Task, Problem> {
        let record = self.store.task(id).await.map_err(|error| refusal(id, error))?;
        record.map(|record| record.task).ok_or_else(|| refusal(id, StoreError::NoSuchTask(id)))
    }
}

/// Passes on what is stored of the wishes. A wish is never taken back here: the record may have been read before it was stored. (A
/// decision that no longer holds is, by whoever works on the task: [`Handle::decision_is_void`].)
fn heed(wish: &watch::Sender<Wish>, record: &TaskRecord) {
    wish.send_if_modified(|known| {
        let asked = Wish {
            cancel: known.cancel || record.cancel_requested,
            resolve: [record.resolve, known.resolve].into_iter().flatten().max_by_key(|it| it.at_ms),
            bandwidth: [record.bandwidth, known.bandwidth].into_iter().flatten().max_by_key(|it| it.at_ms),
        };
        std::mem::replace(known, asked) != asked
    });
}

/// A decision that would only bring the same question again is not taken.
fn is_offered(task: &Task, request: ResolveRequest) -> Result<(), Problem> {
    let is_it = |offer: &Offer| (offer.keep, offer.fenced) == (request.keep, request.fenced);
    if task.state != TaskState::NeedsAttention || task.offers.iter().any(is_it) {
        return Ok(());
    }
    let (kept, other) = match request.keep {
        Side::Source => (&task.source, &task.destination),
        Side::Destination => (&task.destination, &task.source),
    };
    let same_side = task.offers.iter().find(|offer| offer.keep == request.keep);
    let (field, why) = match same_side {
        Some(offer) if offer.fenced => (
            "fenced",
            format!(
                "{other} does not answer: keeping {kept} needs your word (--fenced) that {other} is powered off and stays so"
            ),
        ),
        Some(_) => {
            ("fenced", format!("{other} answers, so nothing is to be vouched for (leave --fenced out)"))
        }
        None => ("keep", format!("keeping {kept} leads nowhere as both hosts are seen now")),
    };
    let offered: Vec<String> =
        task.offers.iter().map(|offer| format!("`{}` ({})", offer.command, offer.effect)).collect();
    let offered = match offered.is_empty() {
        true => format!("Nothing can be decided now; `ferry task show {}` tells why.", task.id),
        false => format!("Offered: {}", offered.join("; ")),
    };
    let detail = format!("{} was not decided so: {why}. Nothing was changed. {offered}", task.vm);
    Err(Problem::new(Code::BadValue, detail).field(field))
}

/// A limit is of use only to a task that has something left to copy.
fn copies_still(task: &Task) -> Result<(), Problem> {
    if task.kind != TaskKind::Migration {
        let detail =
            format!("Task {} copies nothing from host to host: it has no bandwidth to limit.", task.id);
        return Err(Problem::new(Code::TooLate, detail));
    }
    let at_it = matches!(task.state, TaskState::Queued | TaskState::Running);
    if at_it && matches!(task.phase, Phase::Queued | Phase::Prepare | Phase::Copy) {
        return Ok(());
    }
    Err(Problem::new(
        Code::TooLate,
        format!(
            "The migration of {} does not copy any more: its bandwidth cannot be limited. `ferry task show {}` tells how it is.",
            task.vm, task.id
        ),
    ))
}

/// What has ended is not stopped any more, and how it ended is what its asker wants to know.
fn nothing_to_cancel(task: &Task) -> Problem {
    let how = match task.state {
        TaskState::Cancelled => "was cancelled already",
        TaskState::Failed => "has failed already",
        _ => "has ended already",
    };
    let detail = format!("There is nothing to cancel: the task {how}. {}", task.message);
    Problem::new(Code::TooLate, detail.trim_end().to_owned())
}

fn refusal(id: TaskId, error: StoreError) -> Problem {
    match error {
        StoreError::Ended => Problem::new(
            Code::TooLate,
            format!(
                "Task {id} waits for no such thing: it has ended, or needs no decision. `ferry task show {id}` tells."
            ),
        ),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DomainUuid;

    fn asking(offers: &[(Side, bool)]) -> Task {
        let vm = ("web1", DomainUuid(uuid::Uuid::nil()));
        let task = queued(TaskId::new(), TaskKind::Migration, vm, ("kvm1", "kvm2"), String::new(), 0);
        let offer = |(keep, fenced): &(Side, bool)| Offer {
            keep: *keep,
            fenced: *fenced,
            command: format!("decide {keep:?}"),
            effect: "the price".to_owned(),
        };
        Task { state: TaskState::NeedsAttention, offers: offers.iter().map(offer).collect(), ..task }
    }

    #[test]
    fn what_has_ended_says_how_instead_of_being_cancelled() {
        let ended = |state, message: &str| Task { state, message: message.to_owned(), ..asking(&[]) };
        let said = |task: &Task| nothing_to_cancel(task).detail;
        assert_eq!(
            said(&ended(TaskState::Done, "web1 runs on kvm2.")),
            "There is nothing to cancel: the task has ended already. web1 runs on kvm2."
        );
        assert_eq!(
            said(&ended(TaskState::Cancelled, "")),
            "There is nothing to cancel: the task was cancelled already."
        );
    }

    #[test]
    fn a_decision_that_is_not_offered_is_refused_with_those_that_are() {
        let refused = |offers: &[(Side, bool)], keep, fenced| {
            let answer = is_offered(&asking(offers), ResolveRequest { keep, fenced });
            answer.err().map(|problem| {
                assert_eq!(problem.code, Code::BadValue);
                (problem.field.unwrap(), problem.detail)
            })
        };
        let destination = [(Side::Destination, true)];
        assert_eq!(refused(&destination, Side::Destination, true), None);
        let (field, said) = refused(&destination, Side::Destination, false).unwrap();
        assert!(field == "fenced" && said.contains("kvm1 does not answer"), "{said}");
        let (field, said) = refused(&destination, Side::Source, false).unwrap();
        assert!(field == "keep" && said.contains("keeping kvm1 leads nowhere"), "{said}");
        assert!(said.contains("Offered: `decide Destination` (the price)"), "{said}");
        let (field, said) = refused(&[(Side::Source, false)], Side::Source, true).unwrap();
        assert!(field == "fenced" && said.contains("kvm2 answers"), "{said}");
        assert!(refused(&[], Side::Source, false).unwrap().1.contains("Nothing can be decided now"));
        // One that asks nothing says so itself.
        let running = Task { state: TaskState::Running, ..asking(&[]) };
        assert!(is_offered(&running, ResolveRequest { keep: Side::Source, fenced: false }).is_ok());
    }
}
