//! The steps of one migration, from the lease of its task to its end.
//!
//! ```text
//!   prepare ──▶ perform ──▶ settle ──▶ end
//!      │           │  └ hand-over: source's QEMU proven dead ▶ resume the destination
//!      └───────────┴─────────▲   every failure, cancellation and restart goes here
//! ```
//! | step | does | a crash in the middle leaves |
//! |---|---|---|
//! | carry (where files go along) | see `carry` | gone on with, or removed |
//! | prepare | clears the source's autostart, has libvirt forget snapshots (`aside`) | both are restored where the domain ends, by `settle` |
//! | perform | libvirt's migration, the destination arriving paused | whatever libvirt makes of it; `settle` looks |
//! | (of a stopped domain) | its definition is written on the destination | none or two definitions, neither running; `settle` goes on or back |
//! | hand-over | resumes the destination, once the source's QEMU is proven dead | a paused destination; `settle` resumes it |
//! | settle | asks both hosts, decides, acts, asks again | the same question again |
//!
//! Invariants: intent is logged before each act; the destination is resumed only while the source cannot run; the source is
//! resumed only while the destination cannot run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api::task::{Phase, PostCopy, TaskState};
use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::again::Recovery;
use super::aside::Aside;
use super::carry::Passed;
use super::contact::Contact;
use super::held::Held;
use super::knowledge::{Came, begun, knowledge, run_of};
use super::leaving::Leaving;
use super::limit::Limit;
use super::manifest::{self, Made};
use super::monitor::Monitor;
use super::outcome::{Action, Ending, Knowledge};
use super::settle::{FIRST_PAUSE, Settled};
use super::timing::Timing;
use crate::hypervisor::Hypervisor;
use crate::libvirt::error::{HostError, NO_DOMAIN};
use crate::model::DomainUuid;
use crate::model::domain::{Answer, DomainEvent, HostSight, Run};
use crate::plan::Plan;
use crate::store::{LogEntry, TaskRecord};
use crate::task::{Handle, Runner, Stop};

/// Finds a registered host.
pub type Hosts = Arc<dyn Fn(&str) -> Option<Arc<dyn Hypervisor>> + Send + Sync>;

/// Name of the step that prepares.
pub const PREPARE: &str = "prepare";
/// Name of the step that hands the domain to libvirt.
pub const PERFORM: &str = "perform";

/// Moves domains: the runner of migration tasks.
pub struct Mover {
    hosts: Hosts,
    timing: Timing,
}

impl std::fmt::Debug for Mover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mover").field("timing", &self.timing).finish_non_exhaustive()
    }
}

impl Mover {
    /// A runner that finds its hosts through `hosts`.
    #[must_use]
    pub fn new(hosts: Hosts, timing: Timing) -> Self {
        Self { hosts, timing }
    }
}

#[async_trait]
impl Runner for Mover {
    async fn run(&self, record: TaskRecord, log: Vec<LogEntry>, mut handle: Handle) -> Result<(), Stop> {
        let plan: Plan = serde_json::from_value(record.plan)?;
        let find = |name: &str| (self.hosts)(name).ok_or_else(|| Stop::HostGone(name.to_owned()));
        let (source, destination) = (find(&plan.source)?, find(&plan.destination)?);
        let (know, begun_at_ms) = (knowledge(&plan, &log, &mut handle), handle.now_ms());
        let monitor = Monitor::new();
        let work = Work {
            plan,
            told: source.events(),
            aborting: Arc::default(),
            source,
            destination,
            handle,
            know,
            timing: self.timing,
            monitor,
            cause: None,
            stood: (record.task.phase == Phase::SwitchOver).then(Instant::now),
            run_stopped: false,
            decided_on: None,
            begun_at_ms,
            contact: Contact::default(),
            run: run_of(&log),
            downtime_set: false,
            linger_until: None,
            limit: Limit::of(&log),
            made: manifest::made(&log),
            spent: manifest::spent(&log),
            passed: Passed::default(),
            cleared: None,
            files_are_those: false,
            switch_tried: None,
            held: Held::default(),
            recovery: Recovery::default(),
            leaving: Leaving::of(&log),
            aside: Aside::of(&log),
        };
        work.go(&log).await
    }
}

