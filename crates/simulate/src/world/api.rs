//! What libvirt does when asked: the calls of the seam, as a live daemon carries them out.

use api::vm::VmState;
use ferryd::hypervisor::CopyIdentity;
use ferryd::libvirt::error::{NO_DOMAIN, OPERATION_INVALID};
use ferryd::model::DomainUuid;
use ferryd::model::domain::{DomainEvent, DomainSight, JobFigures, Process, Reason};

use super::guest::By;
use super::host::{Daemon, Definition, Domain, Saved};
use super::links::{Reply, Told, refusal};
use super::migration::Phase;
use super::{Ms, NAME, NAMES, World, bystander, ours};
use crate::plant::Plant;

fn no_domain<T>() -> Told<T> {
    Err(refusal(NO_DOMAIN, "Domain not found: no domain with matching uuid"))
}

fn invalid<T>(why: &str) -> Told<T> {
    Err(refusal(OPERATION_INVALID, &format!("Requested operation is not valid: {why}")))
}

impl World {
    /// The domain that a call means. By its UUID, unless the mistake of going by names is planted.
    fn meant(&self, host: usize, domain: DomainUuid) -> DomainUuid {
        if self.plant == Some(Plant::UndoByName) {
            let named = self.hosts[host].domains.iter().find(|(_, domain)| domain.name == NAME);
            return named.map_or(domain, |(uuid, _)| *uuid);
        }
        domain
    }

    fn find(&mut self, host: usize, domain: DomainUuid) -> Option<(DomainUuid, &mut Domain)> {
        let meant = self.meant(host, domain);
        let found = self.hosts[host].domains.get_mut(&meant)?;
        Some((meant, found))
    }

    fn nobody_elses(&mut self, host: usize, uuid: DomainUuid, call: &str) {
        if uuid == bystander() {
            self.violate(format!("{call} on {} touched somebody else's domain", NAMES[host]));
        }
    }

    fn has_job(&self, host: usize) -> bool {
        let halved = self.stream.is_some() && self.is_half(host) && !self.runs_on(host);
        halved || self.mig.as_ref().is_some_and(|mig| mig.from == host)
    }

    /// What libvirt says of a domain; none when there is none.
    #[must_use]
    pub fn sight(&self, host: usize, domain: DomainUuid) -> Option<DomainSight> {
        let uuid = self.meant(host, domain);
        let found = self.hosts[host].domains.get(&uuid)?;
        Some(DomainSight {
            state: found.state,
            reason: found.reason,
            persistent: found.definition.is_some(),
            autostart: found.definition.is_some_and(|definition| definition.autostart),
            job: uuid == ours() && found.active && self.has_job(host),
            // Each start has another process.
            run: found.qemu.filter(|_| found.active).map(|qemu| qemu.process.pid),
        })
    }

    /// The guest's process, as the host's process table shows it.
    #[must_use]
    pub fn process(&self, host: usize) -> Option<Process> {
        self.qemu_of(host).map(|qemu| qemu.process)
    }

    /// Figures of the job.
    pub fn job(&mut self, host: usize, reply: Reply<JobFigures>, domain: DomainUuid) {
        let answer = match (self.sight(host, domain), &self.mig) {
            (None, _) => no_domain(),
            (Some(_), Some(mig)) if mig.from == host => Ok(mig.figures()),
            (Some(sight), _) => Ok(JobFigures { active: sight.job, ..JobFigures::default() }),
        };
        // At the switch-over a poll was seen to block.
        let at_switch = self.mig.as_ref().is_some_and(|mig| mig.phase == Phase::SwitchOver);
        let delay = if at_switch { 200 } else { 0 };
        self.after(delay, move |world| reply.send(world, answer));
    }

    /// Resumes. While a migration goes out the call waits for it, as libvirt does.
    pub fn resume(&mut self, host: usize, reply: Reply<()>, domain: DomainUuid, waited: Ms) {
        if self.has_job(host) && self.sight(host, domain).is_some() {
            if waited >= 30_000 {
                let answer = Err(refusal(68, "cannot acquire state change lock"));
                return reply.send(self, answer);
            }
            return self.after(100, move |world| world.resume_again(host, reply, domain, waited + 100));
        }
        let answer = self.resumed(host, domain);
        reply.send(self, answer);
    }

