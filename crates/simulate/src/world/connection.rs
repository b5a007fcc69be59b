//! The connection of the two daemons of a migration, and the wires: who notices that the other says nothing, and what follows.

use super::host::Daemon;
use super::links::refusal;
use super::migration::{Mig, Phase};
use super::{Ms, World};

impl World {
    pub(super) fn peer_answers(&self, to: usize) -> bool {
        self.peer_cable && self.hosts[to].serves()
    }

    pub(super) fn wires_flow(&self) -> bool {
        self.peer_cable && self.now >= self.peer_flows_at && self.hosts[0].power && self.hosts[1].power
    }

    /// Whether the source's QEMU hangs on a network that says nothing.
    #[must_use]
    pub fn mig_is_blocked(&self) -> bool {
        let stands = |mig: &Mig| mig.phase == Phase::SwitchOver && !mig.data_closed;
        self.mig.as_ref().is_some_and(stands) && !self.wires_flow()
    }

    /// The source's daemon keeps an eye on its connection to the destination's.
    pub(super) fn mig_watch(&mut self, tick: Ms) {
        let Some(mig) = &self.mig else { return };
        let (from, to) = (mig.from, mig.to);
        self.mig_watched(from, to, tick);
        if !self.hosts[from].serves() {
            return;
        }
        let answers = self.peer_answers(to);
        let refuses = self.peer_cable && self.hosts[to].power && self.hosts[to].daemon == Daemon::Dead;
        let Some(mig) = &mut self.mig else { return };
        mig.silent = if answers { 0 } else { mig.silent + tick };
        if refuses || mig.silent >= mig.keep_alive {
            mig.conn = false;
        }
        if !mig.conn && !mig.loss_handled {
            mig.loss_handled = true;
            self.mig_lost_connection();
        }
    }

    /// The destination's daemon keeps an eye on its connection, too: from a source that says nothing for long it receives no more, and
    /// ends what has not arrived whole.
    pub(super) fn mig_watched(&mut self, from: usize, to: usize, tick: Ms) {
        let frozen = self.hosts[from].power && self.hosts[from].daemon == Daemon::Frozen;
        let serves = self.hosts[to].serves();
        let Some(mig) = &mut self.mig else { return };
        mig.source_silent = if frozen { mig.source_silent + tick } else { 0 };
        let gives_up = mig.conn && serves && mig.source_silent >= mig.keep_alive;
        if gives_up && matches!(mig.phase, Phase::Prepare | Phase::Copy | Phase::SwitchOver | Phase::Sent) {
            mig.conn = false;
            self.tell(|| "migration: the destination gives the source up".to_owned());
            self.drop_incoming(to);
        }
    }

    pub(super) fn mig_lost_connection(&mut self) {
        let Some(phase) = self.mig.as_ref().map(|mig| mig.phase) else { return };
        self.tell(|| "migration: the daemons' connection is lost".to_owned());
        match phase {
            Phase::Connect | Phase::Prepare | Phase::Copy => self.mig_cancels("connection lost"),
            Phase::SwitchOver => {
                let waits = self.dice.chance(50);
                if let Some(mig) = &mut self.mig {
                    mig.waits_for_peer = waits;
                }
            }
            // What was sent before the connection ended is read before its end.
            Phase::Answer if self.mig.as_ref().is_some_and(|mig| mig.answer_is_here) => {}
            Phase::Sent | Phase::Finish | Phase::Answer => {
                if self.dice.chance(85) {
                    self.mig_cancels("connection lost in finish");
                } else {
                    // Seen too: the source gives up without going on.
                    self.mig_over(Err(refusal(38, "Cannot recv data: Connection reset by peer")));
                }
            }
            // What runs there runs on, and its memory follows, whatever the daemons make of it.
            Phase::Switch | Phase::Follow => {
                if let Some(from) = self.mig.as_ref().map(|mig| mig.from) {
                    self.half_fails(from);
                }
            }
            Phase::Confirm | Phase::Dying | Phase::Cancel => {}
        }
    }
}