/// One migration at work.
pub(super) struct Work {
    pub(super) plan: Plan,
    pub(super) source: Arc<dyn Hypervisor>,
    pub(super) destination: Arc<dyn Hypervisor>,
    pub(super) handle: Handle,
    /// What the source tells by itself, from the beginning on.
    pub(super) told: broadcast::Receiver<(DomainUuid, DomainEvent)>,
    /// An abort is under way.
    aborting: Arc<AtomicBool>,
    pub(super) know: Knowledge,
    pub(super) timing: Timing,
    pub(super) monitor: Monitor,
    /// The first thing that went wrong, in libvirt's or the system's words.
    pub(super) cause: Option<String>,
    /// When the source was last known to be as it says.
    pub(super) contact: Contact,
    /// Since when the source is known to have stood for the switch-over.
    pub(super) stood: Option<Instant>,
    /// The source told that the run which is moved has stopped.
    pub(super) run_stopped: bool,
    /// A person's decision, by its time, and whether the copy that is to go ran when it was made.
    pub(super) decided_on: Option<(u64, bool)>,
    /// When this ferryd took the task.
    pub(super) begun_at_ms: u64,
    /// The run of the source's that is moved.
    pub(super) run: Run,
    /// An adopted copy was told the longest pause allowed.
    pub(super) downtime_set: bool,
    /// A new limit of the bandwidth.
    pub(super) limit: Limit,
    /// Files that this task has made on the destination.
    pub(super) made: Vec<Made>,
    /// Files that it made there, used up, and removed again.
    pub(super) spent: Vec<Made>,
    /// The source's files were seen to be those that were carried, right before its definition goes.
    pub(super) files_are_those: bool,
    /// What came of removing them, for the end that it was done for.
    pub(super) cleared: Option<Ending>,
    /// What has become of the source's definition and images.
    pub(super) leaving: Leaving,
    /// What libvirt knows of its snapshots, on the way.
    pub(super) aside: Aside,
    /// How much of the files has passed.
    pub(super) passed: Passed,
    /// Until when a call that nobody has an answer of may still take effect.
    pub(super) linger_until: Option<Instant>,
    /// What comes to nothing again and again.
    pub(super) held: Held,
    /// When the switch to post-copy was last tried.
    pub(super) switch_tried: Option<Instant>,
    /// Post-copy that broke is joined again.
    pub(super) recovery: Recovery,
}

/// What came of an action.
#[derive(Debug)]
pub(super) enum Acted {
    /// The host did it.
    Done,
    /// It was not sent: what it was decided upon was too old by then.
    NotSent,
    /// The host did not, or did not answer.
    Failed(HostError),
}

/// The manifest of what the migration is about to create, by identity.
#[derive(Debug, Serialize)]
struct Manifest<'a> {
    /// The run of the source's that is handed over: another start of the domain there is not the guest.
    run: &'a Run,
    /// The domain (and, where persistent, its definition) that appears on the destination. The checks have seen that there
    /// was none of this UUID before.
    domain: DomainUuid,
    destination: &'a str,
    definition: bool,
    /// It may run there before all of its memory has arrived.
    post_copy: bool,
}

impl Work {
    async fn go(mut self, log: &[LogEntry]) -> Result<(), Stop> {
        let begun = self.plan.found_twice || begun(log);
        if !log.is_empty() {
            tracing::info!(migration.id = %self.handle.id(), "taken up again where its log ends");
            self.linger();
            self.note_if_it_was_carried(begun);
        }
        if !begun && self.await_hosts().await {
            // Somebody may have called it off meanwhile.
            self.know.wish(self.handle.wish());
            if !self.know.cancel {
                match self.prepare().await? {
                    Err(error) => self.note_failure("prepare", &error),
                    Ok(()) => {
                        if !self.carry_files().await? {
                            // What follows is decided as after every failure.
                        } else if self.plan.cold {
                            self.carry_over().await?;
                        } else if self.plan.files.carried.is_empty() || self.await_hosts().await {
                            // Carrying a base takes long: the run that is moved is the one that is there now.
                            self.know.post_copy = self.plan.post_copy == Some(PostCopy::Now);
                            self.perform().await?;
                        }
                    }
                }
            }
        }
        while self.settle().await? == Settled::GaveWay {
            self.begin_by_post_copy().await?;
        }
        Ok(())
    }

    /// A call that got no answer, or whose controller died, may still take effect: for a while "nothing happens" is no end.
    pub(super) fn linger(&mut self) {
        self.linger_until = Some(Instant::now() + self.timing.linger);
    }

