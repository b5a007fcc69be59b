//! A host: power, libvirt's daemon, domains and their QEMU processes; how it fails and how it comes back.

use std::collections::BTreeMap;

use api::vm::VmState;
use ferryd::model::DomainUuid;
use ferryd::model::domain::{DomainEvent, Process, Reason};

use super::files::SimFile;
use super::guest::By;
use super::links::Request;
use super::{Ms, NAME, NAMES, World, bystander, ours};
use tokio::sync::oneshot;

/// What the kernel shows of a QEMU process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qemu {
    /// Its number and start.
    pub process: Process,
    /// Whether its processors run.
    pub running: bool,
    /// Up to when its memory is the guest's, while they do not.
    pub memory_until: Ms,
    /// It has received everything.
    pub received: bool,
    /// libvirt lets it run: it began here, or its migration was finished. (What was received without that is not to be had.)
    pub complete: bool,
}

/// A definition on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Starts with its host.
    pub autostart: bool,
}

/// What libvirt has written down of a migration, by which it cleans up after a restart of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// No migration.
    Nothing,
    /// It comes in: a restart kills it.
    Incoming,
    /// It goes out and is not all there: a restart cancels that and lets it go on.
    Outgoing,
    /// All is sent, and what the destination made of it is unknown: a restart leaves it as it is.
    Sent,
    /// The destination has it: a restart kills it.
    Confirming,
}

/// A domain as libvirt keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Its definition, where it is persistent.
    pub definition: Option<Definition>,
    /// Its process, whatever libvirt knows of it.
    pub qemu: Option<Qemu>,
    /// libvirt takes it for active.
    pub active: bool,
    /// Its state.
    pub state: VmState,
    /// And why.
    pub reason: Reason,
    /// What is written down of its migration.
    pub saved: Saved,
}

/// libvirt's daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// It answers.
    Running,
    /// It is there and does nothing.
    Frozen,
    /// It is gone.
    Dead,
}

/// Somebody on the host who waits for a process to end.
#[derive(Debug)]
pub struct Watcher {
    /// The process.
    pub process: Process,
    /// Whom to tell; false when the connection broke.
    pub tell: oneshot::Sender<bool>,
}

/// A host.
#[derive(Debug)]
pub struct Host {
    /// It has power.
    pub power: bool,
    /// It will have none again in this history.
    pub gone: bool,
    /// Its boots so far.
    pub boot: u64,
    /// When the last one was.
    pub booted_at: Ms,
    /// Starts of its daemon so far: connections to an earlier one are dead, whoever has noticed.
    pub daemon_starts: u64,
    /// Its daemon.
    pub daemon: Daemon,
    /// The cable to the controllers.
    pub cable: bool,
    /// Since when it has not answered the controllers (for keep-alive).
    pub silent_since: Option<Ms>,
    /// Its domains.
    pub domains: BTreeMap<DomainUuid, Domain>,
    /// What came while the daemon was frozen.
    pub inbox: Vec<Request>,
    /// What the daemon will tell when it goes on.
    pub untold: Vec<(DomainUuid, DomainEvent)>,
    /// Watchers of processes.
    pub watchers: Vec<Watcher>,
    /// Files, by their path.
    pub files: BTreeMap<String, SimFile>,
}

