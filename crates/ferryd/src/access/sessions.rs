//! Logins that last: in memory, and gone with the process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Digest, Person, Session};

/// A session that nobody uses ends after this time, as it did in Kimchi.
pub const SESSION_IDLE: Duration = Duration::from_secs(600);
/// A session ends after this time however much it is used: groups may have changed.
const SESSION_LONGEST: Duration = Duration::from_secs(12 * 3600);
/// So many sessions are kept; the one that would end first makes room.
const MOST: usize = 10_000;

/// All sessions, by what is kept of their tokens.
#[derive(Default)]
pub(super) struct Sessions(HashMap<Digest, Entry>);

struct Entry {
    person: Arc<Person>,
    begun: Instant,
    used: Instant,
}

impl Entry {
    fn end(&self) -> Instant {
        (self.used + SESSION_IDLE).min(self.begun + SESSION_LONGEST)
    }
}

impl Sessions {
    pub(super) fn open(&mut self, digest: Digest, person: Arc<Person>, now: Instant) {
        if self.0.len() >= MOST {
            self.0.retain(|_, entry| entry.end() > now);
        }
        if self.0.len() >= MOST
            && let Some(first) = self.0.iter().min_by_key(|(_, entry)| entry.end()).map(|(digest, _)| *digest)
        {
            self.0.remove(&first);
        }
        self.0.insert(digest, Entry { person, begun: now, used: now });
    }

    pub(super) fn find(&mut self, digest: &Digest, idle: bool, now: Instant) -> Option<Session> {
        let entry = self.0.get_mut(digest)?;
        if entry.end() <= now {
            self.0.remove(digest);
            return None;
        }
        if !idle {
            entry.used = now;
        }
        Some(Session { person: Arc::clone(&entry.person), remaining: entry.end() - now })
    }

    pub(super) fn close(&mut self, digest: &Digest) {
        self.0.remove(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    fn person() -> Arc<Person> {
        Arc::new(Person { name: "joe".to_owned(), groups: Vec::new(), role: Role::User })
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_at_the_latest_some_day() {
        let (mut sessions, begun) = (Sessions::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        sessions.open([1; 32], person(), begun);
        assert_eq!(sessions.find(&[1; 32], true, at(100)).unwrap().remaining, Duration::from_secs(500));
        assert_eq!(sessions.find(&[1; 32], false, at(599)).unwrap().remaining, SESSION_IDLE);
        assert!(sessions.find(&[2; 32], false, at(599)).is_none());
        assert!(sessions.find(&[1; 32], true, at(599 + 600)).is_none());
        sessions.open([1; 32], person(), begun);
        for used in (0..12 * 3600).step_by(500) {
            assert!(sessions.find(&[1; 32], false, at(used)).is_some(), "{used}");
        }
        assert!(sessions.find(&[1; 32], false, at(12 * 3600)).is_none());
        assert!(sessions.0.is_empty());
    }

    #[test]
    fn there_are_never_too_many() {
        let (mut sessions, begun) = (Sessions::default(), Instant::now());
        for n in 0..=MOST as u64 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_le_bytes());
            sessions.open(digest, person(), begun + Duration::from_millis(n));
        }
        assert_eq!(sessions.0.len(), MOST);
        assert!(!sessions.0.contains_key(&[0; 32]), "the oldest made room");
    }
}
