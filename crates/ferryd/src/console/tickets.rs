//! Tickets: each opens one console of one machine once, within its time.
//!
//! A browser cannot set headers on a WebSocket, so a ticket stands in its address, and is worth nothing by the time a log of
//! addresses could be read.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::model::DomainUuid;

/// How long a ticket is valid.
pub const VALID_FOR: Duration = Duration::from_secs(30);
/// Tickets that are valid at once; a further one takes the place of the oldest.
const MOST: usize = 1024;

/// What a ticket opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The serial console.
    Serial,
    /// The screen.
    Screen,
}

/// What a ticket is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What it opens.
    pub purpose: Purpose,
    /// The machine's name in the address.
    pub name: String,
    /// The machine.
    pub domain: DomainUuid,
    /// The registered host that it was on.
    pub host: String,
}

/// The tickets that are valid.
#[derive(Default)]
pub(super) struct Tickets(Mutex<HashMap<String, (Instant, Grant)>>);

impl Tickets {
    /// Makes a ticket. Two random UUIDs are 244 bits of the system's randomness.
    pub(super) fn issue(&self, grant: Grant, now: Instant) -> String {
        let ticket = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut valid = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        valid.retain(|_, (made, _)| is_valid(*made, now));
        if valid.len() >= MOST
            && let Some(oldest) = valid.iter().min_by_key(|(_, (made, _))| *made).map(|(key, _)| key.clone())
        {
            valid.remove(&oldest);
        }
        valid.insert(ticket.clone(), (now, grant));
        ticket
    }

    /// Takes a ticket, which is then used up; none where there is no such ticket for the machine of this name.
    pub(super) fn take(&self, ticket: &str, name: &str, now: Instant) -> Option<Grant> {
        let mut valid = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = valid.get(ticket).is_some_and(|(made, grant)| is_valid(*made, now) && grant.name == name);
        if fits { valid.remove(ticket).map(|(_, grant)| grant) } else { None }
    }
}

fn is_valid(made: Instant, now: Instant) -> bool {
    now.saturating_duration_since(made) < VALID_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(name: &str) -> Grant {
        let domain = DomainUuid(Uuid::from_u128(1));
        Grant { purpose: Purpose::Serial, name: name.to_owned(), domain, host: "kvm1".to_owned() }
    }

    #[test]
    fn a_ticket_opens_one_machine_once_within_its_time() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let (one, other) = (tickets.issue(grant("vm1"), now), tickets.issue(grant("vm1"), now));
        assert!(one != other && one.len() == 64);
        assert_eq!(tickets.take("", "vm1", now), None);
        assert_eq!(tickets.take(&one, "vm2", now), None, "it is another machine's");
        assert_eq!(tickets.take(&one, "vm1", now), Some(grant("vm1")));
        assert_eq!(tickets.take(&one, "vm1", now), None, "it is used up");
        assert_eq!(tickets.take(&other, "vm1", now + VALID_FOR), None, "it is too old");
    }

    #[test]
    fn tickets_do_not_pile_up() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let first = tickets.issue(grant("vm1"), now);
        let later = now + Duration::from_millis(1);
        let last = (0..MOST).map(|_| tickets.issue(grant("vm1"), later)).last().unwrap();
        assert_eq!(tickets.take(&first, "vm1", later), None);
        assert!(tickets.take(&last, "vm1", later).is_some());
        tickets.issue(grant("vm1"), later + VALID_FOR);
        assert_eq!(tickets.0.lock().unwrap().len(), 1);
    }
}
