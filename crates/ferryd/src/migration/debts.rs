//! What an ended migration may have left on a host that did not answer, removed when it does.
//!
//! A debt is proof enough that the copy on that host is not the domain any more: it was written when the other host was seen to
//! have it, while this one's copy could not run. So a copy that is paused or off is removed. One that runs was started by
//! somebody else since: it is never removed, and the debt stays, so that no migration of the domain is accepted before a person has
//! looked. Where the owner's copy runs as well, both are suspended at once.
//!
//! A debt must never touch a later migration's copy: debts of a domain are cleared before a migration of it is accepted
//! ([`Sweeper::clear`]; what remains refuses it), and none is acted upon while one is under way. A lock per domain keeps two sweeps of
//! the same debts apart, and under it a debt is looked up again before it is acted upon.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use api::task::{Location, Side};
use tokio::sync::Mutex;

use super::copy::Copy;
use super::manifest;
use super::steps::Hosts;
use crate::hypervisor::{Hypervisor, Undefine};
use crate::model::DomainUuid;
use crate::plan::Plan;
use crate::store::{Debt, Store, StoreError};

/// How often hosts with debts are asked.
const EVERY: Duration = Duration::from_secs(2);

/// Removes what is owed.
pub struct Sweeper {
    store: Arc<dyn Store>,
    hosts: Hosts,
    /// By domain: held while its debts are acted upon.
    at_work: std::sync::Mutex<HashMap<DomainUuid, Arc<Mutex<()>>>>,
    /// Leftovers that somebody started: a person's.
    started: std::sync::Mutex<HashSet<(DomainUuid, String)>>,
}

impl std::fmt::Debug for Sweeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sweeper").finish_non_exhaustive()
    }
}

impl Sweeper {
    /// A sweeper of the store's debts on these hosts.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, hosts: Hosts) -> Arc<Self> {
        Arc::new(Self { store, hosts, at_work: Default::default(), started: Default::default() })
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
            if !self.store.debts().await?.contains(&debt)
                || self.store.active_task(debt.domain).await?.is_some()
            {
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

    /// Somebody started a leftover. Where the owner's copy runs as well, both are suspended.
    async fn runs(&self, debt: &Debt, host: &dyn Hypervisor) {
        let key = (debt.domain, debt.host.clone());
        let is_news = self.started_ones().insert(key);
        let Some(owner) = (self.hosts)(&debt.owner) else { return };
        let both = matches!(Copy::of(&owner.look(debt.domain).await), Copy::Running(_));
        if both {
            let (first, second) = tokio::join!(host.suspend(debt.domain), owner.suspend(debt.domain));
            if let Err(error) = first.and(second) {
                tracing::error!(domain.uuid = %debt.domain, error = %error.cause(), "two copies run, and one could not be suspended");
            }
        }
        if both || is_news {
            tracing::error!(
                task.id = %debt.task, domain.uuid = %debt.domain, host = debt.host, owner = debt.owner, suspended = both,
                "a copy that was left over runs: somebody started it. Look at both hosts, and destroy and undefine the one that is not \
                 to stay; until then the domain is not migrated"
            );
        }
    }

    fn started_ones(&self) -> std::sync::MutexGuard<'_, HashSet<(DomainUuid, String)>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn was_started(&self, debt: &Debt) -> bool {
        self.started_ones().contains(&(debt.domain, debt.host.clone()))
    }

    /// Removes one leftover; true when nothing is left to do.
    async fn pay(&self, debt: &Debt) -> bool {
        // A host that was forgotten takes its debts with it.
        let Some(host) = (self.hosts)(&debt.host) else { return true };
        let domain = debt.domain;
        // Destroyed, then undefined, then seen to be gone: at most three acts.
        for _ in 0..3 {
            let done = match Copy::of(&host.look(domain).await) {
                Copy::Absent => {
                    self.started_ones().remove(&(domain, debt.host.clone()));
                    return self.remove_files(debt, host.as_ref()).await;
                }
                Copy::Unknown | Copy::Dead => return false,
                Copy::Paused(_) | Copy::PausedMigrating(_) | Copy::Off(_) if self.was_started(debt) => {
                    return false;
                }
                // Its files go by the manifest; what libvirt knows of snapshots came with it.
                Copy::Off(_) => match self.goes_along(debt).await {
                    Some(with) => host.undefine(domain, with).await,
                    None => return false,
                },
                Copy::Paused(_) | Copy::PausedMigrating(_) => host.destroy(domain).await,
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
}

impl Sweeper {
    /// What goes with a definition that is left over; none where the task's plan cannot be read now.
    async fn goes_along(&self, debt: &Debt) -> Option<Undefine> {
        let plan = match self.store.task(debt.task).await {
            Ok(Some(record)) => serde_json::from_value::<Plan>(record.plan).ok(),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(task.id = %debt.task, %error, "its plan could not be read; tried again");
                return None;
            }
        };
        let usual = Undefine { snapshots: true, ..Undefine::default() };
        let Some(plan) = plan else { return Some(usual) };
        Some(match debt.side {
            // What lies in files of the source's may be somebody's by now.
            Side::Source => Undefine { tpm: plan.removes_tpm_state, ..usual },
            Side::Destination => Undefine { snapshots: true, ..plan.goes_from_destination() },
        })
    }

    /// Removes the files that the task made on its destination, and the storage pools it made for the while on both hosts; true when
    /// nothing is left of them.
    async fn remove_files(&self, debt: &Debt, host: &dyn Hypervisor) -> bool {
        let log = match self.store.log(debt.task).await {
            Ok(log) => log,
            Err(error) => {
                tracing::error!(task.id = %debt.task, %error, "its log could not be read; tried again");
                return false;
            }
        };
        let made = manifest::made(&log);
        if debt.side == Side::Destination && manifest::may_go(&log) {
            for file in &made {
                if let Err(error) = file.remove_from(host, debt.task).await {
                    tracing::warn!(task.id = %debt.task, host = debt.host, path = file.path(), error = %error.cause(), "not removed yet");
                    return false;
                }
                tracing::info!(task.id = %debt.task, host = debt.host, path = file.path(), "removed a file that was left over");
            }
        }
        let owner = (self.hosts)(&debt.owner);
        let others = async {
            match &owner {
                Some(owner) => owner.release_pools(debt.task).await,
                None => Ok(()),
            }
        };
        let (here, there) = tokio::join!(host.release_pools(debt.task), others);
        here.is_ok() && there.is_ok()
    }
}

impl Debt {
    /// The debt in words.
    #[must_use]
    pub fn describe(&self) -> String {
        let what = match self.side {
            Side::Source => "definition",
            Side::Destination => "paused copy",
        };
        format!("a {what} that task {} left on {}, which does not answer", self.task, self.host)
    }
}
