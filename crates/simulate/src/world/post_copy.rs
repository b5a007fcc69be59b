//! Post-copy, as libvirt and QEMU were seen to do it (`VIR_MIGRATE_POSTCOPY` without `VIR_MIGRATE_PAUSED`).
//!
//! ```text
//! copy ▶ switch ▶ follow ▶ answer ▶ confirm ▶ over
//!          └────────┴──▶ the link is lost: post-copy failed ▶ joined again ▶ follow
//! ```
//! * The switch takes the guest from the source for good; it runs on the destination as soon as libvirt there is told to finish.
//! * The memory left follows from QEMU to QEMU, whatever becomes of the daemons: a break of theirs makes the source's libvirt call it
//!   failed, and yet it goes on to its end. Then each daemon notices by itself (the source's definition stays, and the destination may
//!   have none).
//! * A link that is dead for long breaks the stream: both say `post-copy failed`, until somebody joins it again.
//! * One QEMU that ends before the other has everything takes the guest's memory with it. A side hears of that by a reset of its
//!   connection: of a host without power it hears nothing.

use api::vm::VmState;
use ferryd::hypervisor::MigrateCall;
use ferryd::model::domain::{DomainEvent, Reason};

use super::guest::By;
use super::host::{Definition, Saved};
use super::links::{Reply, Told, refusal};
use super::migration::{Mig, Phase};
use super::{Ms, World, ours};

/// How long a guest that rewrites its memory so fast goes on to do so.
const BUSY: Ms = 60_000;
/// Between two steps of the stream.
const STEP: Ms = 100;
/// How many tries to join both again come too soon, at most, and how many of a hundred do so.
const REFUSALS: u32 = 2;
const TOO_SOON: u64 = 60;

/// The rest of the memory on its way.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    id: u32,
    from: usize,
    to: usize,
    /// Both QEMUs, by their hosts.
    pids: [u32; 2],
    /// How long it still takes.
    left: Ms,
    /// How long nothing has flowed, and for how long QEMU bears that.
    silent: Ms,
    bears: Ms,
    /// Both QEMUs wait to be joined again.
    is_broken: bool,
    /// Tries to join them that came too soon.
    refusals: u32,
    /// The destination's definition is written when all is over.
    defines_late: bool,
}

fn invalid<T>(why: &str) -> Told<T> {
    Err(refusal(55, &format!("Requested operation is not valid: {why}")))
}

impl World {
    /// The call that joined a post-copy again waits for its end.
    pub(super) fn begin_follow(&mut self, host: usize, reply: Reply<()>, call: MigrateCall) {
        let id = self.begin(host, reply, call, None);
        self.enter(Phase::Follow, 0);
        self.after(10, move |world| world.mig_tick(id));
    }

    /// What was rewritten meanwhile has to be sent once more.
    pub(super) fn mig_begins_anew(&mut self) -> bool {
        let now = self.now;
        let busy = |mig: &&mut Mig| mig.is_stuck && now - mig.entered < BUSY;
        self.mig.as_mut().filter(busy).map(|mig| mig.left = 2_000).is_some()
    }

    /// The order to switch. What comes when the last data is on its way already is taken, and changes nothing.
    pub fn start_post_copy(&mut self, host: usize) -> Told<()> {
        match self.mig.as_mut().filter(|mig| mig.from == host && mig.call.post_copy) {
            Some(mig) if mig.phase >= Phase::Copy && mig.phase < Phase::Cancel => {
                mig.is_to_switch = true;
                Ok(())
            }
            _ => invalid(
                "post-copy can only be started while an outgoing migration that allows it is in progress",
            ),
        }
    }

    /// QEMU switches: the guest leaves the source, whatever follows.
    pub(super) fn switches(&mut self, from: usize, to: usize) {
        self.halt(from);
        let (Some(source), Some(destination)) = (self.qemu_of(from).copied(), self.qemu_of(to).copied())
        else {
            return;
        };
        if let Some(qemu) = self.qemu_mut(from) {
            qemu.complete = false;
        }
        if let Some(qemu) = self.qemu_mut(to) {
            qemu.memory_until = source.memory_until;
        }
        // By which of QEMU's two events libvirt hears of it first.
        if self.dice.chance(50) {
            self.set_state(from, VmState::Paused, Reason::Migrating, DomainEvent::SuspendedMigrated);
        }
        self.set_state(from, VmState::Paused, Reason::PostCopy, DomainEvent::Suspended);
        self.next_pid += 1;
        let id = self.next_pid;
        let mut pids = [source.process.pid; 2];
        pids[to] = destination.process.pid;
        let (left, order) = (self.scenario.follow_ms.max(1), self.scenario.windows_ms[0]);
        let (bears, defines_late) = (self.dice.between(8_000, 90_000), self.dice.chance(30));
        let stream = Stream {
            id,
            from,
            to,
            pids,
            left,
            silent: 0,
            bears,
            is_broken: false,
            refusals: 0,
            defines_late,
        };
        self.stream = Some(stream);
        self.after(STEP, move |world| world.stream_tick(id));
        self.enter(Phase::Switch, order);
    }