    /// Waits until both hosts' libvirts have answered, for ever; what was seen then.
    pub(super) async fn both_answer(&self) -> (HostSight, HostSight) {
        let answers = async |host: &Arc<dyn Hypervisor>| -> HostSight {
            let mut pause = FIRST_PAUSE;
            loop {
                let sight = host.look(self.plan.domain).await;
                if !matches!(sight.domain, Answer::Unknown(_)) {
                    return sight;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(self.timing.look);
            }
        };
        tokio::join!(answers(&self.source), answers(&self.destination))
    }

    /// A controller that was just started may not be connected yet: nothing is begun, and so nothing fails, before both hosts
    /// have answered, or had as long to as any answer may take. False where one has not: which run is moved must be known.
    pub(super) async fn await_hosts(&mut self) -> bool {
        match tokio::time::timeout(self.timing.waited, self.both_answer()).await {
            Ok((source, _)) => {
                self.run = Run::seen(&source);
                true
            }
            Err(_) => {
                let reason = "a host did not answer before anything was begun";
                tracing::warn!(migration.id = %self.handle.id(), reason);
                self.cause.get_or_insert_with(|| reason.to_owned());
                false
            }
        }
    }

    /// A host that was powered off boots with its autostart: the source's is cleared before the start, so that it cannot bring
    /// up a second copy.
    pub(super) async fn prepare(&mut self) -> Result<Result<(), HostError>, Stop> {
        let (from, to) = (self.plan.source.clone(), self.plan.destination.clone());
        self.handle
            .update(|task| {
                task.state = TaskState::Running;
                task.phase = Phase::Prepare;
                task.message = format!("preparing {from} and {to}");
            })
            .await?;
        if self.plan.autostart {
            self.know.source_touched = true;
            let seq = self.handle.intend(PREPARE, &serde_json::json!({ "clear_autostart_on": from })).await?;
            let result = self.source.set_autostart(self.plan.domain, false).await;
            self.handle.came_to(PREPARE, seq, &Came::to(&result)).await?;
            if result.is_err() {
                return Ok(result);
            }
        }
        self.set_snapshots_aside().await
    }

    /// Stores the intent to hand the domain to libvirt.
    pub(super) async fn intend_perform(&mut self) -> Result<i64, Stop> {
        let manifest = Manifest {
            run: &self.run,
            domain: self.plan.domain,
            destination: &self.plan.destination,
            definition: self.plan.persistent,
            post_copy: self.know.post_copy,
        };
        let seq = self.handle.intend(PERFORM, &manifest).await?;
        self.know.not_begun = false;
        Ok(seq)
    }

    /// Nothing was sent after all: a definition on the destination is not this task's.
    pub(super) async fn not_sent(&mut self, seq: i64) -> Result<(), Stop> {
        self.know.not_begun = true;
        self.handle.came_to(PERFORM, seq, &Came::NotSent).await
    }

    /// Gives the destination the definition of a stopped domain. It is read from the source with everything in it, passwords too,
    /// which are in no log; who takes the task over reads it again.
    async fn carry_over(&mut self) -> Result<(), Stop> {
        let (from, to) = (self.plan.source.clone(), self.plan.destination.clone());
        let there = to.clone();
        self.handle
            .update(|task| {
                task.phase = Phase::Copy;
                task.message = format!("carrying the definition from {from} to {there}");
            })
            .await?;
        if !self.can_begin().await {
            return Ok(());
        }
        // Whoever stands still from here on acts on nothing: another may have taken the task over.
        let looked = Instant::now();
        let seq = self.intend_perform().await?;
        let (definition, snapshots) =
            tokio::join!(self.source.definition(self.plan.domain), self.snapshots_to_carry());
        let result = match (definition, snapshots) {
            (Ok(_), Ok(_)) if looked.elapsed() > self.timing.stale => {
                return self.not_sent(seq).await;
            }
            (Ok(definition), Ok(snapshots)) => match self.rewritten(definition, snapshots) {
                Some((definition, snapshots)) => self.define_there(&definition, &snapshots).await,
                None => return self.not_sent(seq).await,
            },
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        self.know.arrived = result.is_ok();
        self.handle.came_to(PERFORM, seq, &Came::to(&result)).await?;
        if let Err(error) = &result {
            self.note_failure(PERFORM, error);
        }
        Ok(())
    }

    /// Does one action that was decided upon by what was seen at `looked`: intent, act, result. An error of the host's is kept: what counts
    /// is what both hosts say afterwards. A controller that stood still meanwhile does nothing.
    pub(super) async fn act(&mut self, action: Action, looked: Instant) -> Result<Acted, Stop> {
        let name = action.name();
        let seq = self.handle.intend(&name, &serde_json::json!({ "domain": self.plan.domain })).await?;
        if looked.elapsed() > self.timing.stale {
            tracing::warn!(migration.id = %self.handle.id(), step = name, "not done: what was seen is too old by now");
            self.handle.came_to(&name, seq, &Came::NotSent).await?;
            return Ok(Acted::NotSent);
        }
        let before = self.know;
        self.know.intended(action);
        tracing::info!(migration.id = %self.handle.id(), domain.uuid = %self.plan.domain, step = name, "acting");
        let result = self.carry_out(action).await;
        let came = Came::to(&result);
        if matches!(came, Came::Refused(_)) {
            self.know = before;
        }
        self.know.came(action, Some(&came));
        if result.is_ok() && matches!(action, Action::ResumeDestination | Action::ResumeSource) {
            self.monitor.resumed();
        }
        self.handle.came_to(&name, seq, &came).await?;
        if let Err(error) = &result {
            self.note_failure(&name, error);
        }
        Ok(result.map_or_else(Acted::Failed, |()| Acted::Done))
    }

    async fn carry_out(&mut self, action: Action) -> Result<(), HostError> {
        let domain = self.plan.domain;
        let (source, destination) = (&self.source, &self.destination);
        match action {
            Action::AbortJob => {
                self.abort_beside();
                Ok(())
            }
            Action::CloseSockets => self.break_off_for_good().await,
            Action::ResumeSource => source.resume(domain).await,
            Action::ResumeDestination => destination.resume(domain).await,
            Action::DestroySource => source.destroy(domain).await,
            Action::DestroyDestination => destination.destroy(domain).await,
            Action::UndefineSource => {
                source.undefine(domain, self.plan.goes_from_source(self.know.arrived)).await
            }
            Action::UndefineDestination => {
                destination.undefine(domain, self.plan.goes_from_destination()).await
            }
            Action::DefineSource => match &self.plan.definition {
                Some(xml) => source.define(xml).await,
                None => Ok(()),
            },
            // It runs there without one that outlives its run: what it runs with is what it shall have.
            Action::DefineDestination => match destination.definition(domain).await {
                Ok(xml) => destination.define(&xml).await,
                // Nothing of it is there, and a person vouches that the source is gone for good.
                Err(error)
                    if error.libvirt_code() == Some(NO_DOMAIN)
                        && self.know.keep.is_some_and(|keep| keep.fenced) =>
                {
                    match self.plan.definition_on_destination() {
                        Some(xml) => destination.define(xml).await,
                        None => Err(error),
                    }
                }
                Err(error) => Err(error),
            },
            Action::SuspendBoth => {
                let (first, second) = tokio::join!(source.suspend(domain), destination.suspend(domain));
                match (first, second) {
                    // One that does not run refuses; that is no answer for the other one.
                    (Err(first), Err(second)) if matches!(Came::of(&first), Came::Refused(_)) => Err(second),
                    (first, second) => first.and(second),
                }
            }
            Action::StartPostCopy => source.start_post_copy(domain).await,
            Action::RecoverPostCopy => {
                self.recover_beside();
                Ok(())
            }
            Action::AutostartSource => source.set_autostart(domain, self.plan.autostart).await,
            Action::AutostartDestination => destination.set_autostart(domain, self.plan.autostart).await,
        }
    }

    /// Makes the source give up a migration whose other end is gone: its connections are closed where the host offers a shell;
    /// without one, libvirt is asked to abort, which it does when its own waiting ends.
    pub(super) async fn break_off(&self) -> Result<(), HostError> {
        match self
            .source
            .close_migration_sockets(self.plan.domain, &self.plan.peer_uri, self.plan.migration_ports)
            .await
        {
            Ok(Some(count)) if count > 0 => {
                tracing::warn!(migration.id = %self.handle.id(), count, "closed the migration's connections on the source");
                Ok(())
            }
            Ok(_) => {
                self.abort_beside();
                Ok(())
            }
            Err(error) => {
                tracing::warn!(migration.id = %self.handle.id(), %error, "the connections could not be closed");
                self.abort_beside();
                Err(error)
            }
        }
    }

    /// Asks libvirt to abort its job, without waiting for the answer: it was seen to block for as long as a dead connection takes to
    /// be noticed. One that is under way is enough.
    pub(super) fn abort_beside(&self) {
        if self.aborting.swap(true, Ordering::Relaxed) {
            return;
        }
        let aborting = self.aborting.clone();
        let (source, domain, id) = (self.source.clone(), self.plan.domain, self.handle.id());
        tokio::spawn(async move {
            if let Err(error) = source.abort_job(domain).await {
                tracing::info!(migration.id = %id, error = %error.cause(), "the abort was refused");
            }
            aborting.store(false, Ordering::Relaxed);
        });
    }

    /// Keeps the first cause: what follows from it explains less.
    pub(super) fn note_failure(&mut self, step: &str, error: &HostError) {
        if error.libvirt_code().is_none() {
            self.linger();
        }
        tracing::warn!(migration.id = %self.handle.id(), domain.uuid = %self.plan.domain, step, error = %error.cause(), "failed");
        self.cause.get_or_insert_with(|| error.cause());
    }
}

impl Action {
    /// The action's name in the log: as it is serialised.
    pub(super) fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => format!("{self:?}"),
        }
    }
}
