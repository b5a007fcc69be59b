//! Pictures of screens, each kept for some seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::vm::VmState;
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use super::bounds::Bounds;
use super::picture::png;
use super::refused::Refused;
use crate::inventory::known::Known;
use crate::inventory::member::Member;
use crate::libvirt::console;
use crate::model::DomainUuid;
use crate::model::domain::DomainEvent;

/// How long a picture is told as it is, as Kimchi did.
const KEPT_FOR: Duration = Duration::from_secs(5);
/// How long a host may take to make one.
const LIMIT: Duration = Duration::from_secs(15);
/// Pictures that one host makes at once: each takes a connection.
const AT_ONCE: usize = 4;

/// A picture that was taken.
struct Shot {
    taken: Instant,
    host: String,
    picture: Arc<Vec<u8>>,
    /// What has happened to the machine since.
    events: Receiver<(DomainUuid, DomainEvent)>,
}

/// The place of one machine's picture: who takes it holds it.
type Place = Arc<tokio::sync::Mutex<Option<Shot>>>;

/// The pictures that are kept.
pub(super) struct Shots {
    places: Mutex<HashMap<DomainUuid, Place>>,
    bounds: Bounds,
}

impl Default for Shots {
    fn default() -> Self {
        Self { places: Mutex::default(), bounds: Bounds::new(AT_ONCE) }
    }
}

impl Shots {
    /// The picture on a machine's screen, at most some seconds old, as a PNG.
    pub(super) async fn take(&self, vm: &Known, member: &Member) -> Result<Arc<Vec<u8>>, Refused> {
        // Kimchi tells none of one that is paused, either.
        if vm.listed.state != VmState::Running {
            return Err(Refused::Stopped);
        }
        // Who waits for another's picture, or for a turn, does not do so for ever: one that hangs holds its place for as long as it may.
        let until = tokio::time::Instant::now() + LIMIT;
        let place = self.place(vm.domain());
        let mut kept = tokio::time::timeout_at(until, place.lock()).await.map_err(|_| Refused::TooMany)?;
        if let Some(shot) = &mut *kept
            && shot.is_current(vm, Instant::now())
        {
            return Ok(shot.picture.clone());
        }
        *kept = None;
        let domain = vm.domain();
        // A page that shows many machines asks for all their pictures at once.
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        let permit = self.bounds.wait(&vm.host, left).await.ok_or(Refused::TooMany)?;
        // From before it is taken: what happens meanwhile makes it old.
        let events = member.link().events();
        let taking = member.link().long_call_within("screenshot", LIMIT, move |connect| {
            let _until_it_ends = permit;
            console::screenshot(connect, domain).map(png)
        });
        let picture = Arc::new(taking.await?.ok_or(Refused::NoPicture)?);
        let shot = Shot { taken: Instant::now(), host: vm.host.clone(), picture: picture.clone(), events };
        *kept = Some(shot);
        Ok(picture)
    }

    /// The place of this machine's picture; those of others whose pictures are old go.
    fn place(&self, domain: DomainUuid) -> Place {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        places.retain(|_, place| match place.try_lock() {
            Ok(kept) => kept.as_ref().is_some_and(|shot| now.duration_since(shot.taken) < KEPT_FOR),
            Err(_) => true,
        });
        places.entry(domain).or_default().clone()
    }
}

impl Shot {
    /// Whether it is still what the screen shows, as far as that is told.
    fn is_current(&mut self, vm: &Known, now: Instant) -> bool {
        self.host == vm.host
            && now.duration_since(self.taken) < KEPT_FOR
            && nothing_happened(&mut self.events, vm.domain())
    }
}

/// Whether no event has told of another state of the domain since these were followed.
fn nothing_happened(events: &mut Receiver<(DomainUuid, DomainEvent)>, domain: DomainUuid) -> bool {
    loop {
        match events.try_recv() {
            Ok((of, event)) if of == domain && changes_state(&event) => return false,
            Ok(_) => {}
            Err(TryRecvError::Empty) => return true,
            Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => return false,
        }
    }
}

fn changes_state(event: &DomainEvent) -> bool {
    !matches!(event, DomainEvent::Iteration(_) | DomainEvent::Defined | DomainEvent::Other)
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast;
    use uuid::Uuid;

    use super::*;

    fn running(host: &str) -> Known {
        let listed = crate::libvirt::survey::Listed {
            uuid: Uuid::from_u128(1),
            name: "vm1".to_owned(),
            state: VmState::Running,
            persistent: true,
            autostart: false,
            vcpus: 1,
            max_memory_bytes: 0,
            memory_bytes: 0,
            cpu_time_ns: 0,
        };
        Known { host: host.to_owned(), here: false, listed, definition: None, figures: Default::default() }
    }

    #[test]
    fn a_picture_is_kept_for_seconds_on_its_host() {
        let (sender, events) = broadcast::channel(4);
        let (taken, picture) = (Instant::now(), Arc::default());
        let mut shot = Shot { taken, host: "a".to_owned(), picture, events };
        assert!(shot.is_current(&running("a"), taken));
        assert!(!shot.is_current(&running("b"), taken), "it is elsewhere now");
        assert!(!shot.is_current(&running("a"), taken + KEPT_FOR));
        sender.send((DomainUuid(Uuid::from_u128(1)), DomainEvent::Started)).unwrap();
        assert!(!shot.is_current(&running("a"), taken));
    }

    #[test]
    fn a_picture_is_dropped_when_the_state_changes() {
        let (one, other) = (DomainUuid(Uuid::from_u128(1)), DomainUuid(Uuid::from_u128(2)));
        let happened = |tell: &[(DomainUuid, DomainEvent)]| {
            let (sender, mut receiver) = broadcast::channel(4);
            tell.iter().for_each(|event| drop(sender.send(*event)));
            !nothing_happened(&mut receiver, one)
        };
        assert!(!happened(&[]));
        assert!(!happened(&[(other, DomainEvent::Stopped), (one, DomainEvent::Other)]));
        assert!(happened(&[(one, DomainEvent::Other), (one, DomainEvent::Stopped)]));
        assert!(happened(&[(one, DomainEvent::Suspended)]));
        let many = vec![(other, DomainEvent::Other); 9];
        assert!(happened(&many), "what was missed may have been of this one");
    }
}
