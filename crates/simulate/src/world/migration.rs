//! libvirt's peer-to-peer migration, as it was seen to go: driven by the source's daemon, the memory carried by the two QEMUs.
//!
//! ```text
//! connect ▶ prepare ▶ copy ▶ switch-over ▶ sent ▶ finish ▶ answer ▶ confirm ▶ over
//!    └─────────┴───────┴─────────┴──────────┴───────┴───────┴──▶ cancel ─────▶ over
//! ```
//! From `copy` it may be switched to post-copy instead (`post_copy`).
//!
//! `copy` and `switch-over` go on without the source's daemon; everything else on a side needs that side's daemon. In `finish`
//! the destination makes its copy ready; a break between there and `confirm` leaves the source not knowing of it.

use api::task::PostCopy;
use api::vm::VmState;
use ferryd::hypervisor::MigrateCall;
use ferryd::model::domain::{DomainEvent, JobFigures, Reason};

use super::direct::Client;
use super::guest::By;
use super::host::{Domain, Saved};
use super::links::{Reply, Told, refusal};
use super::{Ms, NAME, NAMES, World, bystander, ours};

/// How long TCP sends again before it gives a connection up.
const TCP_GIVES_UP: Ms = 924_000;
/// What QEMU counts as sent as soon as it has begun: the stream's header and the list of the memory's blocks, which fit into the socket's
/// buffer whatever becomes of the cable.
const HEADER_BYTES: u64 = 4_096;

/// What is sent in a second, where that matters.
const RATE: u64 = 1 << 27;

/// Where a migration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The source's daemon connects to the destination's.
    Connect,
    /// The destination makes an incoming domain.
    Prepare,
    /// Memory is copied while the guest runs.
    Copy,
    /// The guest stands, the rest is copied.
    SwitchOver,
    /// Everything is there; the order to finish is on its way.
    Sent,
    /// The destination finishes.
    Finish,
    /// The answer is on its way.
    Answer,
    /// The source ends its copy.
    Confirm,
    /// The source ended it; its records follow.
    Dying,
    /// It was broken off; the destination is told.
    Cancel,
    /// It was switched to post-copy; the order to let it run there is on its way.
    Switch,
    /// It runs there, and its memory follows.
    Follow,
}

impl Phase {
    /// Whether libvirt takes an abort.
    #[must_use]
    pub fn can_be_aborted(self) -> bool {
        self <= Self::SwitchOver
    }
}

/// A migration under way.
#[derive(Debug)]
pub struct Mig {
    /// Its number.
    pub id: u32,
    /// The source.
    pub from: usize,
    /// The destination.
    pub to: usize,
    /// Where it stands.
    pub phase: Phase,
    pub(super) call: MigrateCall,
    /// The controller between the daemons, where there is one.
    pub(super) client: Option<Client>,
    reply: Option<Reply<()>>,
    pub(super) entered: Ms,
    /// Work left in this phase.
    pub(super) left: Ms,
    /// The daemons' connection.
    pub conn: bool,
    /// The source has drawn its conclusion from the loss of it.
    pub(super) loss_handled: bool,
    pub(super) silent: Ms,
    /// How long the source's daemon has said nothing to the destination's.
    pub(super) source_silent: Ms,
    pub(super) keep_alive: Ms,
    /// The connection of the two QEMUs was closed.
    pub data_closed: bool,
    /// A lost connection makes the source give up only when the destination's daemon is back.
    pub(super) waits_for_peer: bool,
    /// The destination's answer has come as far as the source's machine, and waits there to be read: nothing that breaks elsewhere
    /// takes it back.
    pub(super) answer_is_here: bool,
    hung: Ms,
    iteration: u64,
    error: String,
    /// It is to be switched to post-copy.
    pub(super) is_to_switch: bool,
    /// The guest rewrites its memory as fast as it is sent.
    pub(super) is_stuck: bool,
}

impl Mig {
    /// The job's figures.
    #[must_use]
    pub fn figures(&self) -> JobFigures {
        let sent_bytes = match self.phase {
            Phase::Connect | Phase::Prepare => 0,
            Phase::Copy => HEADER_BYTES + (10_000_u64.saturating_sub(self.left) << 16),
            Phase::SwitchOver => HEADER_BYTES + (20_000_u64.saturating_sub(self.left) << 16),
            _ => HEADER_BYTES + (30_000 << 16),
        };
        JobFigures {
            active: true,
            data_processed_bytes: sent_bytes,
            memory_processed_bytes: sent_bytes,
            memory_remaining_bytes: if self.is_stuck { HEADER_BYTES << 8 } else { self.left << 16 },
            memory_bytes_s: RATE,
            dirty_bytes_s: if self.is_stuck { RATE } else { 0 },
            memory_total_bytes: 1 << 30,
            iteration: self.iteration,
            ..JobFigures::default()
        }
    }

