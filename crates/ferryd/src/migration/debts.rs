//! What an ended migration may have left on a host that did not answer, removed when it does.
//!
//! A debt is proof enough that the copy on that host is not the domain any more: it was written when the other host was seen to
//! have it, while this one's copy could not run. So a copy that is paused or off is removed. One that runs was started by
//! somebody else since, which is noted in the debt: it is never removed, and the debt stays, so that no migration of the domain is
//! accepted before a person has looked. Where the owner's copy runs as well, both are suspended at once, and the debt becomes a task in
//! which a person says which of them stays.
//!
//! A debt must never touch a later migration's copy: debts of a domain are cleared before a migration of it is accepted
//! ([`Sweeper::clear`]; what remains refuses it), and none is acted upon while one is under way. A lock per domain keeps two sweeps of
//! the same debts apart, and under it a debt is looked up again before it is acted upon.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use api::task::{Location, Side, TaskKind};
use api::vm::VmState;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::copy::Copy;
use super::knowledge::begun;
use super::manifest;
use super::steps::Hosts;
use crate::hypervisor::{Hypervisor, Undefine};
use crate::model::{DomainUuid, TaskId};
use crate::plan::Plan;
use crate::store::{Debt, LogEntry, NewTask, Started, Store, StoreError};
use crate::task::{Engine, queued};

/// How often hosts with debts are asked.
const EVERY: Duration = Duration::from_secs(2);

/// Removes what is owed.
pub struct Sweeper {
    engine: Arc<Engine>,
    store: Arc<dyn Store>,
    hosts: Hosts,
    /// By domain: held while its debts are acted upon.
    at_work: std::sync::Mutex<HashMap<DomainUuid, Arc<Mutex<()>>>>,
    /// Leftovers that were found started while the store did not take it: it is told again before anything else.
    untold: std::sync::Mutex<HashMap<(TaskId, Side), Started>>,
}

impl std::fmt::Debug for Sweeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sweeper").finish_non_exhaustive()
    }
}

impl Sweeper {
    /// A sweeper of the store's debts on these hosts. What only a person can decide becomes a task of `engine`'s.
    #[must_use]
    pub fn new(engine: Arc<Engine>, store: Arc<dyn Store>, hosts: Hosts) -> Arc<Self> {
        Arc::new(Self { engine, store, hosts, at_work: Default::default(), untold: Default::default() })
    }

    /// Works until dropped.
    pub async fn serve(self: Arc<Self>) {
        let mut every = tokio::time::interval(EVERY);
        loop {
            every.tick().await;
            if let Err(error) = self.sweep(None).await {
                tracing::error!(%error, "debts could not be read; tried again");
            }
        }
    }

    /// Removes what is owed of one domain as far as hosts answer, and tells what remains.
    ///
    /// # Errors
    /// The store failed.
    pub async fn clear(&self, domain: DomainUuid) -> Result<Vec<Debt>, StoreError> {
        self.sweep(Some(domain)).await?;
        let debts = self.store.debts().await?;
        Ok(debts.into_iter().filter(|debt| debt.domain == domain).collect())
    }

    /// Removes what is owed, of one domain where given.
    ///
    /// # Errors
    /// The store failed.
    pub async fn sweep(&self, only: Option<DomainUuid>) -> Result<(), StoreError> {
        for debt in self.store.debts().await? {
            if only.is_some_and(|domain| domain != debt.domain) {
                continue;
            }
            let lock = self.lock_of(debt.domain);
            let _alone = lock.lock().await;
            // The list may be old by now: hosts that are slow to answer come before this one. A debt that was paid meanwhile is no
            // proof any more, because a later migration may have brought the domain to that very host.
            let is_it = |known: &Debt| (known.task, known.side) == (debt.task, debt.side);
            let Some(debt) = self.store.debts().await?.into_iter().find(is_it) else { continue };
            let debt = self.told_by_now(debt).await?;
            if self.store.active_task(debt.domain).await?.is_some() {
                continue;
            }
            if debt.started == Started::Twice {
                self.ask_a_person(&debt).await;
                continue;
            }
            if self.is_void(&debt).await? || self.pay(&debt).await {
                self.store.settle_debt(&debt).await?;
            }
        }
        Ok(())
    }

