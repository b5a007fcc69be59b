//! How much is open at a host at once: one that hangs keeps only its own share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

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
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_host = hosts.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.most)));
        of_host.clone().try_acquire_owned().ok()
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
}