    fn tick(&self, now: Ms) -> Ms {
        match self.phase {
            Phase::Copy => 100,
            Phase::Connect | Phase::Prepare => 50,
            _ if now - self.entered < 100 => 5,
            _ if now - self.entered < 1_000 => 25,
            _ if now - self.entered > 60_000 => 500,
            _ => 50,
        }
    }
}

impl World {
    /// A call to send the guest away.
    pub fn migrate(&mut self, host: usize, reply: Reply<()>, call: MigrateCall) {
        self.migrate_by(host, reply, call, None);
    }

    pub(super) fn migrate_by(
        &mut self,
        host: usize,
        reply: Reply<()>,
        call: MigrateCall,
        client: Option<Client>,
    ) {
        if call.recover {
            return self.recover(host, reply, call);
        }
        let active = self.hosts[host].domains.get(&ours()).is_some_and(|domain| domain.active);
        if !active || self.mig.is_some() {
            return reply.send(self, Err(refusal(55, "domain is not running, or another job is active")));
        }
        let left = self.dice.between(50, 500);
        let id = self.begin(host, reply, call, client);
        self.enter(Phase::Connect, left);
        self.after(10, move |world| world.mig_tick(id));
    }

    pub(super) fn begin(
        &mut self,
        host: usize,
        reply: Reply<()>,
        call: MigrateCall,
        client: Option<Client>,
    ) -> u32 {
        self.next_pid += 1;
        let id = self.next_pid;
        let keep_alive = self.dice.between(25_000, 30_000);
        self.by_post_copy = call.post_copy;
        let is_stuck = self.scenario.post_copy == Some(PostCopy::WhenStuck) && !call.post_copy;
        self.mig = Some(Mig {
            id,
            from: host,
            to: 1 - host,
            phase: Phase::Connect,
            call,
            client,
            reply: Some(reply),
            entered: self.now,
            left: 0,
            conn: true,
            loss_handled: false,
            silent: 0,
            source_silent: 0,
            keep_alive,
            data_closed: false,
            waits_for_peer: false,
            answer_is_here: false,
            hung: 0,
            iteration: 0,
            error: String::new(),
            is_to_switch: false,
            is_stuck,
        });
        id
    }

    pub(super) fn enter(&mut self, phase: Phase, left: Ms) {
        let now = self.now;
        if let Some(mig) = &mut self.mig {
            (mig.phase, mig.left, mig.entered) = (phase, left, now);
        }
        self.tell(|| format!("migration: {phase:?}"));
        self.phase_entered(phase);
    }

    pub(super) fn mig_tick(&mut self, id: u32) {
        let Some(tick) = self.mig_now(id) else { return };
        match self.mig.as_ref().and_then(|mig| mig.client) {
            Some(client) => self.direct_watch(client, tick),
            None => self.mig_watch(tick),
        }
        if self.mig_now(id).is_some() {
            self.mig_step(tick);
        }
        if let Some(tick) = self.mig_now(id) {
            self.after(tick, move |world| world.mig_tick(id));
        }
    }

    /// The pace of this migration, while it is under way.
    fn mig_now(&self, id: u32) -> Option<Ms> {
        self.mig.as_ref().filter(|mig| mig.id == id).map(|mig| mig.tick(self.now))
    }

    fn mig_step(&mut self, tick: Ms) {
        let Some(mig) = &self.mig else { return };
        let (from, to, phase, client) = (mig.from, mig.to, mig.phase, mig.client);
        let source_serves = self.hosts[from].serves();
        let copying = matches!(phase, Phase::Copy | Phase::SwitchOver);
        if copying {
            return self.mig_copies(from, to, phase, tick);
        }
        if matches!(phase, Phase::Switch | Phase::Follow) {
            return self.post_copy_step(from, to, phase, tick);
        }
        let goes = match phase {
            _ if client.is_some() => client.is_some_and(|client| self.direct_goes(client, from, to, phase)),
            Phase::Connect | Phase::Prepare | Phase::Sent | Phase::Cancel => {
                source_serves && self.peer_answers(to)
            }
            Phase::Finish => self.hosts[to].serves(),
            Phase::Answer => {
                let on_its_way = self.peer_cable && self.hosts[to].power;
                source_serves && (mig.answer_is_here || on_its_way)
            }
            _ => source_serves,
        };
        if phase == Phase::Sent && source_serves {
            self.saved(from, Saved::Sent);
        }
        if source_serves && phase < Phase::Finish && phase > Phase::Prepare && self.qemu_of(to).is_none() {
            return self.mig_cancels("the destination's QEMU is gone");
        }
        if source_serves && phase == Phase::Cancel && !self.mig.as_ref().is_some_and(|mig| mig.conn) {
            return self.mig_told();
        }
        if goes && self.mig_works(tick) {
            self.mig_next(from, to, phase);
        }
    }

