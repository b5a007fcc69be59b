//! Virtual machines with everything that is known of them, told apart by name alone.
//!
//! The inherited interface names a machine by its name, because Kimchi knew one host. Of several machines of one name it means
//! ([`meant`]) the one on the host that Ferry itself runs on, as Kimchi did, or else the one on the first host by name; and where
//! several hosts have that very machine (the same UUID: it moves, or an old definition was left behind), the copy that runs. What
//! state another machine of that name is in does not matter: an answer to "power it off" must not make the next request mean
//! another machine.

use std::sync::Arc;

use api::vm::VmState;
use uuid::Uuid;

use super::Fleet;
use super::figures::Figures;
use crate::libvirt::survey::Listed;
use crate::model::DomainUuid;
use crate::model::definition::Definition;

/// A virtual machine on a host.
#[derive(Clone, Debug)]
pub struct Known {
    /// The registered host it is on.
    pub host: String,
    /// That host is the machine that Ferry runs on.
    pub here: bool,
    /// What libvirt lists of it.
    pub listed: Listed,
    /// Its definition as it runs or would; none while it was not read yet.
    pub definition: Option<Arc<Definition>>,
    /// What it uses; zero where it does not run, or nothing was read.
    pub figures: Figures,
}

impl Known {
    /// Its identity.
    #[must_use]
    pub fn domain(&self) -> DomainUuid {
        DomainUuid(self.listed.uuid)
    }
}

impl Fleet {
    /// Has the figures of all guests read, from now on and for a while: somebody looks at them.
    pub fn want_figures(&self) {
        self.members().iter().for_each(|member| member.want_figures());
    }

    /// Every virtual machine that is meant by its name, sorted by that, ignoring case.
    #[must_use]
    pub fn known(&self) -> Vec<Known> {
        self.known_to(|_| true)
    }

    /// The same, of those names whose machines all may be seen: another one of the name might be meant a moment later.
    #[must_use]
    pub fn known_to(&self, may: impl Fn(&Known) -> bool) -> Vec<Known> {
        let mut all: Vec<Known> = self.members().iter().flat_map(|member| member.known()).collect();
        all.sort_by_cached_key(|vm| (vm.listed.name.to_lowercase(), vm.listed.name.clone()));
        let of_one_name = all.chunk_by(|one, other| one.listed.name == other.listed.name);
        of_one_name.filter(|named| named.iter().all(&may)).filter_map(meant).cloned().collect()
    }

    /// The virtual machine that is meant by a name.
    #[must_use]
    pub fn known_as(&self, name: &str) -> Option<Known> {
        let named = self.named(name);
        meant(&named).cloned()
    }

    /// The same, or why there is none: of a name that no host is known to have, the hosts that cannot be asked now, each of which may.
    ///
    /// # Errors
    /// Those hosts; none of them where all have answered.
    pub fn sought(&self, name: &str) -> Result<Known, Vec<String>> {
        self.known_as(name).ok_or_else(|| self.silent())
    }

    /// How many hosts list a machine of this name.
    #[must_use]
    pub fn copies_of(&self, name: &str) -> usize {
        self.named(name).len()
    }

    /// The host of the virtual machine that is meant by a name which more than one machine has; none where the name is no
    /// machine's, or says enough.
    #[must_use]
    pub fn host_of_namesake(&self, name: &str) -> Option<String> {
        let named = self.named(name);
        let meant = meant(&named)?;
        named.iter().any(|vm| vm.listed.uuid != meant.listed.uuid).then(|| meant.host.clone())
    }

    fn named(&self, name: &str) -> Vec<Known> {
        self.known_where(|vm| vm.listed.name == name)
    }

    /// Every copy on every host of which this is so.
    #[must_use]
    pub fn known_where(&self, is: impl Fn(&Known) -> bool) -> Vec<Known> {
        self.members().iter().flat_map(|member| member.known()).filter(is).collect()
    }
}

/// Which of the machines of one name is meant.
fn meant(named: &[Known]) -> Option<&Known> {
    let first = named.iter().min_by_key(|vm| (!vm.here, &vm.host))?;
    let copies = named.iter().filter(|vm| vm.listed.uuid == first.listed.uuid);
    copies.min_by_key(|vm| (rank(vm.listed.state), !vm.here, &vm.host))
}

/// How much a copy is the machine itself.
fn rank(state: VmState) -> u8 {
    match state {
        VmState::Running | VmState::Blocked | VmState::Shutdown => 0,
        VmState::Paused | VmState::PmSuspended | VmState::NoState => 1,
        VmState::Shutoff | VmState::Crashed => 2,
    }
}

/// The copy of a machine with this UUID that runs elsewhere than on `host`, as far as hosts answer.
#[must_use]
pub(crate) fn active_elsewhere(fleet: &Fleet, uuid: Uuid, host: &str) -> Option<String> {
    let members = fleet.members();
    let others = members.iter().filter(|member| member.name() != host);
    let mut copies = others.flat_map(|member| member.known()).filter(|vm| vm.listed.uuid == uuid);
    copies.find(|vm| rank(vm.listed.state) < 2).map(|vm| vm.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(host: &str, here: bool, uuid: u128, state: VmState) -> Known {
        let listed = Listed {
            uuid: Uuid::from_u128(uuid),
            name: "vm1".to_owned(),
            state,
            persistent: true,
            autostart: false,
            vcpus: 1,
            max_memory_bytes: 0,
            memory_bytes: 0,
            cpu_time_ns: 0,
        };
        Known { host: host.to_owned(), here, listed, definition: None, figures: Figures::default() }
    }

    #[test]
    fn of_several_machines_of_one_name_one_is_meant() {
        use VmState::{Paused, Running, Shutoff};
        let table = [
            (vec![], None),
            (vec![vm("b", false, 1, Running), vm("a", false, 2, Shutoff)], Some("a")),
            (vec![vm("a", false, 1, Running), vm("b", true, 2, Shutoff)], Some("b")),
            // It moves, and an old definition was left behind.
            (vec![vm("a", false, 1, Running), vm("b", false, 1, Paused)], Some("a")),
            (vec![vm("a", true, 1, Shutoff), vm("b", false, 1, Running)], Some("b")),
            (vec![vm("a", false, 1, Paused), vm("b", true, 1, Paused)], Some("b")),
            (
                vec![vm("a", true, 1, Shutoff), vm("b", false, 2, Running), vm("c", false, 1, Paused)],
                Some("c"),
            ),
        ];
        for (named, host) in table {
            assert_eq!(meant(&named).map(|vm| vm.host.as_str()), host, "{named:#?}");
        }
    }

    #[test]
    fn what_is_done_to_a_machine_does_not_make_another_one_meant() {
        let mut named = [vm("a", false, 1, VmState::Running), vm("b", false, 2, VmState::Running)];
        for state in [VmState::Paused, VmState::Shutoff, VmState::Running] {
            named[0].listed.state = state;
            assert_eq!(meant(&named).map(|vm| vm.host.as_str()), Some("a"));
        }
    }
}
