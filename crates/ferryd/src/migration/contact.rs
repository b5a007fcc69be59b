//! How long the source was out of sight.
//!
//! A source that libvirt has frozen for the switch-over goes on by itself when it gives the destination up. That is told by an event;
//! but a source that nobody could see may have gone on, run for a while, and ended, and leave nothing that tells of it. So what
//! counts is the time in which nobody saw it, up to its host's boot where that is known to be another one.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::domain::{Answer, HostSight, Run};

/// When the source was last known to be as it says: never, for who has just taken the task up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Contact {
    last: Option<Instant>,
}

impl Contact {
    /// The source answered, or told something.
    pub(super) fn made(&mut self) {
        self.last = Some(Instant::now());
    }

    /// Whether it was made longer ago than that, or never.
    pub(super) fn is_older_than(&self, limit: Duration) -> bool {
        self.last.is_none_or(|last| last.elapsed() > limit)
    }

    /// Takes a look at the source that began at `looked`. True when its copy may have run unseen before: there is none now, and it
    /// was out of sight for longer than `limit`.
    pub(super) fn looked(&mut self, sight: &HostSight, run: &Run, looked: Instant, limit: Duration) -> bool {
        if matches!(sight.domain, Answer::Unknown(_)) && sight.boot.is_none() {
            return false;
        }
        let booted_since = match (&sight.boot, &run.boot_id) {
            (Some(boot), Some(id)) if boot.id != *id => {
                looked.checked_sub(Duration::from_millis(boot.age_ms))
            }
            _ => None,
        };
        let until = booted_since.unwrap_or(looked);
        let unseen = self.last.is_none_or(|last| until.saturating_duration_since(last) > limit);
        self.last = Some(looked);
        unseen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::domain::{Boot, ProcessAnswer};

    const LIMIT: Duration = Duration::from_secs(20);

    fn sight(boot: &str, age_ms: u64) -> HostSight {
        let boot = Some(Boot { id: boot.to_owned(), age_ms });
        HostSight { domain: Answer::Absent, process: ProcessAnswer::None, boot }
    }

    fn run() -> Run {
        Run { boot_id: Some("a".to_owned()), ..Run::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_absence_is_none() {
        let mut contact = Contact { last: None };
        contact.made();
        tokio::time::advance(Duration::from_secs(19)).await;
        assert!(!contact.looked(&sight("a", 1_000_000), &run(), Instant::now(), LIMIT));
        tokio::time::advance(Duration::from_secs(21)).await;
        assert!(contact.looked(&sight("a", 1_000_000), &run(), Instant::now(), LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_boot_only_the_time_before_it_counts() {
        for (away_s, booted_s_ago, unseen) in [(100, 95, false), (100, 70, true)] {
            let mut contact = Contact { last: Some(Instant::now()) };
            tokio::time::advance(Duration::from_secs(away_s)).await;
            let seen = sight("b", booted_s_ago * 1000);
            assert_eq!(contact.looked(&seen, &run(), Instant::now(), LIMIT), unseen, "{booted_s_ago}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_saw_it_knows_nothing_and_who_gets_no_answer_has_not_looked() {
        let mut contact = Contact { last: None };
        let silent =
            HostSight { domain: Answer::Unknown(String::new()), process: ProcessAnswer::Unknown, boot: None };
        assert!(!contact.looked(&silent, &run(), Instant::now(), LIMIT));
        assert!(contact.looked(&sight("a", 1), &run(), Instant::now(), LIMIT));
    }
}
