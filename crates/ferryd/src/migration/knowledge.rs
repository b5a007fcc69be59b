//! What the log of a migration proves, and what is asked of it: the part of [`Knowledge`] that outlives a controller.

use serde::{Deserialize, Serialize};

use super::again::GIVE_WAY;
use super::aside::TAKE;
use super::copy::Copy;
use super::outcome::{Action, Keep, Knowledge};
use super::steps::{PERFORM, PREPARE};
use crate::libvirt::error::{HostError, NO_DOMAIN, OPERATION_INVALID, VOLUME_EXISTS};
use crate::model::domain::{DomainSight, Run};
use crate::plan::Plan;
use crate::store::LogEntry;
use crate::task::Handle;

/// What is stored of an act that came to nothing or to something.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Came {
    /// The host did it.
    Done,
    /// The host's libvirt answered that the domain is not there or not in a state for it: nothing was done.
    Refused(String),
    /// The host answered with another error, or not at all: it may have been done.
    Failed(String),
    /// It was not sent: what it was decided upon was too old by then.
    NotSent,
}

impl Came {
    pub(super) fn to(result: &Result<(), HostError>) -> Self {
        result.as_ref().map_or_else(Self::of, |()| Self::Done)
    }

    /// What an error says of what was done.
    pub(super) fn of(error: &HostError) -> Self {
        match error.libvirt_code() {
            Some(OPERATION_INVALID | NO_DOMAIN | VOLUME_EXISTS) => Self::Refused(error.cause()),
            _ => Self::Failed(error.cause()),
        }
    }
}

/// The run of the source's that the log says is moved; nothing is known of it before it was begun. One that was begun anew, by
/// post-copy, went on in between.
pub(super) fn run_of(log: &[LogEntry]) -> Run {
    let begun = log.iter().rfind(|entry| entry.step == PERFORM);
    let run = begun.and_then(|entry| serde_json::from_value(entry.intent.get("run")?.clone()).ok());
    run.unwrap_or_default()
}

/// Whether the log holds the intent to hand it to libvirt: before that nothing of the domain on the destination is the task's.
pub(super) fn begun(log: &[LogEntry]) -> bool {
    let was_sent = |entry: &LogEntry| {
        let came = entry.result.clone().and_then(|came| serde_json::from_value(came).ok());
        !matches!(came, Some(Came::NotSent))
    };
    log.iter().any(|entry| entry.step == PERFORM && was_sent(entry))
}

/// What the log and the wishes prove.
pub(super) fn knowledge(plan: &Plan, log: &[LogEntry], handle: &mut Handle) -> Knowledge {
    let mut know = Knowledge {
        wants_running: plan.wants_running,
        persistent: plan.persistent,
        autostart: plan.autostart,
        cold: plan.cold,
        needs_no_source: plan.needs_no_source,
        not_begun: !plan.found_twice && !begun(log),
        source_touched: log.iter().any(|entry| entry.step == PREPARE || entry.step == TAKE),
        suspended_both: plan.found_twice,
        suspension_open: plan.found_twice,
        ..Knowledge::default()
    };
    // What was done before it was begun anew came to nothing: the guest went on at the source.
    let begun = log.iter().rposition(|entry| entry.step == PERFORM).unwrap_or(0);
    know.post_copy = log.get(begun).is_some_and(|entry| entry.intent["post_copy"] == true);
    // What happened while nobody looked is not known.
    know.may_have_switched = know.post_copy;
    for entry in if know.post_copy { &log[begun..] } else { log } {
        know.giving_way |= entry.step == GIVE_WAY;
        if plan.cold && entry.step == PERFORM {
            let came = entry.result.clone().and_then(|came| serde_json::from_value(came).ok());
            know.arrived |= matches!(came, Some(Came::Done));
        }
        if let Ok(action) = serde_json::from_value::<Action>(entry.step.clone().into()) {
            let came = entry.result.clone().and_then(|came| serde_json::from_value(came).ok());
            know.came(action, came.as_ref());
        }
    }
    know.wish(handle.wish());
    know
}

impl Knowledge {
    /// Notes that an action is (or was once) about to be done.
    pub(super) fn intended(&mut self, action: Action) {
        match action {
            Action::ResumeDestination => self.resume_intended = true,
            Action::DestroySource => self.destroy_source_intended = true,
            Action::DestroyDestination => self.destroy_destination_intended = true,
            Action::ResumeSource => self.source_ran_again = true,
            Action::SuspendBoth => (self.suspended_both, self.suspension_open) = (true, true),
            Action::DefineSource => self.source_redefined = true,
            Action::UndefineSource => self.undefine_source_intended = true,
            Action::StartPostCopy => self.switch_intended = true,
            Action::AutostartSource => self.source_may_start = true,
            _ => {}
        }
    }

    /// Whether it cannot run on the destination yet: neither by an order of this task, nor by itself.
    pub(super) fn cannot_run_there(&self) -> bool {
        !self.resume_intended && !self.switched && !self.may_have_switched
    }

    /// Whether the copy that is the domain from now on is to start with its host otherwise than it does.
    pub(super) fn wants_autostart(&self, owner: Copy) -> bool {
        let other = |sight: &DomainSight| sight.persistent && sight.autostart != self.autostart;
        !self.autostart_left && owner.sight().is_some_and(other)
    }

    /// Notes what came of an action, none where that is not known.
    pub(super) fn came(&mut self, action: Action, came: Option<&Came>) {
        match (action, came) {
            (_, Some(Came::NotSent))
            | (Action::ResumeSource | Action::StartPostCopy, Some(Came::Refused(_))) => {}
            (Action::StartPostCopy, Some(Came::Done)) => {
                (self.switch_intended, self.switched) = (true, true);
            }
            (Action::ResumeSource, Some(Came::Done)) => {
                (self.source_ran_again, self.source_resumed) = (true, true);
            }
            // What runs from here on a person has let run.
            (Action::SuspendBoth, Some(Came::Done | Came::Refused(_))) => {
                (self.suspended_both, self.suspension_open) = (true, false);
            }
            _ => self.intended(action),
        }
    }

    pub(super) fn wish(&mut self, wish: crate::task::Wish) {
        self.cancel = wish.cancel;
        self.keep = wish.resolve.map(|resolve| Keep { side: resolve.keep, fenced: resolve.fenced });
    }
}