    /// Does this much of the phase's work; true when it is done.
    pub(super) fn mig_works(&mut self, tick: Ms) -> bool {
        let Some(mig) = &mut self.mig else { return false };
        mig.left = mig.left.saturating_sub(tick);
        mig.left == 0
    }

    /// What the two QEMUs do, with or without their daemons.
    fn mig_copies(&mut self, from: usize, to: usize, phase: Phase, tick: Ms) {
        let serves = self.hosts[from].serves();
        if self.qemu_of(from).is_none() {
            if serves {
                self.mig_over(Err(refusal(38, "End of file from qemu monitor")));
            }
            return;
        }
        if self.mig_is_blocked() {
            return self.mig_hangs(tick);
        }
        let Some(mig) = &self.mig else { return };
        let lost = phase == Phase::SwitchOver && mig.loss_handled;
        let broken = mig.data_closed || self.qemu_of(to).is_none();
        let gives_up = lost && (!mig.waits_for_peer || self.hosts[to].serves());
        if broken || gives_up {
            // QEMU goes on by itself; libvirt hears of it.
            return if serves { self.mig_cancels("the stream broke") } else { self.goes_on(from) };
        }
        if lost || !self.wires_flow() {
            return;
        }
        if phase == Phase::Copy && self.mig.as_ref().is_some_and(|mig| mig.is_to_switch) {
            return self.switches(from, to);
        }
        if self.mig_works(tick) {
            self.mig_next(from, to, phase);
        } else if phase == Phase::Copy {
            self.mig_iterates(from);
        }
    }

    /// The source's QEMU hangs until TCP gives up.
    fn mig_hangs(&mut self, tick: Ms) {
        let Some(mig) = &mut self.mig else { return };
        mig.hung += tick;
        mig.data_closed |= mig.hung >= TCP_GIVES_UP;
    }

    fn mig_iterates(&mut self, from: usize) {
        let Some(mig) = &mut self.mig else { return };
        if mig.left % 1_000 < 100 {
            mig.iteration += 1;
            let iteration = mig.iteration;
            self.emit(from, ours(), DomainEvent::Iteration(iteration));
        }
    }

    fn mig_next(&mut self, from: usize, to: usize, phase: Phase) {
        let scenario = &self.scenario;
        let (copy, switch, windows) = (scenario.copy_ms, scenario.switch_ms, scenario.windows_ms);
        match phase {
            Phase::Connect => {
                let left = self.dice.between(50, 300);
                self.enter(Phase::Prepare, left);
            }
            Phase::Prepare => self.mig_prepared(from, to, copy),
            Phase::Copy if self.mig_begins_anew() => self.mig_iterates(from),
            Phase::Copy => self.mig_pauses(from, switch),
            Phase::SwitchOver => {
                let until = self.qemu_of(from).map(|qemu| qemu.memory_until);
                if let (Some(qemu), Some(until)) = (self.qemu_mut(to), until) {
                    (qemu.received, qemu.memory_until) = (true, until);
                }
                self.image_arrives(to);
                self.enter(Phase::Sent, windows[0]);
            }
            Phase::Sent => self.enter(Phase::Finish, windows[1]),
            Phase::Finish => self.mig_finishes(to, windows[2]),
            Phase::Answer => {
                self.saved(from, Saved::Confirming);
                let left = self.dice.between(10, 20);
                self.enter(Phase::Confirm, left);
            }
            Phase::Confirm => self.mig_kills_source(from),
            Phase::Dying => self.mig_done(from),
            Phase::Cancel => {
                // A controller tells the destination itself.
                if self.mig.as_ref().is_some_and(|mig| mig.client.is_none()) {
                    self.drop_incoming(to);
                }
                self.mig_told();
            }
            Phase::Switch | Phase::Follow => {}
        }
    }

    fn mig_prepared(&mut self, from: usize, to: usize, copy: Ms) {
        let domains = &self.hosts[to].domains;
        let there = domains.get(&ours());
        if domains.contains_key(&bystander()) || there.is_some_and(|domain| domain.active) {
            let error = refusal(9, "operation failed: domain 'web1' already exists with uuid");
            return self.mig_over(Err(error));
        }
        // A definition of the same name and UUID that does not run is taken for the domain's own.
        let definition = there.and_then(|domain| domain.definition);
        let copies = self.mig.as_ref().is_some_and(|mig| !mig.call.copied_disks.is_empty());
        let new_name = self.mig.as_ref().and_then(|mig| mig.call.rewrite.name.clone());
        if copies && self.file(to, super::files::IMAGE).is_none() {
            return self.mig_over(Err(refusal(49, "no storage pool with matching target path")));
        }
        let qemu = self.new_qemu(false, 0, false);
        let domain = Domain {
            name: new_name.unwrap_or_else(|| NAME.to_owned()),
            definition,
            qemu: Some(qemu),
            active: true,
            state: VmState::Paused,
            reason: Reason::Migrating,
            saved: Saved::Incoming,
        };
        self.hosts[to].domains.insert(ours(), domain);
        self.emit(to, ours(), DomainEvent::Started);
        self.saved(from, Saved::Outgoing);
        self.enter(Phase::Copy, copy);
    }

