//! What must hold: of a task when it says that it has ended, and of both hosts when all is over.

use api::task::{Location, Offer, Outcome, Side, Task, TaskState};
use ferryd::model::domain::Reason;
use ferryd::store::Debt;

use crate::mem_store::MemStore;
use crate::world::host::Domain;
use crate::world::{Ms, NAMES, SOURCE, World, a_copy, bystander, ours};

/// A task is stored at most so long after it looked: what broke in between it cannot know.
const RACE: Ms = 8_000;
/// After this time libvirt on a host that nobody sees may have acted by itself.
const OUT_OF_SIGHT: Ms = 15_000;
/// How long a guest may be kept frozen after a cut, by default.
const FROZEN_LIMIT: Ms = 15_000;

/// A host's place by its name.
#[must_use]
pub fn place(name: &str) -> usize {
    usize::from(name == NAMES[1])
}

impl World {
    /// A task was stored: if it says that it has ended, that must be so, now.
    pub fn claimed(&mut self, task: &Task) {
        if task.message != self.last_told {
            self.last_told.clone_from(&task.message);
            self.tell(|| format!("stored: task {:?}: {}", task.state, task.message));
        }
        if !task.state.is_final() {
            return;
        }
        let Some(outcome) = &task.outcome else {
            return self.violate("a task ended without an outcome");
        };
        match outcome.location {
            Location::Source => self.ended_on(place(&task.source)),
            Location::Destination => self.ended_on(place(&task.destination)),
            _ => {}
        }
        if let Some(lie) = self.lie(task, outcome) {
            self.violate(format!("the task says {:?} at {:?}: {lie}", task.state, outcome.location));
        }
    }

