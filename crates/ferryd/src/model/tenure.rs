//! How long a task is surely this controller's.

use tokio::sync::watch;
use tokio::time::Instant;

/// How long a task is surely this controller's. What lasts asks it again and again: a controller that stood still (a frozen process) must
/// not go on with it after another has taken the task over.
#[derive(Clone, Debug)]
pub struct Tenure(watch::Receiver<Instant>);

impl Tenure {
    /// Until the time that was sent last; not any more when the sender is gone.
    #[must_use]
    pub fn new(until: watch::Receiver<Instant>) -> Self {
        Self(until)
    }

    /// Waits until it is sure; false when the task is lost.
    pub async fn is_sure(&mut self) -> bool {
        loop {
            if self.0.has_changed().is_err() {
                return false;
            }
            if Instant::now() < *self.0.borrow_and_update() {
                return true;
            }
            if self.0.changed().await.is_err() {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_stood_still_waits_until_the_task_is_surely_held_again() {
        let lasts = Duration::from_secs(10);
        let (until, tenure) = watch::channel(Instant::now() + lasts);
        let mut tenure = Tenure::new(tenure);
        assert!(tenure.is_sure().await);
        tokio::time::advance(lasts).await;
        assert!(timeout(lasts, tenure.is_sure()).await.is_err(), "nobody says that it is");
        until.send_replace(Instant::now() + lasts);
        assert!(tenure.is_sure().await);
        drop(until);
        assert!(!tenure.is_sure().await, "it is another's");
    }
}
