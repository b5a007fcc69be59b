//! What is true of the guest, whatever anybody says: where it runs, and whose memory is current.
//!
//! Each QEMU process knows up to when its memory is the guest's. A copy that is let go after the guest has run elsewhere for
//! longer than that has travelled in time; two at once are two copies; and when the last current memory goes, the guest's
//! memory is lost: by a fault that is a fact, by an order of the engine's it is a violation.

use super::{Ms, NAMES, World, ours};

/// Who ended a QEMU process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A fault of the history's.
    Fault,
    /// libvirt, by itself.
    Libvirt,
    /// A call of the engine's.
    Order,
}

/// The truth about the guest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guest {
    /// When a fault last ended its process on each host.
    pub struck_at: [Option<Ms>; 2],
    /// When it last ran, where it is not running now.
    pub ran_until: Ms,
    /// Its memory was lost, and when.
    pub lost_at: Option<Ms>,
    /// A host that came back booted it anew, before or after its autostart was the engine's to set. Asked then, libvirt says
    /// "running", and nothing of what the engine looks at tells that from the run before.
    pub rebooted: bool,
    /// A person decided which copy to keep: from then on its memory is that person's.
    pub person_decided: bool,
    /// libvirt has let two copies run, by itself.
    pub ran_two: bool,
    /// Hosts that did not answer when a person decided: what they had, the person did not see.
    pub unseen_at_decision: [bool; 2],
    /// Since when it has been frozen at the source although all that is needed to free it answers.
    pub frozen_since: Option<Ms>,
    /// When each host lost a copy that was as a finished migration promises it.
    pub fine_at: [Option<Ms>; 2],
}

impl World {
    /// Whether a live QEMU of the guest runs on a host now.
    #[must_use]
    pub fn runs_on(&self, host: usize) -> bool {
        self.qemu_of(host).is_some_and(|qemu| qemu.running)
    }

    /// Whether a host's QEMU holds the guest's current memory.
    #[must_use]
    pub fn is_current(&self, host: usize) -> bool {
        self.qemu_of(host)
            .is_some_and(|qemu| qemu.running || (qemu.complete && qemu.memory_until >= self.guest.ran_until))
    }

    /// libvirt lets a copy run by itself. By post-copy that is its way, and where it does so on both sides neither it nor anybody else
    /// can say which one is the guest.
    pub(super) fn run_unasked(&mut self, host: usize) {
        self.unasked = self.by_post_copy;
        self.run(host);
        self.unasked = false;
    }

    /// Lets a copy's processors run.
    pub fn run(&mut self, host: usize) {
        let Some(qemu) = self.qemu_of(host).filter(|qemu| !qemu.running).copied() else { return };
        self.tell(|| format!("{}: the guest runs", NAMES[host]));
        let old = qemu.memory_until < self.guest.ran_until;
        if self.unasked && (old || self.runs_on(1 - host)) {
            self.tell(|| "libvirt itself has let two copies run".to_owned());
            (self.guest.ran_two, self.guest.person_decided) = (true, true);
        } else if self.runs_on(1 - host) && !self.people_may_run_two() {
            self.violate("two copies run");
        }
        if !qemu.complete && !self.is_fed(host) {
            self.violate(format!("the copy on {} runs with half its memory", NAMES[host]));
        }
        // A person may decide for an older copy; then that is the guest.
        if old && !self.guest.person_decided {
            self.violate(format!("time travel: the copy on {} runs on with old memory", NAMES[host]));
        }
        if let Some(qemu) = self.qemu_mut(host) {
            qemu.running = true;
        }
    }

    /// Stops a copy's processors.
    pub fn halt(&mut self, host: usize) {
        let now = self.now;
        let Some(qemu) = self.qemu_mut(host).filter(|qemu| qemu.running) else { return };
        qemu.running = false;
        qemu.memory_until = now;
        self.guest.ran_until = now;
        self.tell(|| format!("{}: the guest stands", NAMES[host]));
    }

    /// A destination was finished after the source had died: the memory is there after all.
    pub(super) fn found_again(&mut self, host: usize) {
        if self.is_current(host) && self.guest.lost_at.take().is_some() {
            self.tell(|| "the guest's memory is not lost after all".to_owned());
        }
    }

    /// A copy's QEMU process ends.
    pub fn die(&mut self, host: usize, by: By) {
        let Some(qemu) = self.qemu_of(host).copied() else { return };
        let was_current = self.is_current(host);
        let torn = self.tears(host);
        if was_current {
            self.guest.fine_at[host] = Some(self.now);
        }
        if by == By::Fault {
            self.guest.struck_at[host] = Some(self.now);
        }
        if by == By::Order && qemu.running && self.guest.unseen_at_decision[host] {
            self.violate(format!(
                "a copy on {} that nobody had seen run was ended by a decision",
                NAMES[host]
            ));
        }
        self.halt(host);
        if let Some(domain) = self.hosts[host].domains.get_mut(&ours()) {
            domain.qemu = None;
        }
        self.tell(|| format!("{}: QEMU {} has ended ({by:?})", NAMES[host], qemu.process.pid));
        self.tell_watchers(host, qemu.process);
        let lost = (was_current || torn) && !self.is_current(1 - host) && self.guest.lost_at.is_none();
        if lost {
            self.guest.lost_at = Some(self.now);
            self.tell(|| "the guest's memory is lost".to_owned());
            // An order that was decided upon while the other copy was whole could not know better.
            let too_late = self.guest.struck_at[1 - host].is_some_and(|at| at >= self.intent_at);
            if by == By::Order && !self.guest.person_decided && !too_late {
                self.violate(format!(
                    "the only good memory, on {}, was thrown away by an order",
                    NAMES[host]
                ));
            }
        }
    }
}