    fn resume_again(&mut self, host: usize, reply: Reply<()>, domain: DomainUuid, waited: Ms) {
        if self.hosts[host].serves() {
            self.resume(host, reply, domain, waited);
        }
    }

    fn resumed(&mut self, host: usize, domain: DomainUuid) -> Told<()> {
        let Some((uuid, found)) = self.find(host, domain) else { return no_domain() };
        let incoming = found.saved == Saved::Incoming;
        let parted = matches!(found.reason, Reason::PostCopy | Reason::PostCopyFailed);
        match (found.state, found.qemu) {
            (VmState::Running, Some(_)) => return Ok(()),
            (VmState::Paused, Some(_)) if incoming => return invalid("domain is not ready"),
            (VmState::Paused, Some(_)) if parted => {
                self.violate(format!("a half of a post-copy, on {}, was told to run", NAMES[host]));
                return invalid("domain is in post-copy");
            }
            (VmState::Paused, Some(_)) => {}
            _ => return invalid("domain is not running"),
        }
        self.nobody_elses(host, uuid, "resume");
        if uuid == ours() {
            self.run(host);
            self.set_state(host, VmState::Running, Reason::Other, DomainEvent::Resumed);
        }
        Ok(())
    }

    /// Pauses.
    pub fn suspend(&mut self, host: usize, domain: DomainUuid) -> Told<()> {
        let Some((uuid, found)) = self.find(host, domain) else { return no_domain() };
        if !found.active || found.qemu.is_none() {
            return invalid("domain is not running");
        }
        self.nobody_elses(host, uuid, "suspend");
        if uuid == ours() && self.sight(host, uuid).is_some_and(|sight| sight.state == VmState::Running) {
            self.halt(host);
            let parted = self
                .sight(host, uuid)
                .map(|sight| sight.reason)
                .filter(|reason| matches!(reason, Reason::PostCopy | Reason::PostCopyFailed));
            self.set_state(host, VmState::Paused, parted.unwrap_or(Reason::User), DomainEvent::Suspended);
        }
        Ok(())
    }

    /// Ends a domain's QEMU, which takes a while; the order was sent at `asked_at`.
    pub fn destroy(&mut self, host: usize, reply: Reply<()>, domain: DomainUuid, asked_at: Ms) {
        let Some((uuid, found)) = self.find(host, domain) else { return reply.send(self, no_domain()) };
        if !found.active {
            return reply.send(self, Ok(()));
        }
        let process = found.qemu.map(|qemu| qemu.process);
        self.nobody_elses(host, uuid, "destroy");
        if uuid == ours() {
            self.spares_started(host, asked_at);
        }
        let delay = self.dice.between(10, 300);
        self.after(delay, move |world| world.destroyed(host, reply, uuid, process));
    }

    fn destroyed(&mut self, host: usize, reply: Reply<()>, uuid: DomainUuid, process: Option<Process>) {
        if self.hosts[host].daemon == Daemon::Frozen {
            return self.after(200, move |world| world.destroyed(host, reply, uuid, process));
        }
        let same = self.hosts[host]
            .domains
            .get(&uuid)
            .is_some_and(|domain| domain.active && domain.qemu.map(|qemu| qemu.process) == process);
        if same && uuid == ours() {
            self.die(host, By::Order);
        }
        // A daemon that died meanwhile had sent the signal already; it finds out when it is back.
        if self.hosts[host].serves() {
            if same {
                self.ended(host, uuid, Reason::Ended, DomainEvent::Stopped);
            }
            reply.send(self, Ok(()));
        }
    }

    /// Removes a definition.
    pub fn undefine(&mut self, host: usize, domain: DomainUuid) -> Told<()> {
        let Some((uuid, found)) = self.find(host, domain) else { return no_domain() };
        if found.definition.is_none() {
            return invalid("cannot undefine transient domain");
        }
        found.definition = None;
        if !found.active {
            self.hosts[host].domains.remove(&uuid);
        }
        self.tell(|| format!("{}: libvirt: undefined", NAMES[host]));
        self.nobody_elses(host, uuid, "undefine");
        if uuid == ours() {
            self.spares_definition(host, "undefined");
            self.definition_changes(host);
        }
        self.emit(host, uuid, DomainEvent::Undefined);
        Ok(())
    }