    /// A task that was about to end, could not store that, and ended otherwise: what it noted before is the domain itself by now.
    async fn is_void(&self, debt: &Debt) -> Result<bool, StoreError> {
        let owner = match debt.side {
            Side::Source => Location::Source,
            Side::Destination => Location::Destination,
        };
        let task = self.store.task(debt.task).await?;
        let void =
            task.and_then(|record| record.task.outcome).is_some_and(|outcome| outcome.location == owner);
        if void {
            tracing::info!(task.id = %debt.task, domain.uuid = %debt.domain, host = debt.host, "nothing is owed: the domain is there");
        }
        Ok(void)
    }

    fn lock_of(&self, domain: DomainUuid) -> Arc<Mutex<()>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner).entry(domain).or_default().clone()
    }

    /// The debt with what the store did not take of it before, which it takes now.
    async fn told_by_now(&self, debt: Debt) -> Result<Debt, StoreError> {
        let key = (debt.task, debt.side);
        let Some(started) = self.untold().get(&key).copied() else { return Ok(debt) };
        let debt = Debt { started, ..debt };
        self.store.update_debt(&debt).await?;
        self.untold().remove(&key);
        Ok(debt)
    }

    fn untold(&self) -> std::sync::MutexGuard<'_, HashMap<(TaskId, Side), Started>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody started a leftover. That is stored before anything else: whatever becomes of it, it is not removed any more. Where the
    /// owner's copy runs as well, both are suspended.
    async fn runs(&self, debt: &Debt, host: &dyn Hypervisor) {
        let owner = (self.hosts)(&debt.owner);
        let both = match &owner {
            Some(owner) => matches!(Copy::of(&owner.look(debt.domain).await), Copy::Running(_)),
            None => false,
        };
        let debt = Debt { started: if both { Started::Twice } else { Started::Yes }, ..debt.clone() };
        let noted = self.store.update_debt(&debt).await;
        if noted.is_err() {
            self.untold().insert((debt.task, debt.side), debt.started);
        }
        if let Some(owner) = owner.filter(|_| both) {
            let (first, second) = tokio::join!(host.suspend(debt.domain), owner.suspend(debt.domain));
            if let Err(error) = first.and(second) {
                tracing::error!(domain.uuid = %debt.domain, error = %error.cause(), "two copies run, and one could not be suspended");
            }
        }
        match noted {
            Ok(()) if both => self.ask_a_person(&debt).await,
            Ok(()) => tracing::error!(
                task.id = %debt.task, domain.uuid = %debt.domain, host = debt.host, owner = debt.owner,
                "a copy that was left over runs: somebody started it. Look at both hosts, and destroy and undefine the one that is not \
                 to stay; until then the domain is not migrated"
            ),
            Err(error) => {
                tracing::error!(task.id = %debt.task, domain.uuid = %debt.domain, %error, "a leftover that somebody started was not noted");
            }
        }
    }

    /// Both copies ran: the debt becomes a task that needs attention. What fails is tried again with the next sweep. (The domain's turn
    /// is not taken for it: nothing that is under way with the domain on one host keeps two copies apart, and the task suspends them
    /// before all else.)
    async fn ask_a_person(&self, debt: &Debt) {
        let asked = async {
            let Some(plan) = self.plan_of(debt.task).await? else { return Ok(None) };
            let plan = plan.for_two_copies();
            let (vm, way) = ((&*plan.name, plan.domain), (&*plan.source, &*plan.destination));
            let message =
                format!("{} was found running on both {} and {}", plan.name, plan.source, plan.destination);
            let now_ms = self.engine.clock().now_ms();
            let task = queued(debt.task_of_a_person(), TaskKind::Migration, vm, way, message, now_ms);
            let new = NewTask::of(task, &plan)?;
            self.engine.submit_instead(&new, debt).await.map(Some)
        };
        match asked.await {
            Ok(Some(task)) => {
                tracing::error!(task.id = %task.id, domain.uuid = %debt.domain, "two copies ran; a person must say which one stays");
                self.release_pools(debt).await;
            }
            Ok(None) => {
                tracing::error!(task.id = %debt.task, domain.uuid = %debt.domain, host = debt.host, owner = debt.owner, "two copies ran, and are suspended. Look at both hosts");
            }
            Err(error) => {
                tracing::error!(task.id = %debt.task, domain.uuid = %debt.domain, %error, "nobody was asked which copy stays; tried again");
            }
        }
    }

    /// The plan of a task; none where it cannot be read.
    async fn plan_of(&self, task: TaskId) -> Result<Option<Plan>, StoreError> {
        let record = self.store.task(task).await?;
        Ok(record.and_then(|record| serde_json::from_value(record.plan).ok()))
    }

    /// Removes one leftover; true when nothing is left to do.
    async fn pay(&self, debt: &Debt) -> bool {
        let Some(host) = (self.hosts)(&debt.host) else { return self.is_forgotten(&debt.host).await };
        let log = match self.store.log(debt.task).await {
            Ok(log) => log,
            Err(error) => {
                tracing::error!(task.id = %debt.task, %error, "its log could not be read; tried again");
                return false;
            }
        };
        let domain = debt.domain;
        // A domain there that was seen to be gone, or that the task had not begun to make, is somebody else's; only files and pools are
        // owed. What it runs from stays.
        let Some(made_a_copy) = self.made_a_copy(debt, &log).await else { return false };
        if debt.copy_gone || !made_a_copy {
            return match Copy::of(&host.look(domain).await) {
                Copy::Unknown | Copy::Dead => false,
                Copy::Absent | Copy::Off(_) => self.remove_files(debt, &log, host.as_ref()).await,
                _ => self.release_pools(debt).await,
            };
        }
        // Destroyed, then undefined, then seen to be gone: at most three acts.
        for _ in 0..3 {
            let copy = Copy::of(&host.look(domain).await);
            // Read after the look: who suspends a leftover that was started notes first that it was.
            let removed = match copy {
                Copy::Paused(_) | Copy::PausedMigrating(_) | Copy::Off(_) => true,
                // Half of a post-copy that nobody needs any more.
                Copy::PostCopy(sight) => sight.state == VmState::Paused,
                _ => false,
            };
            if removed {
                match self.owner_has_it(debt).await {
                    Some(true) if self.is_owed_still(debt).await => {}
                    Some(false) => return true,
                    _ => return false,
                }
            }
            let done = match copy {
                Copy::Absent => return self.remove_files(debt, &log, host.as_ref()).await,
                Copy::Unknown | Copy::Dead => return false,
                // Its files go by the manifest; what libvirt knows of snapshots came with it.
                Copy::Off(_) => match self.goes_along(debt).await {
                    Some(with) => host.undefine(domain, with).await,
                    None => return false,
                },
                Copy::Paused(_) | Copy::PausedMigrating(_) => host.destroy(domain).await,
                Copy::PostCopy(_) if removed => host.destroy(domain).await,
                Copy::Running(_) | Copy::PostCopy(_) | Copy::Stranger(_) => {
                    self.runs(debt, host.as_ref()).await;
                    return false;
                }
            };
            if let Err(error) = done {
                tracing::warn!(task.id = %debt.task, domain.uuid = %domain, host = debt.host, error = %error.cause(), "not removed yet");
                return false;
            }
            tracing::info!(task.id = %debt.task, domain.uuid = %domain, host = debt.host, "removed a leftover");
        }
        false
    }

    /// Whether the domain that is on the debt's host may be the one that was moved; none where the store does not tell.
    async fn made_a_copy(&self, debt: &Debt, log: &[LogEntry]) -> Option<bool> {
        let plan = self.plan_of(debt.task).await.ok()?;
        let by_hand = plan.is_some_and(|plan| plan.found_twice);
        Some(debt.side == Side::Source || by_hand || begun(log))
    }

    /// Whether a host is registered no more: it takes its debts with it. (One that is, and cannot be used, keeps them.)
    async fn is_forgotten(&self, host: &str) -> bool {
        self.store.hosts().await.is_ok_and(|hosts| hosts.iter().all(|known| known.name != host))
    }

    /// Whether the domain is where the debt says, without which what is left over may be the last of it: then it stays, and is owed no
    /// more. None where that host does not answer.
    async fn owner_has_it(&self, debt: &Debt) -> Option<bool> {
        let there = match (self.hosts)(&debt.owner) {
            Some(owner) => match Copy::of(&owner.look(debt.domain).await) {
                Copy::Unknown | Copy::Dead => return None,
                copy => copy != Copy::Absent,
            },
            None if self.is_forgotten(&debt.owner).await => false,
            None => return None,
        };
        if !there {
            tracing::warn!(
                task.id = %debt.task, domain.uuid = %debt.domain, host = debt.host, owner = debt.owner,
                "what an earlier migration left stays: the domain is not where that had brought it, and this may be the last of it"
            );
        }
        Some(there)
    }

    /// Whether the leftover is still to be removed: another controller may have found it started meanwhile, or have removed it.
    async fn is_owed_still(&self, debt: &Debt) -> bool {
        let same =
            |known: &Debt| (known.task, known.side, known.started) == (debt.task, debt.side, Started::No);
        self.store.debts().await.is_ok_and(|debts| debts.iter().any(same))
    }

    /// What goes with a definition that is left over; none where the task's plan cannot be read now.
    async fn goes_along(&self, debt: &Debt) -> Option<Undefine> {
        let usual = Undefine { snapshots: true, ..Undefine::default() };
        match self.plan_of(debt.task).await {
            Ok(Some(plan)) => Some(match debt.side {
                // What lies in files of the source's may be somebody's by now.
                Side::Source => Undefine { tpm: plan.removes_tpm_state, ..usual },
                Side::Destination => Undefine { snapshots: true, ..plan.goes_from_destination() },
            }),
            Ok(None) => Some(usual),
            Err(error) => {
                tracing::error!(task.id = %debt.task, %error, "its plan could not be read; tried again");
                None
            }
        }
    }

    /// Removes the files that the task made on its destination, and the storage pools it made for the while on both hosts; true when
    /// nothing is left of them.
    async fn remove_files(&self, debt: &Debt, log: &[LogEntry], host: &dyn Hypervisor) -> bool {
        // Of a copy that somebody has started they may hold what is nowhere else.
        if debt.side == Side::Destination && manifest::may_go(log) && debt.started == Started::No {
            for file in &manifest::made(log) {
                if let Err(error) = file.remove_from(host, debt.task).await {
                    tracing::warn!(task.id = %debt.task, host = debt.host, path = file.path(), error = %error.cause(), "not removed yet");
                    return false;
                }
                tracing::info!(task.id = %debt.task, host = debt.host, path = file.path(), "removed a file that was left over");
            }
        }
        self.release_pools(debt).await
    }

    async fn release_pools(&self, debt: &Debt) -> bool {
        let release = async |name: &str| match (self.hosts)(name) {
            Some(host) => host.release_pools(debt.task).await.is_ok(),
            None => true,
        };
        let (here, there) = tokio::join!(release(&debt.host), release(&debt.owner));
        here && there
    }
}

impl Debt {
    /// The id of the task that a debt becomes: always the same, so that of two controllers that make it only one does.
    fn task_of_a_person(&self) -> TaskId {
        let sum =
            Sha256::new().chain_update(self.task.0.as_bytes()).chain_update([self.side as u8]).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&sum[..16]);
        TaskId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The debt in words.
    #[must_use]
    pub fn describe(&self) -> String {
        if self.started != Started::No {
            return format!(
                "a copy that task {} left on {}, and that somebody has started there since: look at {} and {}, and destroy and \
                 undefine the one that is not to stay",
                self.task, self.host, self.host, self.owner
            );
        }
        let what = match self.side {
            Side::Source => "definition",
            Side::Destination => "paused copy",
        };
        format!("a {what} that task {} left on {}, which does not answer", self.task, self.host)
    }
}
