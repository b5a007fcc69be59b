//! How much is open at a host at once: one that hangs keeps only its own share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bound for each host.
pub(super) struct Bounds {
    most: usize,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Bounds {
    /// At most so many at each host.
    pub(super) fn new(most: usize) -> Self {
        Self { most, hosts: Mutex::default() }
    }

    /// The right to one more, until it is dropped; none where there are as many as there may be.
    pub(super) fn take(&self, host: &str) -> Option<OwnedSemaphorePermit> {
        self.of(host).try_acquire_owned().ok()
    }

    /// The same, but waits for its turn, at most so long.
    pub(super) async fn wait(&self, host: &str, limit: Duration) -> Option<OwnedSemaphorePermit> {
        tokio::time::timeout(limit, self.of(host).acquire_owned()).await.ok()?.ok()
    }

    fn of(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.most))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_its_own_bound() {
        let bounds = Bounds::new(1);
        let held = bounds.take("a");
        assert!(held.is_some() && bounds.take("a").is_none() && bounds.take("b").is_some());
        drop(held);
        assert!(bounds.take("a").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_has_the_next_turn() {
        let (bounds, limit) = (Bounds::new(1), Duration::from_secs(1));
        let held = bounds.take("a");
        assert!(bounds.wait("a", limit).await.is_none(), "not within its limit");
        let (next, ()) = tokio::join!(bounds.wait("a", limit), async { drop(held) });
        assert!(next.is_some());
    }
}
