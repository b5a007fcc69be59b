//! What an ended migration may have left on a host that did not answer, removed when it does.
//!
//! A debt is proof enough that the copy on that host is not the domain any more: it was written when the other host was seen to
//! have it, while this one's copy could not run. So a copy that is paused or off is removed. One that runs was started by
//! somebody else since: it is left alone, and both are named in the log.
//!
//! A debt must never touch a later migration's copy: debts of a domain are cleared before a migration of it is accepted
//! ([`Sweeper::clear`]), and none is acted upon while one is under way; a lock per sweeper keeps the two apart.

use std::sync::Arc;
use std::time::Duration;

use api::task::Side;
use tokio::sync::Mutex;

use super::outcome::Copy;
use super::steps::Hosts;
use crate::model::DomainUuid;
use crate::store::{Debt, Store, StoreError};

/// How often hosts with debts are asked.
const EVERY: Duration = Duration::from_secs(2);

/// Removes what is owed.
pub struct Sweeper {
    store: Arc<dyn Store>,
    hosts: Hosts,
    /// Held while debts are acted upon, and by whoever is about to accept a migration.
    at_work: Mutex<()>,
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
        Arc::new(Self { store, hosts, at_work: Mutex::new(()) })
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
        let _alone = self.at_work.lock().await;
        for debt in self.store.debts().await? {
            if only.is_some_and(|domain| domain != debt.domain) {
                continue;
            }
            if self.store.active_task(debt.domain).await?.is_some() {
                continue;
            }
            if self.pay(&debt).await {
                self.store.settle_debt(&debt).await?;
            }
        }
        Ok(())
    }

    /// Removes one leftover; true when nothing is left to do.
    async fn pay(&self, debt: &Debt) -> bool {
        // A host that was forgotten takes its debts with it.
        let Some(host) = (self.hosts)(&debt.host) else { return true };
        let (domain, side) = (debt.domain, debt.side);
        // Destroyed, then undefined, then seen to be gone: at most three acts.
        for _ in 0..3 {
            let done = match Copy::of(&host.look(domain).await) {
                Copy::Absent => return true,
                Copy::Unknown | Copy::Dead => return false,
                Copy::Off(_) => host.undefine(domain).await,
                Copy::Paused(_) | Copy::PausedMigrating(_) => host.destroy(domain).await,
                Copy::Running(_) | Copy::PostCopy(_) | Copy::Stranger(_) => {
                    tracing::error!(
                        task.id = %debt.task, domain.uuid = %domain, host = debt.host, owner = debt.owner, ?side,
                        "a copy that was left over runs: somebody else started it; it is left alone, look at both hosts"
                    );
                    return true;
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
