//! Faults come about and heal.

use api::vm::VmState;

use super::guest::By;
use super::migration::Phase;
use super::{DESTINATION, Ms, NAMES, SOURCE, World};
use crate::gate::Passage;
use crate::scenario::{Fault, Trigger, What};

impl World {
    /// Puts the faults with a time of their own into the queue.
    pub fn schedule_faults(&mut self) {
        for fault in self.scenario.faults.clone() {
            if let Trigger::At(at) = fault.trigger {
                self.open_faults += 1;
                self.after(at, move |world| {
                    world.open_faults -= 1;
                    world.strike(fault.what);
                });
            }
        }
    }

    /// The migration came to a phase.
    pub(super) fn phase_entered(&mut self, phase: Phase) {
        self.fire(|trigger| match trigger {
            Trigger::Phase(at, delay) if at == phase => Some(delay),
            _ => None,
        });
    }

    /// An intent was stored.
    pub fn intent_stored(&mut self, step: &str) {
        self.intents += 1;
        self.intent_at = self.now;
        let n = self.intents;
        self.resume_intended |= step == "resume-destination";
        self.people_intend(step);
        self.tell(|| format!("stored: about to {step}"));
        // At once: between the write and its answer. A controller that has the answer makes its call in the same instant.
        let now = |fault: &Fault| fault.trigger == Trigger::Intent(n, 0);
        for fault in self.scenario.faults.extract_if(.., |fault| now(fault)).collect::<Vec<_>>() {
            self.strike(fault.what);
        }
        self.fire(|trigger| match trigger {
            Trigger::Intent(at, delay) if at == n => Some(delay),
            _ => None,
        });
    }

    /// A task has ended that may have left something behind.
    pub(super) fn debt_begins(&mut self) {
        self.fire(|trigger| match trigger {
            Trigger::Owed(delay) => Some(delay),
            _ => None,
        });
    }

    fn fire(&mut self, meets: impl Fn(Trigger) -> Option<Ms>) {
        let (now, later): (Vec<Fault>, Vec<Fault>) = std::mem::take(&mut self.scenario.faults)
            .into_iter()
            .partition(|fault| meets(fault.trigger).is_some());
        self.scenario.faults = later;
        for fault in now {
            let delay = meets(fault.trigger).unwrap_or(0);
            self.open_faults += 1;
            self.after(delay, move |world| {
                world.open_faults -= 1;
                world.strike(fault.what);
            });
        }
    }

    /// Calls off what has not come yet.
    pub fn disarm(&mut self) {
        self.scenario.faults.retain(|fault| matches!(fault.trigger, Trigger::At(_)));
        self.gates.iter().for_each(|gate| gate.set_fuse(0));
    }

    /// Something that lasts, and then is over.
    fn for_a_while(&mut self, lasts: Ms, end: impl FnOnce(&mut Self) + Send + 'static) {
        self.open_faults += 1;
        self.after(lasts, move |world| {
            world.open_faults -= 1;
            world.guest.frozen_since = None;
            end(world);
        });
    }

    fn strike(&mut self, what: What) {
        self.tell(|| format!("FAULT {what:?}"));
        self.faults_seen += 1;
        self.guest.frozen_since = None;
        match what {
            What::DaemonKill(host, lasts) => {
                self.daemon_dies(host);
                self.for_a_while(lasts, move |world| world.daemon_starts(host));
            }
            What::DaemonFreeze(host, lasts) => {
                if self.daemon_freezes(host) {
                    self.for_a_while(lasts, move |world| world.daemon_thaws(host));
                }
            }
            What::QemuKill(host) => {
                self.die(host, By::Fault);
                let delay = self.dice.between(0, 30);
                self.after(delay, move |world| world.notice_ends(host));
            }
            What::PeerCut(lasts) => self.cut_between(lasts),
            What::ControlCut(host, lasts) => self.cut_control(host, lasts),
            What::PowerOff(host, lasts) => self.cut_power(host, lasts),
            What::ConnectionDrop => {
                if let Some(mig) = &mut self.mig {
                    mig.conn = false;
                }
                if self.stream.is_some() && self.dice.chance(50) {
                    self.stream_breaks();
                }
            }
            What::Bystander(host) => self.bystander_waits(host, 0),
            What::Cancel => self.cancel_wanted = true,
            What::Limit(mib_s) => self.limit_wanted_mib_s = Some(mib_s),
            What::ControllerKill(n, lasts) => self.controller_dies(n, lasts),
            What::ControllerFuse(n, passes, lasts) => {
                self.restart_after[n] = lasts;
                self.gates[self.current[n]].set_fuse(passes);
            }
            What::ControllerFreeze(n, lasts) => self.controller_freezes(n, lasts),
            What::LinkDrop(host) => self.links_break(host),
            What::DefineAgain(host) => self.somebody_defines(host),
            What::Remove(host) => self.somebody_removes(host),
            What::File(host) => self.somebodys_file(host),
            What::Start(host) => self.somebody_starts(host),
            What::StartLeftover => self.somebody_starts_leftover(0),
            What::Look => self.looked = Some([0, 1].map(|host| self.said_of(host))),
        }
    }

