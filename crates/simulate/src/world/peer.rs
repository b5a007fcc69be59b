//! What is left of a migration when the daemon that drove it is gone or has given up: the destination's incoming domain, and
//! the source's QEMU on its own.

use api::vm::VmState;
use ferryd::hypervisor::MigrateCall;
use ferryd::model::domain::{DomainEvent, Process, Reason};

use super::guest::By;
use super::host::{Daemon, Saved};
use super::migration::{Mig, Phase};
use super::{Ms, NAMES, World, ours};

/// How long the destination's daemon waits for a silent source.
const PATIENCE: Ms = 28_000;
const LOOK: Ms = 250;

impl World {
    /// The other side of a migration whose driver is gone.
    pub(super) fn left_alone(&mut self, mig: &Mig) {
        if let Some(client) = mig.client {
            return self.direct_left_alone(mig, client, mig.call.clone());
        }
        let finishing = mig.phase == Phase::Finish;
        let ordered = finishing || mig.phase == Phase::Sent;
        self.destination_left_alone(mig.to, mig.call.clone(), ordered, finishing);
    }

    /// A daemon died: a migration that it drove is nobody's now.
    pub(super) fn migration_lost_daemon(&mut self, host: usize) {
        let Some(mig) = self.mig.take_if(|mig| mig.from == host) else { return };
        self.left_alone(&mig);
        self.qemu_left_alone(host);
    }

    /// A host lost its power.
    pub(super) fn migration_lost_power(&mut self, host: usize) {
        if let Some(mig) = self.mig.take_if(|mig| mig.from == host) {
            self.left_alone(&mig);
        }
    }

    pub(super) fn incoming(&self, to: usize) -> Option<Option<Process>> {
        let domain = self.hosts[to].domains.get(&ours()).filter(|domain| domain.saved == Saved::Incoming)?;
        Some(domain.qemu.map(|qemu| qemu.process))
    }

    /// An incoming domain that nobody sends to any more. `ordered`: the order to finish may have reached it; `finishing`: it is
    /// being carried out.
    pub(super) fn destination_left_alone(
        &mut self,
        to: usize,
        call: MigrateCall,
        ordered: bool,
        finishing: bool,
    ) {
        if let Some(process) = self.incoming(to) {
            let ordered = finishing || (ordered && self.dice.chance(50));
            // What is being carried out needs nobody else any more.
            let waited = if finishing { PATIENCE } else { 0 };
            self.after(LOOK, move |world| world.look_after_incoming(to, process, call, ordered, waited));
        }
    }

    fn look_after_incoming(
        &mut self,
        to: usize,
        process: Option<Process>,
        call: MigrateCall,
        ordered: bool,
        waited: Ms,
    ) {
        if self.incoming(to) != Some(process) {
            return self.notice_ends(to);
        }
        let told = self.peer_cable && self.hosts[1 - to].power;
        if !self.hosts[to].serves() || !(told || waited >= PATIENCE) {
            let waited = if self.hosts[to].serves() { waited + LOOK } else { waited };
            return self
                .after(LOOK, move |world| world.look_after_incoming(to, process, call, ordered, waited));
        }
        let received = self.qemu_of(to).is_some_and(|qemu| qemu.received);
        if ordered && received {
            self.tell(|| format!("{}: finishes all the same", NAMES[to]));
            self.finish(to, &call);
        } else {
            self.drop_incoming(to);
        }
    }

    /// The destination's daemon ends its incoming domain.
    pub(super) fn drop_incoming(&mut self, to: usize) {
        if self.incoming(to).is_some() {
            self.die(to, By::Libvirt);
            self.ended(to, ours(), Reason::Other, DomainEvent::Stopped);
        }
    }

    /// The source's QEMU without its daemon: when the stream breaks, it goes on by itself.
    pub(super) fn qemu_left_alone(&mut self, host: usize) {
        let frozen = self.hosts[host].domains.get(&ours()).is_some_and(|domain| {
            domain.saved == Saved::Outgoing
                && (domain.state, domain.reason) == (VmState::Paused, Reason::Migrating)
        });
        if !frozen || self.hosts[host].daemon == Daemon::Running || self.runs_on(host) {
            return;
        }
        if self.peer_cable && self.hosts[1 - host].power && self.qemu_of(1 - host).is_none() {
            return self.run_unasked(host);
        }
        self.after(500, move |world| world.qemu_left_alone(host));
    }

    /// The connections of the two QEMUs are closed at the source, and with them what the daemons wait on; how many there were.
    pub fn sockets_closed(&mut self, host: usize) -> u32 {
        let delay = self.dice.between(50, 450);
        let Some(mig) = self.mig.as_ref().filter(|mig| mig.from == host) else { return 0 };
        let (id, phase) = (mig.id, mig.phase);
        self.after(delay, move |world| {
            let Some(mig) = world.mig.as_mut().filter(|mig| mig.id == id) else { return };
            mig.conn = false;
            mig.data_closed |= matches!(mig.phase, Phase::Copy | Phase::SwitchOver);
            world.stream_breaks();
        });
        u32::from(phase >= Phase::Copy)
    }

    /// The destination's copy is complete and waits (or runs).
    pub(super) fn destination_is_ready(&mut self, to: usize) {
        if self.plant == Some(crate::plant::Plant::Proof) {
            // The planted mistake: this counts as the source's death.
            if let Some(process) = self.process(1 - to) {
                self.tell_watchers(1 - to, process);
            }
        }
    }
}