    fn lie(&self, task: &Task, outcome: &Outcome) -> Option<&'static str> {
        let (source, destination) = (place(&task.source), place(&task.destination));
        // It had not begun, and its source is gone for good: nothing is claimed of where it is. Or somebody removed it there.
        let gone = outcome.location == Location::Unknown && self.hosts[source].gone;
        if (gone || outcome.location == Location::Neither && self.was_removed(source)) && !outcome.memory_lost
        {
            let begun = gone && self.was_begun();
            let fits = !begun && task.state != TaskState::Done;
            return (!fits).then_some("it claims nothing of what it had begun");
        }
        let fits = match task.state {
            TaskState::Done => outcome.location == Location::Destination && !outcome.memory_lost,
            TaskState::Cancelled => outcome.location == Location::Source && !outcome.memory_lost,
            _ => outcome.location != Location::Destination || outcome.memory_lost,
        };
        if !fits {
            return Some("state and outcome do not fit");
        }
        if self.scenario.cold {
            let there = match outcome.location {
                Location::Source => self.is_defined(source) || self.was_just_removed(source, RACE),
                Location::Destination => {
                    self.is_defined(destination) || self.was_just_removed(destination, RACE)
                }
                _ => false,
            };
            return (!there).then_some("it is not defined there");
        }
        let lost = self.guest.lost_at.is_some();
        // A paused guest's memory is not what the outcome speaks of.
        if self.guest.person_decided || (!self.scenario.wants_running && lost) {
            return None;
        }
        let lost_before = !self.guest.rebooted && self.guest.lost_at.is_some_and(|at| at + RACE < self.now);
        match outcome.location {
            _ if outcome.memory_lost && !lost => Some("the memory is not lost"),
            _ if !outcome.memory_lost && lost_before => Some("the memory is lost"),
            Location::Source if !outcome.memory_lost && !self.is_fine(source) => {
                Some("it does not run there")
            }
            Location::Destination if !outcome.memory_lost && !self.is_fine(destination) => {
                Some("it does not run there")
            }
            Location::Destination if self.is_half(destination) => Some("its memory is not there"),
            Location::Neither if self.scenario.persistent => Some("a persistent domain is never nowhere"),
            Location::Both | Location::Unknown => Some("that is no end"),
            _ => None,
        }
    }

    /// Whether a host has the guest as it should be, or had until a moment ago.
    fn is_fine(&self, host: usize) -> bool {
        let now = self.is_current(host) && self.runs_on(host) == self.scenario.wants_running;
        now || self.guest.fine_at[host].is_some_and(|at| at + RACE >= self.now)
    }

    /// Somebody has started what was left on a host that did not answer. It is theirs to say what becomes of it, and the debt stays until
    /// they do.
    #[must_use]
    pub fn is_somebodys(&self, host: usize) -> bool {
        self.was_started(host) || (self.scenario.cold && self.guest.rebooted && self.runs_on(host))
    }

    /// Two copies run, and both hosts are there to be told to suspend them.
    #[must_use]
    pub fn two_run(&self) -> bool {
        self.runs_on(0) && self.runs_on(1) && !self.hosts.iter().any(|host| host.gone)
    }

    /// It has not ended in all that time. Where nobody decides, a question that only a person can answer is an end, too.
    pub fn judge_unended(&mut self, task: &Task) {
        if self.two_run() {
            self.violate("two copies run on though both hosts answer");
        }
        let asks = task.state == TaskState::NeedsAttention;
        // Two of libvirt's own making are for a person to tell apart.
        let apart = self.guest.ran_two || (self.peer_gone && self.stream.is_some());
        // What somebody did by hand is for a person, too, where there is something to choose.
        let by_hand = self.was_changed_by_hand() && !task.offers.is_empty();
        let undecided = (by_hand || self.may_have_run_there()) && self.scenario.person_after.is_none();
        // What is lost with a host a person who is there and has something to choose does not wait for.
        let decides = self.scenario.person_after.is_some() && self.offers_truth(&task.offers);
        let gone = self.hosts.iter().any(|host| host.gone) && !decides;
        let may_wait = asks && (apart || undecided || gone);
        let unseen = self.out_of_sight || self.troubled_at > 0;
        let cannot_know = asks && unseen && task.message.contains("out of sight");
        if !may_wait && !cannot_know {
            self.violate(format!("the task does not end: {:?}: {}", task.state, task.message));
        }
    }

    /// Whether something is offered that a person can vouch for.
    fn offers_truth(&self, offers: &[Offer]) -> bool {
        let off = |host: usize| self.hosts[host].gone && !self.hosts[host].power;
        let other = |keep: Side| if keep == Side::Source { 1 - SOURCE } else { SOURCE };
        offers.iter().any(|offer| !offer.fenced || off(other(offer.keep)))
    }

    /// By post-copy libvirt lets it run on the destination without a word of the task's: where it stands frozen on the source and is gone
    /// there, nothing tells whether it did.
    #[must_use]
    pub fn may_have_run_there(&self) -> bool {
        let domain = |host: usize| self.hosts[host].domains.get(&ours());
        let frozen =
            domain(SOURCE).is_some_and(|domain| domain.reason == Reason::Migrating && domain.qemu.is_some());
        let gone = domain(1 - SOURCE).is_none_or(|domain| domain.qemu.is_none());
        self.scenario.post_copy.is_some() && frozen && gone
    }

    /// A transient guest ended on its owner after its task had, and this copy may be all that there is of it.
    fn may_be_the_last(&self, owner: usize, host: usize) -> bool {
        let has = |host: usize| self.hosts[host].domains.contains_key(&ours());
        !self.scenario.persistent && self.guest.lost_at.is_some() && !has(owner) && has(host)
    }

    fn is_defined(&self, host: usize) -> bool {
        self.hosts[host].domains.get(&ours()).is_some_and(|domain| domain.definition.is_some())
    }

    /// Watches whether a controller sees the source.
    pub fn watch_sight(&mut self) {
        let seen = self.hosts[SOURCE].answers()
            && self
                .links
                .iter()
                .zip(&self.gates)
                .any(|(links, gate)| gate.is_open() && links[SOURCE].is_up());
        if seen {
            self.unseen_since = None;
            return;
        }
        let since = *self.unseen_since.get_or_insert(self.now);
        self.out_of_sight |= self.now - since >= OUT_OF_SIGHT;
    }

    /// Watches how long a guest is kept frozen without need.
    pub fn watch_frozen(&mut self) {
        let calm = self.now.saturating_sub(self.troubled_at)
            > if self.scenario.controllers > 1 { 21_000 } else { 6_000 };
        if !(calm && self.is_kept_frozen() && !self.resume_intended) {
            self.guest.frozen_since = None;
            return;
        }
        let since = *self.guest.frozen_since.get_or_insert(self.now);
        let asked_for = self.scenario.switch_ms + self.scenario.max_downtime_ms.unwrap_or(0);
        // Where several things break one after another, the engine may have to wait for an answer in between.
        let more = if self.faults_seen > 1 { 7_000 } else { 0 };
        if self.now - since > FROZEN_LIMIT + asked_for + more {
            self.violate("the guest is kept frozen at the source");
        }
    }

    /// When all is over: one owner, nothing left elsewhere, the task true.
    pub fn judge(&mut self, task: &Task, store: &MemStore) {
        let Some(outcome) = &task.outcome else { return };
        let owner = match outcome.location {
            Location::Source => Some(place(&task.source)),
            Location::Destination => Some(place(&task.destination)),
            _ => None,
        };
        for (host, name) in NAMES.into_iter().enumerate() {
            if self.hosts[host].gone || (Some(host) != owner && self.is_somebodys(host)) {
                continue;
            }
            let domain = self.hosts[host].domains.get(&ours()).cloned();
            let found = match owner {
                Some(owner) if owner == host => self.owner_faults(host, domain),
                _ if self.is_somebodys_definition(host) => None,
                // Nothing is left where it was said to be: this is not for a debt to remove.
                Some(owner) if self.may_be_the_last(owner, host) => None,
                _ => leftover(domain),
            };
            if let Some(found) = found {
                self.violate(format!("at the end, {name}: {found}"));
            }
        }
        if self.two_run() {
            self.violate("at the end, two copies run on though both hosts answer");
        }
        let source = place(&task.source);
        let told = |owner: usize| !self.hosts[0].gone && !self.hosts[1].gone && !self.is_somebodys(1 - owner);
        if let Some(found) =
            owner.filter(|owner| told(*owner)).and_then(|owner| self.image_faults(source, owner))
        {
            self.violate(format!("at the end: {found}"));
        }
        if let Some(found) = self.copy_faults(task) {
            self.violate(format!("at the end: {found}"));
        }
        let over = |host: usize| self.hosts[host].gone || self.is_somebodys(host);
        // What is left is removed only while its owner says that it has the domain.
        let over = |debt: &Debt| over(place(&debt.host)) || self.hosts[place(&debt.owner)].gone;
        let unpaid = store.debts_now().iter().any(|debt| !over(debt));
        if unpaid {
            self.violate("at the end, a debt is not paid though its host answers");
        }
    }

    /// What the task says of a copy is not so.
    fn copy_faults(&self, task: &Task) -> Option<String> {
        let source = &self.hosts[place(&task.source)];
        if !self.scenario.copy || self.once_more || source.gone {
            return None;
        }
        let is_there = source.domains.contains_key(&a_copy());
        if task.message.contains("A copy of it stays") && !is_there {
            return Some("the copy is not there".to_owned());
        }
        let stays = task.outcome.as_ref().is_some_and(|outcome| outcome.location == Location::Source);
        let told = task.message.contains("The definition of a copy");
        (stays && !told && is_there).then(|| "a copy is left over".to_owned())
    }

    fn owner_faults(&self, host: usize, domain: Option<Domain>) -> Option<String> {
        let Some(domain) = domain else {
            let lost = self.guest.lost_at.is_some() && !self.scenario.persistent;
            let expected = lost || self.was_removed(host);
            return (!expected).then(|| "the owner does not have it".to_owned());
        };
        let autostart = domain.definition.map(|definition| definition.autostart);
        let wanted = self.scenario.persistent.then_some(self.scenario.autostart);
        if autostart != wanted {
            return Some(format!("definition with autostart {autostart:?}, not {wanted:?}"));
        }
        if self.scenario.cold || self.was_started(1 - host) {
            // It runs where somebody started it, and that is for them to say.
            return None;
        }
        let runs = domain.qemu.is_some_and(|qemu| qemu.running);
        let lost = self.guest.lost_at.is_some();
        (!lost && runs != self.scenario.wants_running).then(|| format!("running is {runs}"))
    }

    /// Whether the guest, which is on `owner`, may be sent on while faults last: nobody has done anything to it by hand.
    #[must_use]
    pub fn can_be_hurried(&self, owner: usize) -> bool {
        let by_hand = |host: usize| {
            let is_somebodys = self.is_somebodys_definition(host) || self.was_removed(host);
            is_somebodys || self.was_started(host) || self.hosts[host].domains.contains_key(&bystander())
        };
        let guest = &self.guest;
        let unharmed = guest.lost_at.is_none() && !guest.rebooted && !guest.person_decided;
        // An image of the same name there would refuse it.
        let image = owner == SOURCE && self.file(1 - owner, crate::world::files::IMAGE).is_some();
        unharmed && !by_hand(0) && !by_hand(1) && !image && self.violation.is_none()
    }

    /// Whether the guest may be sent on.
    #[must_use]
    pub fn can_go_again(&self) -> bool {
        let whole = |host: usize| {
            let host = &self.hosts[host];
            host.answers() && !host.gone && !host.domains.contains_key(&bystander())
        };
        let by_hand = |host: usize| {
            self.is_somebodys_definition(host) || self.was_started(host) || self.was_removed(host)
        };
        let started = self.scenario.cold && (self.runs_on(0) || self.runs_on(1));
        whole(0)
            && whole(1)
            && !by_hand(0)
            && !by_hand(1)
            && self.peer_cable
            && self.guest.lost_at.is_none()
            && !started
    }
}

fn leftover(domain: Option<Domain>) -> Option<String> {
    let domain = domain?;
    let what = if domain.qemu.is_some() { "a copy" } else { "a definition" };
    Some(format!("{what} is left over ({:?} {:?})", domain.state, domain.reason))
}