impl Host {
    /// A host with nothing on it.
    #[must_use]
    pub fn new() -> Self {
        Self {
            power: true,
            gone: false,
            boot: 1,
            booted_at: 0,
            daemon_starts: 1,
            daemon: Daemon::Running,
            cable: true,
            silent_since: None,
            domains: BTreeMap::new(),
            inbox: Vec::new(),
            untold: Vec::new(),
            watchers: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    /// Whether a controller reaches the machine.
    #[must_use]
    pub fn reachable(&self) -> bool {
        self.power && self.cable
    }

    /// Whether a controller would get an answer of libvirt's now.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.reachable() && self.daemon == Daemon::Running
    }

    /// Whether the daemon works.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.power && self.daemon == Daemon::Running
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// The guest's QEMU on a host.
    #[must_use]
    pub fn qemu_of(&self, host: usize) -> Option<&Qemu> {
        self.hosts[host].domains.get(&ours())?.qemu.as_ref()
    }

    pub(super) fn qemu_mut(&mut self, host: usize) -> Option<&mut Qemu> {
        self.hosts[host].domains.get_mut(&ours())?.qemu.as_mut()
    }

    /// A new process.
    pub fn new_qemu(&mut self, running: bool, memory_until: Ms, complete: bool) -> Qemu {
        self.next_pid += 1;
        let process = Process { pid: self.next_pid, start_ticks: self.now / 10 };
        Qemu { process, running, memory_until, received: complete, complete }
    }

    /// Puts the guest (and what else the scenario wants) where it begins.
    pub fn furnish(&mut self) {
        let (wants_running, cold) = (self.scenario.wants_running, self.scenario.cold);
        let qemu = (!cold).then(|| self.new_qemu(wants_running, 0, true));
        let (state, reason) = match (cold, wants_running) {
            (true, _) => (VmState::Shutoff, Reason::Other),
            (_, true) => (VmState::Running, Reason::Other),
            (_, false) => (VmState::Paused, Reason::User),
        };
        let definition =
            self.scenario.persistent.then_some(Definition { autostart: self.scenario.autostart });
        let domain = Domain {
            name: NAME.to_owned(),
            definition,
            qemu,
            active: !cold,
            state,
            reason,
            saved: Saved::Nothing,
        };
        self.hosts[super::SOURCE].domains.insert(ours(), domain);
        self.furnish_files();
    }

    /// Somebody defines another domain of the same name where that name is free.
    pub fn bystander_comes(&mut self, host: usize) -> bool {
        if !self.hosts[host].serves() || self.hosts[host].domains.values().any(|domain| domain.name == NAME) {
            return false;
        }
        let kind = self.dice.between(0, 2);
        let qemu = (kind > 0).then(|| self.new_qemu(kind == 2, 0, true));
        let (state, reason) = [
            (VmState::Shutoff, Reason::Other),
            (VmState::Paused, Reason::User),
            (VmState::Running, Reason::Other),
        ][usize::try_from(kind).unwrap_or(0)];
        let domain = Domain {
            name: NAME.to_owned(),
            definition: Some(Definition { autostart: false }),
            qemu,
            active: qemu.is_some(),
            state,
            reason,
            saved: Saved::Nothing,
        };
        self.tell(|| format!("{}: somebody's other {NAME} appears ({state:?})", NAMES[host]));
        self.hosts[host].domains.insert(bystander(), domain);
        true
    }

    /// What a host says of the guest when it is asked, in libvirt's words.
    #[must_use]
    pub fn said_of(&self, host: usize) -> String {
        if !self.hosts[host].power {
            return "powered off".to_owned();
        }
        if self.hosts[host].daemon != Daemon::Running {
            return "no answer".to_owned();
        }
        let Some(domain) = self.hosts[host].domains.get(&ours()) else { return "absent".to_owned() };
        let said = match (domain.state, domain.reason) {
            (VmState::Running, Reason::Migrated) => "running (migrated)",
            (VmState::Running, Reason::MigrationCanceled) => "running (migration canceled)",
            (VmState::Paused, Reason::Migrating) => "paused (migrating)",
            (VmState::Running, Reason::PostCopy) => "running (post-copy)",
            (VmState::Running, Reason::PostCopyFailed) => "running (post-copy failed)",
            (VmState::Running, _) => "running (booted)",
            (VmState::Paused, Reason::PostCopy) => "paused (post-copy)",
            (VmState::Paused, Reason::PostCopyFailed) => "paused (post-copy failed)",
            (VmState::Paused, _) => "paused (user)",
            (_, Reason::Migrated) => "shut off (migrated)",
            (_, Reason::Crashed) => "shut off (crashed)",
            (_, _) => "shut off",
        };
        said.to_owned()
    }

    /// libvirt notices that an active domain's process is gone.
    pub fn notice_ends(&mut self, host: usize) {
        if !self.hosts[host].serves() {
            return;
        }
        let ended: Vec<DomainUuid> = self.hosts[host]
            .domains
            .iter()
            .filter(|(_, domain)| domain.active && domain.qemu.is_none() && domain.saved != Saved::Confirming)
            .map(|(uuid, _)| *uuid)
            .collect();
        for uuid in ended {
            self.ended(host, uuid, Reason::Crashed, DomainEvent::Stopped);
        }
    }

    /// libvirt writes down that a domain is not active any more; a transient one is forgotten with that.
    pub fn ended(&mut self, host: usize, uuid: DomainUuid, reason: Reason, event: DomainEvent) {
        let Some(domain) = self.hosts[host].domains.get_mut(&uuid) else { return };
        domain.active = false;
        domain.state = VmState::Shutoff;
        domain.reason = reason;
        domain.saved = Saved::Nothing;
        if domain.definition.is_none() {
            self.hosts[host].domains.remove(&uuid);
        }
        self.tell(|| format!("{}: libvirt: shut off ({reason:?})", NAMES[host]));
        self.emit(host, uuid, event);
    }

    /// A host's guest gets a state.
    pub fn set_state(&mut self, host: usize, state: VmState, reason: Reason, event: DomainEvent) {
        let Some(domain) = self.hosts[host].domains.get_mut(&ours()) else { return };
        (domain.state, domain.reason) = (state, reason);
        self.tell(|| format!("{}: libvirt: {state:?} ({reason:?})", NAMES[host]));
        self.emit(host, ours(), event);
    }

    pub(super) fn saved(&mut self, host: usize, saved: Saved) {
        if let Some(domain) = self.hosts[host].domains.get_mut(&ours()) {
            domain.saved = saved;
        }
    }

    /// The daemon is killed.
    pub fn daemon_dies(&mut self, host: usize) {
        if self.hosts[host].daemon == Daemon::Dead {
            return;
        }
        self.tell(|| format!("{}: libvirtd is killed", NAMES[host]));
        self.hosts[host].daemon = Daemon::Dead;
        self.hosts[host].inbox.clear();
        self.hosts[host].untold.clear();
        self.links_closed_by(host);
        self.migration_lost_daemon(host);
    }

    /// The daemon is started and reads what it had written down.
    pub fn daemon_starts(&mut self, host: usize) {
        if !self.hosts[host].power || self.hosts[host].daemon != Daemon::Dead {
            return;
        }
        self.tell(|| format!("{}: libvirtd starts", NAMES[host]));
        self.hosts[host].daemon = Daemon::Running;
        self.hosts[host].daemon_starts += 1;
        self.reload(host);
    }

    fn reload(&mut self, host: usize) {
        let saved = self.hosts[host].domains.get(&ours()).map(|domain| domain.saved);
        match saved {
            Some(Saved::Incoming) => self.die(host, By::Libvirt),
            Some(Saved::Confirming) => {
                self.die(host, By::Libvirt);
                self.ended(host, ours(), Reason::Migrated, DomainEvent::StoppedMigrated);
            }
            Some(Saved::Outgoing) if self.qemu_of(host).is_some() => {
                self.saved(host, Saved::Nothing);
                self.goes_on(host);
            }
            _ => {}
        }
        self.notice_ends(host);
        self.saved(host, Saved::Nothing);
    }

    /// A source whose migration was broken off goes on, where it ran before.
    pub fn goes_on(&mut self, host: usize) {
        let frozen = self.hosts[host]
            .domains
            .get(&ours())
            .is_some_and(|domain| (domain.state, domain.reason) == (VmState::Paused, Reason::Migrating));
        if frozen && self.qemu_of(host).is_some() {
            self.run_unasked(host);
            self.set_state(host, VmState::Running, Reason::MigrationCanceled, DomainEvent::Resumed);
        }
    }

    /// The daemon is stopped as by SIGSTOP.
    pub fn daemon_freezes(&mut self, host: usize) -> bool {
        let freezes = self.hosts[host].serves();
        if freezes {
            self.tell(|| format!("{}: libvirtd is frozen", NAMES[host]));
            self.hosts[host].daemon = Daemon::Frozen;
        }
        freezes
    }

    /// The daemon goes on: it answers what came meanwhile and tells what happened.
    pub fn daemon_thaws(&mut self, host: usize) {
        if self.hosts[host].daemon != Daemon::Frozen {
            return;
        }
        self.tell(|| format!("{}: libvirtd goes on", NAMES[host]));
        self.hosts[host].daemon = Daemon::Running;
        for (uuid, event) in std::mem::take(&mut self.hosts[host].untold) {
            self.emit(host, uuid, event);
        }
        self.notice_ends(host);
        for (n, request) in std::mem::take(&mut self.hosts[host].inbox).into_iter().enumerate() {
            // One whose sender is gone may have been read before that was noticed, or not.
            let stale = !self.links[request.controller][host].is(request.epoch);
            if stale && self.dice.chance(50) {
                continue;
            }
            self.after(2 * n as Ms, move |world| world.arrive(host, request, 0));
        }
    }

    /// Power goes; nobody says goodbye.
    pub fn power_goes(&mut self, host: usize) {
        if !self.hosts[host].power {
            return;
        }
        self.tell(|| format!("{}: power off", NAMES[host]));
        self.hosts[host].power = false;
        self.hosts[host].daemon = Daemon::Dead;
        self.die(host, By::Fault);
        let host_now = &mut self.hosts[host];
        host_now.inbox.clear();
        host_now.untold.clear();
        host_now.domains.retain(|_, domain| domain.definition.is_some());
        for domain in host_now.domains.values_mut() {
            domain.qemu = None;
            domain.active = false;
            (domain.state, domain.reason) = (VmState::Shutoff, Reason::Other);
            domain.saved = Saved::Nothing;
        }
        self.migration_lost_power(host);
    }

    /// Power comes back: the host boots, and starts what is to start with it.
    pub fn power_comes(&mut self, host: usize) {
        if self.hosts[host].power {
            return;
        }
        self.tell(|| format!("{}: boots", NAMES[host]));
        self.hosts[host].power = true;
        self.hosts[host].boot += 1;
        self.hosts[host].booted_at = self.now;
        self.hosts[host].daemon_starts += 1;
        self.links_closed_by(host);
        self.hosts[host].daemon = Daemon::Running;
        let autostarts = self.hosts[host]
            .domains
            .get(&ours())
            .is_some_and(|domain| domain.definition.is_some_and(|definition| definition.autostart));
        if autostarts {
            self.cold_boot(host);
        }
    }

    /// Somebody starts the guest where it is defined and does not run.
    pub fn somebody_starts(&mut self, host: usize) {
        let defined = self.hosts[host].domains.get(&ours()).is_some_and(|domain| !domain.active);
        if defined && self.hosts[host].serves() {
            self.cold_boot(host);
        }
    }

    /// The guest boots anew from its disk.
    pub(super) fn cold_boot(&mut self, host: usize) {
        self.tell(|| format!("{}: {NAME} boots", NAMES[host]));
        let qemu = self.new_qemu(false, self.now, true);
        if let Some(domain) = self.hosts[host].domains.get_mut(&ours()) {
            domain.qemu = Some(qemu);
            domain.active = true;
        }
        // Its disk is not what any older memory believes it to be.
        self.guest.ran_until = self.now;
        self.guest.rebooted = true;
        self.run(host);
        self.set_state(host, VmState::Running, Reason::Other, DomainEvent::Started);
    }
}
