//! libvirt's migration with a controller between the two daemons (`virDomainMigrate3`): the phases are those of `migration`, but every
//! order and every answer goes through the controller, over its own connections.
//!
//! * A destination that is left by its controller ends what has not been finished (it is tied to that connection).
//! * A source goes on with what it was told to do; left by its controller afterwards, it stands as it is, without a job.
//! * A controller that loses the destination has the source go on; one that loses the source ends what is on the destination.

use ferryd::hypervisor::MigrateCall;
use ferryd::model::domain::Process;

use super::host::Saved;
use super::links::Reply;
use super::migration::{Mig, Phase};
use super::{Ms, World};

/// How long the destination may say nothing until the controller gives its connection up.
const GIVES_UP: Ms = 9_000;
/// How long a daemon waits for a controller that says nothing.
const PATIENCE: Ms = 28_000;
const LOOK: Ms = 250;

/// The controller between the daemons.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    controller: usize,
    /// Its connections to both hosts.
    epochs: [u64; 2],
}

impl World {
    /// A controller's call to send the guest away, with itself between the daemons.
    pub fn migrate_direct(&mut self, host: usize, reply: Reply<()>, call: MigrateCall, controller: usize) {
        let epochs = [0, 1].map(|host| self.links[controller][host].epoch());
        self.migrate_by(host, reply, call, Some(Client { controller, epochs }));
    }

    fn is_dead(&self, client: Client) -> bool {
        self.gates[client.controller].is_dead()
    }

    fn is_connected(&self, client: Client, host: usize) -> bool {
        self.links[client.controller][host].is(client.epochs[host])
    }

    /// The controller works, and the host's daemon would hear it.
    fn hears(&self, client: Client, host: usize) -> bool {
        self.gates[client.controller].is_open()
            && self.is_connected(client, host)
            && self.hosts[host].answers()
    }

    /// The host's daemon knows that the controller has gone.
    fn is_left(&self, client: Client, host: usize, waited: Ms) -> bool {
        let gone = self.is_dead(client) || !self.is_connected(client, host);
        self.hosts[host].serves() && gone && (self.hosts[host].cable || waited >= PATIENCE)
    }

    /// Whether a phase goes on.
    pub(super) fn direct_goes(&self, client: Client, from: usize, to: usize, phase: Phase) -> bool {
        match phase {
            Phase::Connect | Phase::Prepare | Phase::Sent | Phase::Answer => {
                self.hears(client, from) && self.hears(client, to)
            }
            Phase::Finish => self.hosts[to].serves(),
            _ => self.hosts[from].serves(),
        }
    }

    /// The controller that hears of a destination that could not finish, and can tell the source.
    pub(super) fn direct_finish_failed(&self) -> bool {
        let told = |mig: &Mig| mig.client.is_some_and(|client| self.hears(client, mig.from));
        self.mig.as_ref().is_some_and(told)
    }

    /// What each side makes of connections that are gone.
    pub(super) fn direct_watch(&mut self, client: Client, tick: Ms) {
        let Some(mig) = &self.mig else { return };
        let (from, to, phase) = (mig.from, mig.to, mig.phase);
        let silent = if self.hosts[to].answers() { 0 } else { mig.silent + tick };
        let left = self.is_dead(client) || [from, to].iter().any(|host| !self.is_connected(client, *host));
        let waited = if left { mig.source_silent + tick } else { 0 };
        if let Some(mig) = &mut self.mig {
            (mig.silent, mig.source_silent) = (silent, waited);
        }
        let works = self.gates[client.controller].is_open();
        let lost_there = works && (!self.is_connected(client, to) || silent >= GIVES_UP);
        let lost_here = works && !self.is_connected(client, from);
        match phase {
            Phase::Connect | Phase::Prepare if self.is_left(client, from, waited) => self.direct_stands(from),
            Phase::Connect | Phase::Prepare if (lost_there || lost_here) && self.hosts[from].serves() => {
                self.mig_cancels("connection lost");
            }
            // The stream breaks with the destination's QEMU, and the source goes on.
            Phase::Copy | Phase::SwitchOver
                if self.is_left(client, to, waited) || (lost_here && self.hears(client, to)) =>
            {
                self.drop_incoming(to);
            }
            Phase::Sent | Phase::Finish | Phase::Answer if self.is_left(client, from, waited) => {
                self.direct_stands(from);
            }
            Phase::Sent | Phase::Finish | Phase::Answer if lost_there && self.hears(client, from) => {
                self.mig_cancels("connection lost in finish");
            }
            _ => {}
        }
    }

    /// The source was told nothing more by a controller that is gone: its copy stands, and no job is at work on it.
    fn direct_stands(&mut self, from: usize) {
        let Some(mig) = self.mig.take() else { return };
        self.tell(|| "migration: the source was left by its controller".to_owned());
        self.saved(from, Saved::Nothing);
        self.left_alone(&mig);
    }

    /// An incoming domain of a migration that is over on the source, or that nobody carries any more. `finishing`: it is being made ready,
    /// and that needs nobody else.
    pub(super) fn direct_left_alone(&mut self, mig: &Mig, client: Client, call: MigrateCall) {
        let (to, finishing) = (mig.to, mig.phase == Phase::Finish);
        if let Some(process) = self.incoming(to) {
            self.after(LOOK, move |world| world.direct_incoming(client, to, process, call, finishing, 0));
        }
    }

    fn direct_incoming(
        &mut self,
        client: Client,
        to: usize,
        process: Option<Process>,
        call: MigrateCall,
        finishing: bool,
        waited: Ms,
    ) {
        if self.incoming(to) != Some(process) {
            return self.notice_ends(to);
        }
        if self.hosts[to].serves() && finishing && self.qemu_of(to).is_some_and(|qemu| qemu.received) {
            self.finish(to, &call);
        } else if self.hears(client, to) || self.is_left(client, to, waited) {
            self.drop_incoming(to);
        } else {
            let waited = waited + LOOK;
            self.after(LOOK, move |world| {
                world.direct_incoming(client, to, process, call, finishing, waited);
            });
        }
    }
}
