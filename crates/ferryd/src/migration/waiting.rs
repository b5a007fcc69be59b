//! For how long `settle` has been asking, and for how long in vain.

use std::time::Duration;

use tokio::time::Instant;

use super::copy::Copy;
use super::settle::FIRST_PAUSE;
use crate::model::domain::HostSight;

/// How long what has been going on.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Since when an answer has been missing, of either; and of each.
    silent_since: Option<Instant>,
    each_silent_since: [Option<Instant>; 2],
    /// Since when the answers have been the same.
    pub(super) unchanged_since: Instant,
    pub(super) pause: Duration,
    last: Option<(HostSight, HostSight)>,
}

impl Waiting {
    pub(super) fn new() -> Self {
        Self {
            silent_since: None,
            each_silent_since: [None; 2],
            unchanged_since: Instant::now(),
            pause: FIRST_PAUSE,
            last: None,
        }
    }

    /// Takes what was seen; of the source and the destination, for how long its answer was missing that has come back.
    pub(super) fn saw(
        &mut self,
        source: &HostSight,
        destination: &HostSight,
        copies: [Copy; 2],
    ) -> [Option<Duration>; 2] {
        let now = Instant::now();
        let mut missed = [None; 2];
        for ((since, copy), missed) in self.each_silent_since.iter_mut().zip(copies).zip(&mut missed) {
            let silent = copy.is_silent();
            *missed = since.filter(|_| !silent).map(|since| now - since);
            *since = silent.then(|| since.unwrap_or(now));
        }
        let silent = self.each_silent_since.iter().any(Option::is_some);
        self.silent_since = silent.then(|| self.silent_since.unwrap_or(now));
        let same = self
            .last
            .as_ref()
            .is_some_and(|(s, d)| s.domain == source.domain && d.domain == destination.domain);
        if !same {
            self.unchanged_since = Instant::now();
            self.pause = FIRST_PAUSE;
            self.last = Some((source.clone(), destination.clone()));
        }
        missed
    }

    pub(super) fn silent_for(&self) -> Duration {
        self.silent_since.map(|since| since.elapsed()).unwrap_or_default()
    }

    pub(super) fn source_silent_for(&self) -> Duration {
        self.each_silent_since[0].map(|since| since.elapsed()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::domain::{Answer, ProcessAnswer};

    #[tokio::test(start_paused = true)]
    async fn each_host_was_silent_for_itself() {
        let second = Duration::from_secs(1);
        let sight = |domain| HostSight { domain, process: ProcessAnswer::Unknown, boot: None };
        let (answers, silent) = (sight(Answer::Absent), sight(Answer::Unknown("no answer".to_owned())));
        let mut waiting = Waiting::new();
        let mut saw = |source: &HostSight, destination: &HostSight| {
            waiting.saw(source, destination, [Copy::of(source), Copy::of(destination)])
        };
        assert_eq!(saw(&answers, &silent), [None, None]);
        tokio::time::advance(second).await;
        assert_eq!(saw(&silent, &silent), [None, None]);
        tokio::time::advance(second).await;
        assert_eq!(saw(&silent, &answers), [None, Some(second * 2)]);
        tokio::time::advance(second).await;
        assert_eq!(saw(&answers, &answers), [Some(second * 2), None]);
        assert_eq!(saw(&answers, &answers), [None, None]);
    }
}