    /// Tells the definition; of a transient domain, too: asked for the inactive one, libvirt 9.0 and 11.3 tell what it was made from.
    pub fn definition(&mut self, host: usize, domain: DomainUuid) -> Told<String> {
        match self.find(host, domain) {
            Some(_) => Ok("<domain/>".to_owned()),
            None => no_domain(),
        }
    }

    /// The limit of the bandwidth that libvirt remembers for a domain's migrations.
    pub fn max_bandwidth(&mut self, host: usize, domain: DomainUuid) -> Told<u64> {
        match self.find(host, domain) {
            Some(_) => Ok(self.max_bandwidth_mib_s[host]),
            None => no_domain(),
        }
    }

    /// Sets it; of a domain that does not migrate as well.
    pub fn set_max_bandwidth(&mut self, host: usize, domain: DomainUuid, mib_s: u64) -> Told<()> {
        match self.find(host, domain) {
            Some((uuid, found)) if found.active => {
                self.nobody_elses(host, uuid, "the limit of the bandwidth");
                self.max_bandwidth_mib_s[host] = mib_s;
                Ok(())
            }
            Some(_) => invalid("domain is not running"),
            None => no_domain(),
        }
    }

    /// Defines the guest.
    pub fn define(&mut self, host: usize) -> Told<()> {
        let domains = &mut self.hosts[host].domains;
        if domains.contains_key(&bystander()) {
            return Err(refusal(9, "operation failed: domain 'web1' already exists with another uuid"));
        }
        let domain = domains.entry(ours()).or_insert_with(|| Domain {
            name: NAME.to_owned(),
            definition: None,
            qemu: None,
            active: false,
            state: VmState::Shutoff,
            reason: Reason::Other,
            saved: Saved::Nothing,
        });
        domain.definition.get_or_insert(Definition { autostart: false });
        self.tell(|| format!("{}: libvirt: defined", NAMES[host]));
        self.emit(host, ours(), DomainEvent::Defined);
        Ok(())
    }

    /// Defines a copy of a domain beside it, from what [`World::definition`] tells.
    pub fn define_copy(&mut self, host: usize, domain: DomainUuid, copy: CopyIdentity) -> Told<()> {
        self.definition(host, domain)?;
        let copied = Domain {
            name: copy.name,
            definition: Some(Definition { autostart: false }),
            qemu: None,
            active: false,
            state: VmState::Shutoff,
            reason: Reason::Other,
            saved: Saved::Nothing,
        };
        self.hosts[host].domains.entry(copy.uuid).or_insert(copied);
        self.emit(host, copy.uuid, DomainEvent::Defined);
        Ok(())
    }

    /// Sets autostart.
    pub fn set_autostart(&mut self, host: usize, domain: DomainUuid, autostart: bool) -> Told<()> {
        let Some((uuid, found)) = self.find(host, domain) else { return no_domain() };
        match &mut found.definition {
            None => return invalid("cannot set autostart for transient domain"),
            Some(definition) => definition.autostart = autostart,
        }
        self.nobody_elses(host, uuid, "autostart");
        self.tell(|| format!("{}: libvirt: autostart {autostart}", NAMES[host]));
        Ok(())
    }

    /// Aborts the job: most at once, some after seconds, and one that waits for a dead network when that ends.
    pub fn abort(&mut self, host: usize, reply: Reply<()>) {
        let Some(mig) = self.mig.as_mut().filter(|mig| mig.from == host) else {
            return reply.send(self, invalid("no job is active on the domain"));
        };
        if !mig.phase.can_be_aborted() {
            return reply.send(self, invalid("the migration cannot be aborted now"));
        }
        let id = mig.id;
        let delay = if self.dice.chance(70) { 5 } else { 5_000 };
        self.after(delay, move |world| world.aborted(host, reply, id));
    }

    fn aborted(&mut self, host: usize, reply: Reply<()>, id: u32) {
        if !self.hosts[host].serves() {
            return;
        }
        let under_way = self.mig.as_ref().is_some_and(|mig| mig.id == id && mig.phase.can_be_aborted());
        if under_way && self.mig_is_blocked() {
            return self.after(500, move |world| world.aborted(host, reply, id));
        }
        if under_way {
            self.mig_cancels("aborted");
        }
        reply.send(self, Ok(()));
    }
}
