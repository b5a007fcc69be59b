//! Before a migration has begun: what has to be so for it to begin, and what follows where it has not.

use api::task::Location;

use super::copy::Copy;
use super::outcome::{Ending, Knowledge, Next, Question, Why, owner_is_source};
use super::steps::Work;
use crate::model::domain::{Answer, Reason};

use Next::{Ask, End, Wait};

impl Work {
    /// Whether the source still has the domain and the destination has none, right before one is made there: what the checks have seen
    /// may be otherwise by now. libvirt's own migration would take a definition that somebody has put there for its own.
    pub(super) async fn can_begin(&mut self) -> bool {
        let (name, from, to) = (&self.plan.name, &self.plan.source, &self.plan.destination);
        let answers =
            tokio::join!(self.source.domain(self.plan.domain), self.destination.domain(self.plan.domain));
        let why = match answers {
            (Answer::Absent, _) => format!("{name} was removed from {from} meanwhile"),
            (_, Answer::Absent) => return true,
            (_, Answer::Unknown(reason)) => reason,
            (_, Answer::Present(_)) => format!("{name} was defined on {to} meanwhile"),
        };
        self.cause.get_or_insert(why);
        false
    }
}

/// Nothing was begun yet: a copy on the destination, a job on the source, and whatever became of its copy there, are somebody else's, and
/// are left alone. Somebody may be moving it by hand, also to a third host: that nothing of it is on the destination proves nothing then.
pub(super) fn not_begun(source: Copy, destination: Copy, know: &Knowledge) -> Next {
    let (silent, theirs) = (destination.is_silent(), destination.sight().is_some());
    match source {
        // There is nothing of this task's that an answer of the source's could tell of.
        Copy::Unknown | Copy::Dead if know.source_given_up && !know.source_touched && !theirs => {
            owner_is_source(source, destination, know, false)
        }
        Copy::Unknown | Copy::Dead if know.source_given_up => Ask(Question::SourceSilent),
        Copy::Unknown | Copy::Dead => Wait(Why::SourceSilent),
        // One without a definition is gone with its run.
        Copy::Absent if destination == Copy::Absent => {
            let memory_lost = know.wants_running && !know.persistent;
            End(Ending { location: Location::Neither, memory_lost, owed: None })
        }
        Copy::Absent if silent && know.patience_over => Ask(Question::DestinationSilent),
        _ if silent && !know.waited => Wait(Why::DestinationSilent),
        Copy::Absent if silent => Wait(Why::DestinationSilent),
        // It was moved, or is being moved, by somebody else.
        Copy::Absent | Copy::PausedMigrating(_) | Copy::PostCopy(_) => Ask(Question::Unexpected),
        // (Of one that is moved stopped it tells how it came there long ago.)
        Copy::Off(sight) if sight.reason == Reason::Migrated && !know.cold => Ask(Question::Unexpected),
        // Its run ended, or another one has begun, before this task did anything.
        Copy::Off(sight) => {
            let lost = know.wants_running && sight.reason != Reason::Ended;
            owner_is_source(source, destination, know, lost)
        }
        Copy::Stranger(_) => owner_is_source(source, destination, know, know.wants_running),
        Copy::Running(_) | Copy::Paused(_) => owner_is_source(source, destination, know, false),
    }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::{Action, decide};
    use super::super::outcome_tests::{copies, for_all};
    use super::*;

    #[test]
    fn before_it_has_begun_nothing_is_done_to_what_is_there() {
        for_all(|source, destination, know, _| {
            let know = Knowledge { not_begun: true, keep: None, suspended_both: false, ..*know };
            // The bit of what cannot have been before it began: what was done to the source, and that it is moved stopped.
            let know = Knowledge { source_touched: know.resume_intended, cold: know.source_unseen, ..know };
            let know =
                Knowledge { suspension_open: false, resume_intended: false, source_unseen: false, ..know };
            let know = Knowledge { source_redefined: false, ..know };
            let next = decide(source, destination, &know);
            let case = || format!("{source:?} / {destination:?} / {know:?} → {next:?}");
            let theirs = destination.sight().is_some();
            match next {
                Wait(_) | Ask(_) => {}
                // Two that run are always stopped; and its autostart was this task's.
                Next::Act(action) => {
                    assert!(matches!(action, Action::SuspendBoth | Action::AutostartSource), "{}", case())
                }
                End(ending) => {
                    assert!(ending.owed.is_none() || !theirs, "{}", case());
                    // Somebody is moving it, or has: nobody is told that it is lost, or where to start it.
                    let moved = match source {
                        Copy::PausedMigrating(_) | Copy::PostCopy(_) => true,
                        Copy::Off(sight) => sight.reason == Reason::Migrated && !know.cold,
                        _ => false,
                    };
                    assert!(!moved, "{}", case());
                    let silent = matches!(source, Copy::Unknown | Copy::Dead);
                    assert!(
                        !silent || (know.source_given_up && !theirs && !ending.memory_lost),
                        "{}",
                        case()
                    );
                }
            }
        });
    }

    /// It would hold its domain for ever, and nobody could do anything about it.
    #[test]
    fn one_that_had_not_begun_does_not_wait_for_ever_for_its_source() {
        for destination in copies() {
            for source in [Copy::Unknown, Copy::Dead] {
                let know = Knowledge {
                    not_begun: true,
                    wants_running: true,
                    persistent: true,
                    ..Knowledge::default()
                };
                let next = |know: &Knowledge| decide(source, destination, know);
                let waits = |know: &Knowledge| matches!(next(know), Wait(_) | Ask(_));
                // A destination that has been silent for long is another matter.
                for know in [know, Knowledge { waited: true, patience_over: true, ..know }] {
                    assert!(waits(&know), "{source:?} / {destination:?}");
                }
                let over = Knowledge { waited: true, patience_over: true, source_given_up: true, ..know };
                // Somebody else's copy there is for a person to look at; and what was done to the source has to be undone there.
                let theirs = destination.sight().is_some();
                assert_eq!(waits(&over), theirs, "{source:?} / {destination:?}");
                assert!(waits(&Knowledge { source_touched: true, ..over }), "{source:?} / {destination:?}");
            }
        }
    }
}