    fn mig_pauses(&mut self, from: usize, switch: Ms) {
        // A guest that was paused before stays as it is.
        if self.runs_on(from) {
            self.halt(from);
            self.set_state(from, VmState::Paused, Reason::Migrating, DomainEvent::SuspendedMigrated);
        }
        self.enter(Phase::SwitchOver, switch);
    }

    fn mig_finishes(&mut self, to: usize, answer: Ms) {
        let Some(call) = self.mig.as_ref().map(|mig| mig.call.clone()) else { return };
        if self.finish(to, &call) {
            let here = self.dice.chance(50);
            if let Some(mig) = &mut self.mig {
                mig.answer_is_here = here;
            }
            self.enter(Phase::Answer, answer);
        } else if self.direct_finish_failed() {
            self.mig_cancels("the destination could not finish");
        } else if let Some(mig) = &mut self.mig {
            // The source learns it as soon as it listens.
            mig.conn = false;
        }
    }

    /// The destination makes its copy ready; false when there is none.
    pub(super) fn finish(&mut self, to: usize, call: &MigrateCall) -> bool {
        let Some(qemu) = self.qemu_mut(to) else { return false };
        qemu.complete = true;
        self.found_again(to);
        if call.persistent {
            self.define_arrived(to);
        }
        self.saved(to, Saved::Nothing);
        if call.arrive_paused || !self.scenario.wants_running {
            self.set_state(to, VmState::Paused, Reason::User, DomainEvent::Suspended);
        } else {
            self.run_unasked(to);
            self.set_state(to, VmState::Running, Reason::Migrated, DomainEvent::Resumed);
        }
        self.destination_is_ready(to);
        true
    }

    fn mig_kills_source(&mut self, from: usize) {
        self.die(from, By::Libvirt);
        let left = self.dice.between(0, 210);
        self.enter(Phase::Dying, left);
    }

    fn mig_done(&mut self, from: usize) {
        let undefines = self.mig.as_ref().is_some_and(|mig| mig.call.persistent && !mig.call.keep_source);
        self.ended(from, ours(), Reason::Migrated, DomainEvent::StoppedMigrated);
        if undefines && self.hosts[from].domains.contains_key(&ours()) {
            // The record is there: nothing refuses it.
            let _ = self.undefine(from, ours());
        }
        let figures = self.mig.as_ref().map(Mig::figures).unwrap_or_default();
        self.emit(from, ours(), DomainEvent::JobCompleted(JobFigures { active: false, ..figures }));
        self.mig_over(Ok(()));
    }

    /// The source gives the migration up; its guest goes on.
    pub(super) fn mig_cancels(&mut self, why: &str) {
        let Some(mig) = self.mig.as_mut().filter(|mig| mig.phase != Phase::Cancel) else { return };
        mig.error = why.to_owned();
        let (from, phase) = (mig.from, mig.phase);
        self.tell(|| format!("migration: broken off: {why}"));
        self.goes_on(from);
        self.saved(from, Saved::Nothing);
        if phase >= Phase::Finish {
            return self.mig_told();
        }
        let left = self.dice.between(10, 100);
        self.enter(Phase::Cancel, left);
    }

    fn mig_told(&mut self) {
        let why = self.mig.as_ref().map(|mig| mig.error.clone()).unwrap_or_default();
        self.mig_over(Err(refusal(38, &format!("operation failed: migration: {why}"))));
    }

    /// The source's part is over; its call returns, and may say something else than what happened.
    pub(super) fn mig_over(&mut self, result: Told<()>) {
        let Some(mut mig) = self.mig.take() else { return };
        self.saved(mig.from, Saved::Nothing);
        let lies = self.noisy && self.dice.per_mille(self.scenario.noise.lies);
        let result = match (result, lies) {
            (told, false) => told,
            (Ok(()), true) => Err(refusal(38, "End of file while reading data")),
            (Err(_), true) => Ok(()),
        };
        self.tell(|| format!("{}: the migration's call ends: {result:?}", NAMES[mig.from]));
        if let Some(reply) = mig.reply.take() {
            reply.send(self, result);
        }
        self.left_alone(&mig);
    }
}
