//! Passwords that were right a moment ago: who sends one with each request does not have each checked anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Digest, Person};

/// So long a password that was right is not checked again.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// So many are remembered; when there are more, all are checked anew.
const MOST: usize = 1024;

/// Who has proven themselves, by what is kept of name and password.
#[derive(Default)]
pub(super) struct Proven(HashMap<Digest, (Arc<Person>, Instant)>);

impl Proven {
    pub(super) fn find(&self, digest: &Digest, now: Instant) -> Option<Arc<Person>> {
        let (person, since) = self.0.get(digest)?;
        (now.saturating_duration_since(*since) < GOOD_FOR).then(|| Arc::clone(person))
    }

    pub(super) fn keep(&mut self, digest: Digest, person: Arc<Person>, now: Instant) {
        self.0.retain(|_, (_, since)| now.saturating_duration_since(*since) < GOOD_FOR);
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(digest, (person, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    #[test]
    fn it_is_good_for_seconds() {
        let (mut proven, begun) = (Proven::default(), Instant::now());
        let joe = Arc::new(Person { name: "joe".to_owned(), groups: Vec::new(), role: Role::User });
        proven.keep([1; 32], Arc::clone(&joe), begun);
        assert!(proven.find(&[1; 32], begun + GOOD_FOR / 2).is_some());
        assert!(proven.find(&[2; 32], begun).is_none());
        assert!(proven.find(&[1; 32], begun + GOOD_FOR).is_none());
        proven.keep([2; 32], joe, begun + GOOD_FOR);
        assert_eq!(proven.0.len(), 1, "what is over is forgotten");
    }
}
