//! Wrong passwords: who sends several has to wait, and longer each time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// From this many on no further password is looked at for a while, as in Kimchi.
const FREE: u32 = 3;
/// How much longer the while is with each further wrong password.
const STEP_S: u64 = 30;
/// The longest while.
const LONGEST_S: u64 = 300;
/// Wrong passwords are forgotten after this time without another.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(900);
/// So many users' tries are remembered; the oldest make room.
const MOST: usize = 4096;

/// Wrong passwords by user. The name need be nobody's.
#[derive(Default)]
pub(super) struct Tries(HashMap<String, Wrong>);

#[derive(Clone, Copy)]
struct Wrong {
    count: u32,
    last: Instant,
}

impl Wrong {
    fn wait(&self, now: Instant) -> Option<u64> {
        let steps = u64::from(self.count.checked_sub(FREE)?) + 1;
        let wait = Duration::from_secs((steps * STEP_S).min(LONGEST_S));
        let left = (self.last + wait).checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some(left.as_secs() + u64::from(left.subsec_nanos() > 0))
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= FORGOTTEN_AFTER
    }
}

impl Tries {
    /// How many seconds no password of this user's is looked at; none when one is.
    pub(super) fn wait_s(&self, user: &str, now: Instant) -> Option<u64> {
        self.0.get(user)?.wait(now)
    }

    /// Notes a wrong password; the answer is as of [`Self::wait_s`].
    pub(super) fn failed(&mut self, user: &str, now: Instant) -> Option<u64> {
        if self.0.len() >= MOST && !self.0.contains_key(user) {
            self.0.retain(|_, wrong| !wrong.is_forgotten(now));
        }
        if self.0.len() >= MOST
            && !self.0.contains_key(user)
            && let Some(oldest) =
                self.0.iter().min_by_key(|(_, wrong)| wrong.last).map(|(user, _)| user.clone())
        {
            self.0.remove(&oldest);
        }
        let wrong = self.0.entry(user.to_owned()).or_insert(Wrong { count: 0, last: now });
        if wrong.is_forgotten(now) {
            wrong.count = 0;
        }
        *wrong = Wrong { count: wrong.count.saturating_add(1), last: now };
        wrong.wait(now)
    }

    /// Forgets the wrong passwords of a user who sent the right one.
    pub(super) fn succeeded(&mut self, user: &str) {
        self.0.remove(user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_wrong_password_makes_wait_and_each_further_one_longer() {
        let (mut tries, mut now) = (Tries::default(), Instant::now());
        assert_eq!((tries.failed("joe", now), tries.failed("joe", now)), (None, None));
        for wait_s in [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300] {
            assert_eq!(tries.failed("joe", now), Some(wait_s));
            assert_eq!(tries.wait_s("joe", now + Duration::from_millis(500)), Some(wait_s));
            assert_eq!(tries.wait_s("eve", now), None);
            now += Duration::from_secs(wait_s);
            assert_eq!(tries.wait_s("joe", now), None);
        }
        assert_eq!(tries.failed("joe", now + FORGOTTEN_AFTER), None, "it begins anew");
        tries.succeeded("joe");
        assert!(tries.0.is_empty());
    }

    #[test]
    fn names_that_are_nobodys_fill_no_memory() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        for n in 0..=MOST as u64 {
            tries.failed(&n.to_string(), now + Duration::from_millis(n));
        }
        assert_eq!(tries.0.len(), MOST);
        assert!(!tries.0.contains_key("0"));
    }
}