    /// What the daemons do of it.
    pub(super) fn post_copy_step(&mut self, from: usize, to: usize, phase: Phase, tick: Ms) {
        if !self.hosts[from].serves() {
            return;
        }
        if self.qemu_of(from).is_none() {
            return self.mig_over(Err(refusal(38, "End of file from qemu monitor")));
        }
        if phase != Phase::Switch {
            // A destination that lost its copy says so to whoever asks for the end.
            if self.peer_answers(to) && self.stream.is_none_or(|_| !self.stream_lives(to)) {
                self.half_fails(from);
            }
            return;
        }
        if self.incoming(to).flatten().is_none() {
            return self.half_fails(from);
        }
        if self.peer_answers(to) && self.mig_works(tick) {
            self.runs_there(to);
        }
    }

    /// The destination's libvirt is told to finish: the guest runs on there, without most of its memory.
    fn runs_there(&mut self, to: usize) {
        let (persistent, late) = (
            self.mig.as_ref().is_some_and(|mig| mig.call.persistent),
            self.stream.is_some_and(|stream| stream.defines_late),
        );
        if persistent && !late {
            self.define_arrived(to);
        }
        self.saved(to, Saved::Nothing);
        if self.stream.is_some_and(|stream| stream.left == 0)
            && let Some(qemu) = self.qemu_mut(to)
        {
            qemu.complete = true;
        }
        self.run(to);
        self.set_state(to, VmState::Running, Reason::PostCopy, DomainEvent::Resumed);
        self.enter(Phase::Follow, 0);
    }

    /// The destination's daemon writes the definition of what came.
    pub(super) fn define_arrived(&mut self, to: usize) {
        if let Some(domain) = self.hosts[to].domains.get_mut(&ours()) {
            domain.definition = Some(Definition { autostart: false });
            self.spares_definition(to, "taken for the guest's own");
            self.definition_changes(to);
            self.emit(to, ours(), DomainEvent::Defined);
        }
    }

    fn stream_lives(&self, host: usize) -> bool {
        let pid = self.qemu_of(host).map(|qemu| qemu.process.pid);
        self.stream.is_some_and(|stream| pid == Some(stream.pids[host]))
    }

    /// Whether the host's copy is one half of a guest whose memory is not all on the destination.
    #[must_use]
    pub fn is_half(&self, host: usize) -> bool {
        self.stream.is_some_and(|stream| stream.left > 0) && self.stream_lives(host)
    }

    /// Whether the host's copy runs on what the other one sends.
    pub(super) fn is_fed(&self, host: usize) -> bool {
        self.stream.is_some_and(|stream| stream.to == host && self.stream_lives(stream.from))
            && self.stream_lives(host)
    }

    fn stream_tick(&mut self, id: u32) {
        let Some(mut stream) = self.stream.filter(|stream| stream.id == id) else { return };
        let (from, to) = (stream.from, stream.to);
        let (here, there) = (self.stream_lives(from), self.stream_lives(to));
        if !here && !there {
            self.stream = None;
            return;
        }
        if stream.left > 0 && here && there && !stream.is_broken {
            if self.wires_flow() {
                (stream.left, stream.silent) = (stream.left.saturating_sub(STEP), 0);
            } else {
                stream.silent += STEP;
                stream.is_broken = stream.silent >= stream.bears;
            }
        }
        self.stream = Some(stream);
        if stream.left == 0 {
            self.all_followed(from, to, here, there);
        } else if stream.is_broken || !here || !there {
            self.halves_part(from, to, stream.is_broken);
        }
        if self.stream.is_some() {
            self.after(STEP, move |world| world.stream_tick(id));
        }
    }

    /// Each side hears that the other one does not send, or take, any more.
    fn halves_part(&mut self, from: usize, to: usize, is_broken: bool) {
        for (host, other) in [(from, to), (to, from)] {
            let reset = !self.stream_lives(other) && self.hosts[other].power && self.peer_cable;
            if self.stream_lives(host) && (is_broken || reset) {
                self.half_fails(host);
            }
        }
    }

    /// A side's libvirt calls it failed; on the source its call ends with that.
    pub(super) fn half_fails(&mut self, host: usize) {
        if !self.hosts[host].serves() {
            return;
        }
        let state = self.hosts[host].domains.get(&ours()).map(|domain| (domain.state, domain.reason));
        if let Some((state, Reason::PostCopy)) = state {
            let event = if state == VmState::Running { DomainEvent::Resumed } else { DomainEvent::Suspended };
            self.set_state(host, state, Reason::PostCopyFailed, event);
        }
        let follows = |phase| matches!(phase, Phase::Switch | Phase::Follow);
        if self.mig.as_ref().is_some_and(|mig| mig.from == host && follows(mig.phase)) {
            self.mig_over(Err(refusal(38, "operation failed: post-copy migration failed")));
        }
    }

