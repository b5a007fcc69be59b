//! Who may do something to a domain now: one at a time.
//!
//! A migration holds its domain's turn only while its task is stored; from then on the task itself is the lock. Whoever does
//! something else to the domain takes the turn first and looks for such a task then: so neither slips in before the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use crate::model::DomainUuid;

/// The turns of all domains.
#[derive(Debug, Default)]
pub struct Turns {
    domains: Mutex<HashMap<DomainUuid, Weak<Turn<()>>>>,
}

/// The turn of one domain; ends with the value.
#[derive(Debug)]
pub struct Taken {
    _guard: OwnedMutexGuard<()>,
}

impl Turns {
    /// Waits until it is the caller's turn.
    pub async fn take(&self, domain: DomainUuid) -> Taken {
        Taken { _guard: self.of(domain).lock_owned().await }
    }

    /// Takes the turn if nobody has it.
    #[must_use]
    pub fn try_take(&self, domain: DomainUuid) -> Option<Taken> {
        self.of(domain).try_lock_owned().ok().map(|guard| Taken { _guard: guard })
    }

    fn of(&self, domain: DomainUuid) -> Arc<Turn<()>> {
        // Only inserted into and removed from: a panic elsewhere leaves it whole.
        let mut domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        domains.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = domains.get(&domain).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        domains.insert(domain, Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_for_each_domain() {
        let turns = Turns::default();
        let (one, other) = (DomainUuid(Uuid::from_u128(1)), DomainUuid(Uuid::from_u128(2)));
        let taken = turns.take(one).await;
        assert!(turns.try_take(one).is_none());
        assert!(turns.try_take(other).is_some(), "another domain does not wait");
        assert!(tokio::time::timeout(std::time::Duration::from_millis(10), turns.take(one)).await.is_err());
        drop(taken);
        assert!(turns.try_take(one).is_some());
        turns.take(other).await;
        assert_eq!(turns.domains.lock().unwrap().len(), 1, "what nobody holds is forgotten");
    }
}