    fn controller_freezes(&mut self, n: usize, lasts: Ms) {
        let gate = self.gates[self.current[n]].clone();
        gate.set(Passage::Frozen);
        self.for_a_while(lasts, move |world| {
            world.tell(|| format!("controller {n} goes on"));
            gate.set(Passage::Open);
        });
    }

    fn controller_dies(&mut self, n: usize, lasts: Ms) {
        self.restart_after[n] = lasts;
        self.gates[self.current[n]].set(Passage::Dead);
    }

    fn cut_between(&mut self, lasts: Option<Ms>) {
        self.peer_cable = false;
        let Some(lasts) = lasts else {
            self.peer_gone = true;
            return;
        };
        // TCP tries again later and later: after the outage it takes up to as long again.
        let more = lasts * self.dice.between(0, 150) / 100;
        self.for_a_while(lasts, move |world| {
            if world.peer_gone {
                return;
            }
            world.tell(|| "the cable between the hosts is in".to_owned());
            world.peer_cable = true;
            world.peer_flows_at = world.now + more.min(30_000);
        });
    }

    fn cut_control(&mut self, host: usize, lasts: Option<Ms>) {
        self.hosts[host].cable = false;
        match lasts {
            Some(lasts) => self.for_a_while(lasts, move |world| {
                world.tell(|| format!("{}: the cable to the controllers is in", NAMES[host]));
                world.hosts[host].cable = !world.hosts[host].gone;
            }),
            None => self.hosts[host].gone = true,
        }
    }

    fn cut_power(&mut self, host: usize, lasts: Option<Ms>) {
        self.power_goes(host);
        match lasts {
            Some(lasts) => self.for_a_while(lasts, move |world| {
                if !world.hosts[host].gone {
                    world.power_comes(host);
                }
            }),
            None => self.hosts[host].gone = true,
        }
    }

    /// Somebody waits for the name to be free.
    fn bystander_waits(&mut self, host: usize, tries: u32) {
        if tries < 400 && !self.bystander_comes(host) {
            self.after(250, move |world| world.bystander_waits(host, tries + 1));
        }
    }

    /// Whether a guest that ran is frozen at the source although everything that it takes to free it answers: a shell, the
    /// source's daemon, the way there, and a controller.
    #[must_use]
    pub fn is_kept_frozen(&self) -> bool {
        let source = &self.hosts[SOURCE];
        let frozen = source.domains.get(&super::ours()).is_some_and(|domain| {
            domain.qemu.is_some_and(|qemu| !qemu.running) && domain.state == VmState::Paused
        });
        frozen
            && !self.once_more
            // The source stands rightly, or only both hosts together can tell that it need not.
            && !self.by_post_copy
            && self.scenario.wants_running
            && self.scenario.shell
            && self.scenario.noise == crate::scenario::Noise::default()
            && source.answers()
            && self.links.iter().zip(&self.gates).any(|(links, gate)| gate.is_open() && links[SOURCE].is_up())
            && self.guest.lost_at.is_none()
            && !self.was_started(DESTINATION)
    }
}