    /// Everything is over: each daemon draws its conclusion, with or without the other one.
    fn all_followed(&mut self, from: usize, to: usize, here: bool, there: bool) {
        let runs = there && self.runs_on(to);
        if let Some(qemu) = self.qemu_mut(to).filter(|_| there) {
            qemu.received = true;
            qemu.complete |= runs;
        }
        let state = self.hosts[to].domains.get(&ours()).map(|domain| (domain.state, domain.reason));
        let open = matches!(state, Some((_, Reason::PostCopy | Reason::PostCopyFailed)));
        if there && open && self.hosts[to].serves() {
            self.arrived_there(to, state.map_or(VmState::Running, |(state, _)| state));
        }
        // Without its call the source's daemon hears of it from its QEMU.
        let attended = self.mig.as_ref().is_some_and(|mig| mig.from == from);
        if here && !attended && self.hosts[from].serves() && self.dice.chance(30) {
            self.die(from, By::Libvirt);
            self.ended(from, ours(), Reason::Migrated, DomainEvent::StoppedMigrated);
        }
        let is_waited_for = (there && open) || self.incoming(to).is_some();
        if !self.stream_lives(from) && !is_waited_for {
            self.stream = None;
        }
    }

    fn arrived_there(&mut self, to: usize, state: VmState) {
        self.set_state(to, state, Reason::Migrated, DomainEvent::Resumed);
        let answer = self.scenario.windows_ms[2];
        let here = self.dice.chance(50);
        let Some(mig) = self.mig.as_mut().filter(|mig| mig.to == to && mig.phase == Phase::Follow) else {
            return;
        };
        mig.answer_is_here = here;
        let persistent = mig.call.persistent;
        if persistent && self.stream.is_some_and(|stream| stream.defines_late) {
            self.define_arrived(to);
        }
        self.enter(Phase::Answer, answer);
    }

    /// QEMU's sockets are closed.
    pub(super) fn stream_breaks(&mut self) {
        if let Some(stream) = self.stream.as_mut().filter(|stream| stream.left > 0) {
            stream.is_broken = true;
        }
    }

    /// A QEMU is about to end; true when the guest's memory goes with it, though it may be no whole copy.
    pub(super) fn tears(&mut self, host: usize) -> bool {
        let Some(stream) = self.stream.filter(|_| self.stream_lives(host)) else { return false };
        let other = 1 - host;
        if stream.left == 0 {
            // The destination has everything, but libvirt there has not been told to finish, and then never will be.
            return !self.runs_on(stream.to);
        }
        if !self.stream_lives(other) {
            return false;
        }
        if host == stream.from {
            self.halt(other);
        }
        true
    }

    /// libvirt is asked to join both halves again.
    pub(super) fn recover(&mut self, host: usize, reply: Reply<()>, call: MigrateCall) {
        let delay = self.dice.between(20, 400);
        self.after(delay, move |world| match world.joins(host) {
            Ok(()) => world.begin_follow(host, reply, call),
            Err(refusal) => reply.send(world, Err(refusal)),
        });
    }

    fn joins(&mut self, host: usize) -> Told<()> {
        let to = 1 - host;
        let failed = |world: &Self, host: usize| {
            let found = world.hosts[host].domains.get(&ours());
            found.is_some_and(|domain| domain.active && domain.reason == Reason::PostCopyFailed)
        };
        if !self.hosts[host].serves() || self.mig.is_some() || !failed(self, host) {
            return invalid("the domain's post-copy has not failed");
        }
        if !self.peer_answers(to) {
            return Err(refusal(38, "unable to connect to the destination"));
        }
        let is_broken = self.stream.is_some_and(|stream| stream.left > 0 && stream.is_broken);
        if !is_broken || !failed(self, to) || !self.stream_lives(to) {
            return invalid("the post-copy is still running");
        }
        let too_soon = self.dice.chance(TOO_SOON);
        let refused = self.stream.as_mut().filter(|stream| too_soon && stream.refusals < REFUSALS);
        if refused.map(|stream| stream.refusals += 1).is_some() || !self.wires_flow() {
            return invalid("the migration is being actively monitored by another thread");
        }
        if let Some(stream) = &mut self.stream {
            (stream.is_broken, stream.silent, stream.refusals) = (false, 0, 0);
        }
        self.set_state(host, VmState::Paused, Reason::PostCopy, DomainEvent::Suspended);
        self.set_state(to, VmState::Running, Reason::PostCopy, DomainEvent::Resumed);
        Ok(())
    }
}
