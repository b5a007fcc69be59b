//! What follows from a person's decision: pure, a part of [`super::outcome::decide`].

use api::task::Side;
use api::vm::VmState;

use super::copy::Copy;
use super::outcome::{Action, Keep, Knowledge, Next, Question, moved, nowhere, owner_is_source};
use super::post_copy::{all_sent, part_that_is_left};
use crate::model::domain::{DomainSight, Reason};

use Action as A;
use Next::{Act, Ask};

/// The decisions that lead on from what both hosts are seen to say: all others would only be asked again. Of each side, the other
/// host is vouched for where, and only where, it does not answer.
pub(super) fn offered(source: Copy, destination: Copy, know: &Knowledge) -> Vec<Keep> {
    let with = |side| {
        let other = if side == Side::Source { destination } else { source };
        Keep { side, fenced: matches!(other, Copy::Unknown | Copy::Dead) }
    };
    let leads_on = |keep: &Keep| match (keep.side, resolve(source, destination, know, *keep)) {
        (_, Ask(_)) => false,
        // The other one must not be ended for one that turns out to be of no use.
        (Side::Source, Act(A::DestroyDestination)) => {
            !matches!(resolve(source, Copy::Absent, know, *keep), Ask(_))
        }
        (Side::Destination, Act(A::DestroySource)) => {
            !matches!(resolve(Copy::Absent, destination, know, *keep), Ask(_))
        }
        _ => true,
    };
    [with(Side::Source), with(Side::Destination)].into_iter().filter(leads_on).collect()
}

/// A person decided. The loser is destroyed, and that is verified, before the winner runs.
pub(super) fn resolve(source: Copy, destination: Copy, know: &Knowledge, keep: Keep) -> Next {
    match (keep.side, source, destination) {
        // Nothing is destroyed before the one that stays was seen.
        (Side::Source, Copy::Unknown | Copy::Dead, _) => return Ask(Question::SourceSilent),
        // Nobody's word is worth more than what the host's own shell shows.
        (Side::Destination, Copy::Unknown | Copy::Dead, _) if know.source_alive => {
            return Ask(Question::SourceSilent);
        }
        (Side::Source, _, Copy::Unknown | Copy::Dead) if know.destination_alive => {
            return Ask(Question::DestinationSilent);
        }
        (Side::Destination, _, Copy::Unknown | Copy::Dead) => return Ask(Question::DestinationSilent),
        // The source is vouched to be gone for good, and all but its memory is here.
        (Side::Destination, Copy::Unknown | Copy::Dead, Copy::Absent) if can_start_anew(know, keep) => {
            return Act(A::DefineDestination);
        }
        // It was kept, and somebody removed it meanwhile: what was written on the source again is all that there is.
        (Side::Destination, Copy::Off(_), Copy::Absent) if know.source_redefined => {
            return owner_is_source(source, destination, know, know.wants_running);
        }
        (Side::Destination, other, Copy::Absent) if other != Copy::Absent => {
            return Ask(Question::Unexpected);
        }
        _ => {}
    }
    // A copy in post-copy without the other one has a part of its memory only.
    let part = match destination {
        Copy::PostCopy(part) if know.post_copy => Some(part),
        _ => None,
    };
    match keep.side {
        Side::Source => match destination {
            Copy::Running(_)
            | Copy::Paused(_)
            | Copy::PausedMigrating(_)
            | Copy::PostCopy(_)
            | Copy::Stranger(_) => Act(A::DestroyDestination),
            Copy::Unknown | Copy::Dead if !keep.fenced => Ask(Question::DestinationSilent),
            Copy::Off(_) => Act(A::UndefineDestination),
            Copy::Absent | Copy::Dead | Copy::Unknown => keep_source(source, destination, know),
        },
        Side::Destination => match source {
            Copy::Running(_)
            | Copy::Paused(_)
            | Copy::PausedMigrating(_)
            | Copy::PostCopy(_)
            | Copy::Stranger(_) => Act(A::DestroySource),
            Copy::Unknown | Copy::Dead if !keep.fenced => Ask(Question::SourceSilent),
            _ => match part.filter(|part| !all_sent(source, *part, know)) {
                Some(part) => part_that_is_left(part, know, false),
                None if know.post_copy && know.persistent && has_no_definition(destination) => {
                    Act(A::DefineDestination)
                }
                None if matches!(source, Copy::Off(_)) && destination.sight().is_some() => {
                    Act(A::UndefineSource)
                }
                None => keep_destination(source, destination, know),
            },
        },
    }
}

fn keep_source(source: Copy, destination: Copy, know: &Knowledge) -> Next {
    match source {
        Copy::PausedMigrating(_) if know.wants_running => Act(A::ResumeSource),
        Copy::Paused(sight) if resumes(sight, know, know.source_resumed) => Act(A::ResumeSource),
        Copy::Stranger(sight) if is_to_run(know) && sight.state == VmState::Paused => Act(A::ResumeSource),
        Copy::Running(_) | Copy::Paused(_) | Copy::PausedMigrating(_) | Copy::Stranger(_) => {
            owner_is_source(source, destination, know, false)
        }
        Copy::Off(_) => owner_is_source(source, destination, know, know.wants_running),
        Copy::Absent if know.persistent => Act(A::DefineSource),
        Copy::Absent if destination == Copy::Absent => nowhere(source, destination, know),
        Copy::Absent => Ask(Question::DestinationSilent),
        Copy::PostCopy(part) if know.post_copy => part_that_is_left(part, know, true),
        Copy::PostCopy(_) => Ask(Question::Unexpected),
        Copy::Unknown | Copy::Dead => Ask(Question::SourceSilent),
    }
}

fn keep_destination(source: Copy, destination: Copy, know: &Knowledge) -> Next {
    match destination {
        Copy::Paused(sight) if resumes(sight, know, know.resume_intended) => Act(A::ResumeDestination),
        Copy::Running(_) | Copy::Paused(_) => moved(source, destination, know, false),
        Copy::PostCopy(_) if know.post_copy => moved(source, destination, know, false),
        Copy::Off(_) => moved(source, destination, know, know.wants_running),
        Copy::Absent if source == Copy::Absent => nowhere(source, destination, know),
        Copy::PausedMigrating(_) | Copy::PostCopy(_) | Copy::Absent | Copy::Stranger(_) => {
            Ask(Question::Unexpected)
        }
        Copy::Unknown | Copy::Dead => Ask(Question::DestinationSilent),
    }
}

/// Its recorded definition can be written on the destination, which has all else that it needs; and should the source come back after all,
/// nothing starts there by itself.
fn can_start_anew(know: &Knowledge, keep: Keep) -> bool {
    let starts_nowhere_else = !know.not_begun && !know.source_may_start;
    keep.fenced && know.persistent && know.needs_no_source && starts_nowhere_else
}

/// Whether a copy that is kept is to run. One that was let run and stands for another reason (a disk error, say) is paused there.
fn resumes(sight: DomainSight, know: &Knowledge, resumed: bool) -> bool {
    is_to_run(know) && (sight.reason == Reason::User || !resumed)
}

/// Of a machine that is moved stopped two copies were started meanwhile, both were suspended, and the one that is kept goes on.
fn is_to_run(know: &Knowledge) -> bool {
    know.wants_running || (know.cold && know.suspended_both)
}

/// It runs, and would be gone with its run.
fn has_no_definition(copy: Copy) -> bool {
    matches!(copy, Copy::Running(sight) | Copy::Paused(sight) | Copy::PostCopy(sight) if !sight.persistent)
}
