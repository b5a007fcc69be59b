//! The view of a host, and what keeps it true: libvirt's events, and a look at all domains about every second for what libvirt tells
//! by no event (autostart; memory and processors of a domain that is shut off).
//!
//! A look is a few bulk calls, however many domains there are; definitions are read of those alone that are new, that an event
//! tells of, or whose sizes are others than at the look before.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::watch;
use uuid::Uuid;

use crate::libvirt::host::LibvirtHost;
use crate::libvirt::link::{Link, LinkState};
use crate::libvirt::survey::{self, Listed, Sizes};
use crate::model::DomainUuid;
use crate::model::definition::Definition;
use crate::model::domain::DomainEvent;
use crate::model::facts::HostFacts;
use crate::model::offers::Offers;

/// Events come in bursts (a start is four): after a look the next one is this much later, for all that come meanwhile.
const BURST: Duration = Duration::from_millis(200);
/// How long a host may take to tell the definitions of all its domains.
const DEFINITIONS_LIMIT: Duration = Duration::from_secs(30);
/// What no event tells is looked at this often: with the look itself, within a second.
pub(super) const LOOK: Duration = Duration::from_millis(875);

/// What is known of a host.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) machine: Option<Arc<HostFacts>>,
    /// What it offers, once somebody has asked; asked anew when it was connected anew.
    pub(super) offers: Option<Arc<Offers>>,
    pub(super) domains: Arc<Vec<Listed>>,
    /// Their definitions, as they were when an event last told of a change.
    pub(super) definitions: Arc<HashMap<Uuid, Arc<Definition>>>,
    /// What was told of their sizes at the look before; a change of that is a change of the definition.
    sizes: Arc<HashMap<Uuid, Sizes>>,
    /// The domains were listed since the host was connected last.
    pub(super) listed: bool,
    /// One refresh at a time: what an older one has read must not overwrite what a newer one has.
    refreshing: Arc<tokio::sync::Mutex<()>>,
}

/// Whose definitions may have changed since they were read.
pub(super) enum Changed {
    /// Nobody's that is known.
    Nothing,
    /// Theirs.
    These(HashSet<Uuid>),
    /// Anybody's: events were missed.
    Anything,
}

impl Changed {
    fn note(&mut self, told: Result<Uuid, RecvError>) {
        match (&mut *self, told) {
            (Self::Anything, _) => {}
            (Self::These(uuids), Ok(uuid)) => drop(uuids.insert(uuid)),
            (Self::Nothing, Ok(uuid)) => *self = Self::These(HashSet::from([uuid])),
            (_, Err(_)) => *self = Self::Anything,
        }
    }
}

/// Keeps the view: everything once when the host is connected, the domains after every event and about every second.
pub(super) async fn keep_view(host: Arc<LibvirtHost>, view: Arc<watch::Sender<View>>) {
    let link = host.link().clone();
    let mut state = link.state();
    loop {
        if state.wait_for(|state| *state == LinkState::Up).await.is_err() {
            return;
        }
        let mut events = link.events();
        tokio::spawn(warm(host.clone()));
        tokio::join!(identify(&link, &view), refresh(&link, &view, &Changed::Anything));
        while *state.borrow() == LinkState::Up {
            let mut changed = Changed::Nothing;
            tokio::select! {
                told = events.recv() => {
                    if matches!(told, Err(RecvError::Closed)) {
                        return;
                    }
                    changed.note(told.map(|(domain, _)| domain.0));
                    tokio::time::sleep(BURST).await;
                    while let Some(told) = received(&mut events) {
                        changed.note(told);
                    }
                }
                changed = state.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    continue;
                }
                () = tokio::time::sleep(LOOK) => {}
            }
            refresh(&link, &view, &changed).await;
        }
        view.send_modify(|view| view.listed = false);
    }
}

/// What has come meanwhile, without waiting.
fn received(events: &mut Receiver<(DomainUuid, DomainEvent)>) -> Option<Result<Uuid, RecvError>> {
    match events.try_recv() {
        Ok((domain, _)) => Some(Ok(domain.0)),
        Err(TryRecvError::Lagged(count)) => Some(Err(RecvError::Lagged(count))),
        Err(TryRecvError::Empty | TryRecvError::Closed) => None,
    }
}

/// Opens the host's shell ahead of the first migration, which would otherwise wait for it.
async fn warm(host: Arc<LibvirtHost>) {
    if let Some(session) = host.session() {
        let opened = session.open(host.link().limits().connect).await;
        tracing::debug!(host = host.link().host(), ok = opened.is_ok(), "shell opened");
    }
}

async fn identify(link: &Link, view: &watch::Sender<View>) {
    match link.call("capabilities", survey::machine).await {
        Ok(machine) => view.send_modify(|view| {
            (view.machine, view.offers) = (Some(Arc::new(machine)), None);
        }),
        Err(error) => tracing::debug!(host = link.host(), %error, "what the machine is was not read"),
    }
}

