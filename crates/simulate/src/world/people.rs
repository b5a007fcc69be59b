//! What people do to the guest by hand, beside Ferry, and what Ferry must leave alone because of that.
//!
//! * A definition that somebody put on the destination before the migration was handed to libvirt is theirs.
//! * A leftover that somebody started is theirs, from when on a controller was told that it runs.

use api::vm::VmState;
use ferryd::model::domain::{DomainEvent, Reason};

use super::{Ms, NAMES, World, ours};

/// A controller may look at a host so long before it stores the intent that follows from that.
const LOOKED: Ms = 6_000;
/// How often, and how long, somebody tries to start what is left over.
const TRY_AGAIN: Ms = 250;
const TRIES: u32 = 400;

/// A definition that somebody put on a host.
#[derive(Clone, Copy, Debug)]
struct Defined {
    at: Ms,
    /// Before anything was handed to libvirt.
    in_time: bool,
    /// A controller was told of it before it handed anything to libvirt.
    told: bool,
}

/// A leftover that somebody started.
#[derive(Clone, Copy, Debug)]
struct Started {
    pid: u32,
    /// When a controller was first told that it runs.
    told_at: Option<Ms>,
}

/// What people have done.
#[derive(Clone, Copy, Debug, Default)]
pub struct People {
    defined: [Option<Defined>; 2],
    started: [Option<Started>; 2],
    /// When somebody destroyed and undefined it there.
    removed: [Option<Ms>; 2],
    /// When it was first about to be handed to libvirt.
    perform_at: Option<Ms>,
    /// Where something is owed.
    owed: Option<usize>,
}

impl World {
    /// An intent was stored.
    pub(super) fn people_intend(&mut self, step: &str) {
        if step == "perform" {
            self.people.perform_at.get_or_insert(self.now);
        }
    }

    /// Whether it was about to be handed to libvirt.
    #[must_use]
    pub fn was_begun(&self) -> bool {
        self.people.perform_at.is_some()
    }

    /// A controller is being told how the guest is on a host.
    pub fn people_told(&mut self, host: usize) {
        let (now, begun) = (self.now, self.people.perform_at.is_some());
        if let Some(defined) = &mut self.people.defined[host] {
            defined.told |= !begun;
        }
        let running = self.qemu_of(host).filter(|qemu| qemu.running).map(|qemu| qemu.process.pid);
        if let Some(started) = &mut self.people.started[host]
            && running == Some(started.pid)
        {
            started.told_at.get_or_insert(now);
        }
    }

    /// Somebody defines the guest on a host. Where it is defined already nothing changes.
    pub(super) fn somebody_defines(&mut self, host: usize) {
        let defined = self.hosts[host].domains.get(&ours()).is_some_and(|domain| domain.definition.is_some());
        if defined || !self.hosts[host].serves() || self.define(host).is_err() || host == super::SOURCE {
            return;
        }
        let in_time = self.people.perform_at.is_none();
        self.people.defined[host] = Some(Defined { at: self.now, in_time, told: false });
    }

    /// The definition on a host is another one by now, or none.
    pub(crate) fn definition_changes(&mut self, host: usize) {
        self.people.defined[host] = None;
    }

    /// Whether somebody put the definition there, which is not running.
    #[must_use]
    pub fn is_somebodys_definition(&self, host: usize) -> bool {
        self.people.defined[host].is_some() && self.qemu_of(host).is_none()
    }

    /// Something is done to the definition on a host, by an order or by a migration.
    pub(crate) fn spares_definition(&mut self, host: usize, what: &str) {
        let Some(defined) = self.people.defined[host] else { return };
        // One that came between the last look and the intent nobody could know of.
        let unseen =
            !defined.told && self.people.perform_at.is_some_and(|at| at.saturating_sub(defined.at) < LOOKED);
        if defined.in_time && !unseen && !self.guest.person_decided {
            self.violate(format!("the definition that somebody had put on {} was {what}", NAMES[host]));
        }
    }

    /// Somebody destroys the guest on a host and undefines it there.
    pub(super) fn somebody_removes(&mut self, host: usize) {
        self.die(host, super::guest::By::Fault);
        self.definition_changes(host);
        if self.hosts[host].domains.remove(&ours()).is_some() {
            self.people.removed[host] = Some(self.now);
            self.emit(host, ours(), DomainEvent::Undefined);
        }
    }

    /// Whether somebody removed the guest from a host.
    #[must_use]
    pub fn was_removed(&self, host: usize) -> bool {
        self.people.removed[host].is_some()
    }

    /// Whether somebody removed the guest from a host, or defined it on one.
    #[must_use]
    pub fn was_changed_by_hand(&self) -> bool {
        [0, 1].into_iter().any(|host| self.was_removed(host) || self.people.defined[host].is_some())
    }

    /// Whether somebody removed the guest from a host within this time.
    #[must_use]
    pub fn was_just_removed(&self, host: usize, within: Ms) -> bool {
        self.people.removed[host].is_some_and(|at| at + within >= self.now)
    }

    /// A task noted that it may leave something on a host.
    pub fn owed_on(&mut self, host: usize) {
        self.people.owed = Some(host);
    }

    /// A task has ended, and the guest is on this host.
    pub(crate) fn ended_on(&mut self, owner: usize) {
        if self.people.owed == Some(1 - owner) {
            self.debt_begins();
        }
    }

    /// Somebody starts what is left over, as soon as libvirt there lets them.
    pub(super) fn somebody_starts_leftover(&mut self, tries: u32) {
        let Some(host) = self.people.owed else { return };
        let Some(domain) = self.hosts[host].domains.get(&ours()) else { return };
        if self.once_more || tries >= TRIES {
            return;
        }
        let stands = (domain.state, domain.reason) == (VmState::Paused, Reason::User);
        let waits = domain.active && stands && domain.qemu.is_some_and(|qemu| qemu.complete);
        let off = !domain.active && domain.definition.is_some();
        if !self.hosts[host].serves() || !(waits || off) {
            return self.after(TRY_AGAIN, move |world| world.somebody_starts_leftover(tries + 1));
        }
        self.tell(|| format!("{}: somebody starts what is left over", NAMES[host]));
        // Whose memory counts, and whether two run, is that person's business from now on.
        self.guest.person_decided = true;
        if off {
            self.cold_boot(host);
        } else {
            self.run(host);
            self.set_state(host, VmState::Running, Reason::Other, DomainEvent::Resumed);
        }
        let pid = self.qemu_of(host).map(|qemu| qemu.process.pid);
        self.people.started[host] = pid.map(|pid| Started { pid, told_at: None });
    }

    /// Whether somebody started what was left over on a host.
    #[must_use]
    pub fn was_started(&self, host: usize) -> bool {
        self.people.started[host].is_some()
    }

    /// Whether somebody is just letting run what is left over, wherever else it runs.
    pub(super) fn people_may_run_two(&self) -> bool {
        self.guest.person_decided && self.people.owed.is_some()
    }

    /// The guest's QEMU on a host is destroyed by an order that was sent at `asked_at`.
    pub(super) fn spares_started(&mut self, host: usize, asked_at: Ms) {
        let pid = self.qemu_of(host).map(|qemu| qemu.process.pid);
        let theirs = |started: Started| {
            pid == Some(started.pid) && started.told_at.is_some_and(|told_at| told_at < asked_at)
        };
        if self.people.started[host].is_some_and(theirs) {
            self.violate(format!("what somebody had started on {} was destroyed", NAMES[host]));
        }
    }
}