/// Lists the domains, and reads the definitions of those that are new or have changed.
pub(super) async fn refresh(link: &Link, view: &watch::Sender<View>, changed: &Changed) {
    let refreshing = view.borrow().refreshing.clone();
    let _alone = refreshing.lock().await;
    let before = matches!(changed, Changed::Nothing).then(|| view.borrow().domains.clone());
    let looked = link.call("list of domains", move |connect| {
        survey::domains(connect, before.as_ref().map(|before| before.as_slice()))
    });
    let (mut domains, told) = match looked.await {
        Ok(looked) => looked,
        Err(error) => return tracing::debug!(host = link.host(), %error, "the domains were not listed"),
    };
    let (known, sizes) = {
        let view = view.borrow();
        (view.definitions.clone(), view.sizes.clone())
    };
    let wanted = to_read(&domains, changed, &known, (&sizes, &told));
    let listed: HashSet<Uuid> = domains.iter().map(|domain| domain.uuid).collect();
    let kept = known.iter().filter(|(uuid, _)| listed.contains(uuid));
    let mut definitions: HashMap<_, _> = kept.map(|(uuid, definition)| (*uuid, definition.clone())).collect();
    read(link, wanted, &mut definitions).await;
    for domain in &mut domains {
        if let Some(definition) = definitions.get(&domain.uuid) {
            domain.vcpus = definition.vcpus;
            domain.max_memory_bytes = definition.memory_bytes;
            domain.memory_bytes = definition.current_memory_bytes;
        }
    }
    view.send_modify(|view| {
        view.domains = Arc::new(domains);
        view.definitions = Arc::new(definitions);
        view.sizes = Arc::new(told);
        view.listed = true;
    });
}

/// Whose definitions have to be read. The sizes that are told are compared with those told before, and not with the definition: what the
/// two call the memory of a domain need not be the same number, and would be read again for ever.
fn to_read(
    domains: &[Listed],
    changed: &Changed,
    known: &HashMap<Uuid, Arc<Definition>>,
    (before, now): (&HashMap<Uuid, Sizes>, &HashMap<Uuid, Sizes>),
) -> Vec<Uuid> {
    let told = |uuid: &Uuid| match changed {
        Changed::Anything => true,
        Changed::These(uuids) => uuids.contains(uuid),
        Changed::Nothing => false,
    };
    let resized = |uuid: &Uuid| now.get(uuid).is_some_and(|now| before.get(uuid) != Some(now));
    let stale = |uuid: &Uuid| told(uuid) || !known.contains_key(uuid) || resized(uuid);
    domains.iter().map(|domain| domain.uuid).filter(stale).collect()
}

/// Reads these definitions. Where they cannot be read the old ones go, which may be wrong: they are read at the next look.
async fn read(link: &Link, wanted: Vec<Uuid>, definitions: &mut HashMap<Uuid, Arc<Definition>>) {
    if wanted.is_empty() {
        return;
    }
    let asked = wanted.clone();
    let read = link
        .call_within("definitions", DEFINITIONS_LIMIT, move |connect| survey::definitions(connect, &asked));
    match read.await {
        Ok(read) => {
            definitions.extend(read.into_iter().map(|(uuid, definition)| (uuid, Arc::new(definition))));
        }
        Err(error) => {
            tracing::debug!(host = link.host(), %error, "definitions were not read");
            wanted.iter().for_each(|uuid| drop(definitions.remove(uuid)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libvirt::xml;

    fn listed(uuid: Uuid) -> Listed {
        Listed {
            uuid,
            name: String::new(),
            state: api::vm::VmState::Shutoff,
            persistent: true,
            autostart: false,
            vcpus: 1,
            max_memory_bytes: 0,
            memory_bytes: 0,
            cpu_time_ns: 0,
        }
    }

    #[test]
    fn definitions_are_read_of_what_is_new_or_told_of_or_has_another_size() {
        let [a, b] = [1, 2].map(Uuid::from_u128);
        let domains = [listed(a), listed(b)];
        let xml = "<domain type='kvm'><name>a</name><uuid>a24f5045-dc32-425b-af7c-5802b16591a6</uuid>\
                   <memory>1</memory><os><type>hvm</type></os></domain>";
        let definition = Arc::new(xml::definition(xml).unwrap());
        let both = HashMap::from([(a, definition.clone()), (b, definition.clone())]);
        let size = Sizes { max_memory_kib: 4, memory_kib: 4, max_vcpus: 2, vcpus: 1 };
        let of_both = |second: Sizes| HashMap::from([(a, size), (b, second)]);
        let none = HashMap::new();
        let same = of_both(size);
        let nothing = Changed::Nothing;
        let these = Changed::These(HashSet::from([a]));
        for (changed, known, before, now, wanted) in [
            (&nothing, &HashMap::new(), &none, &none, &[a, b][..]),
            (&nothing, &HashMap::from([(a, definition)]), &same, &same, &[b]),
            (&nothing, &both, &same, &same, &[]),
            (&these, &both, &same, &same, &[a]),
            (&Changed::Anything, &both, &same, &same, &[a, b]),
            (&nothing, &both, &same, &of_both(Sizes { max_memory_kib: 8, ..size }), &[b]),
            (&nothing, &both, &same, &of_both(Sizes { memory_kib: 2, ..size }), &[b]),
            (&nothing, &both, &same, &of_both(Sizes { max_vcpus: 4, ..size }), &[b]),
            (&nothing, &both, &same, &of_both(Sizes { vcpus: 2, ..size }), &[b]),
            // It was shut off. While one runs, no size is told of it.
            (&nothing, &both, &HashMap::from([(a, size)]), &same, &[b]),
            (&nothing, &both, &same, &HashMap::from([(a, size)]), &[]),
        ] {
            assert_eq!(to_read(&domains, changed, known, (before, now)), wanted, "{before:?} {now:?}");
        }
    }
}
