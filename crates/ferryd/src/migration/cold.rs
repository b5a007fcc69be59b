//! What follows for a domain that is moved stopped: pure, a part of [`super::outcome::decide`].

use super::copy::Copy;
use super::outcome::{Action, Knowledge, Next, Question, Why, moved, nowhere, owner_is_source};

use Action as A;
use Next::{Act, Ask, Wait};

/// The domain is moved stopped. Until the destination has everything, nothing of the source's goes; from the order to remove the
/// source's definition on, only forwards is left, for that order may still be carried out. Whoever starts it meanwhile decides where
/// it stays: there.
pub(super) fn cold(source: Copy, destination: Copy, know: &Knowledge) -> Next {
    let forwards = know.undefine_source_intended || (know.arrived && !know.cancel);
    match (source, destination) {
        (Copy::PausedMigrating(_) | Copy::PostCopy(_), _)
        | (_, Copy::PausedMigrating(_) | Copy::PostCopy(_) | Copy::Stranger(_)) => Ask(Question::Unexpected),
        (Copy::Absent, Copy::Absent) => nowhere(source, destination, know),
        // Somebody started it there just when its definition was to go again.
        (Copy::Absent | Copy::Off(_), Copy::Running(sight) | Copy::Paused(sight)) if !sight.persistent => {
            Act(A::DefineDestination)
        }
        (Copy::Absent, Copy::Off(_) | Copy::Running(_) | Copy::Paused(_)) => {
            moved(source, destination, know, false)
        }
        (Copy::Off(_), Copy::Running(_) | Copy::Paused(_)) => moved(source, destination, know, false),
        (Copy::Off(_), Copy::Off(_)) if forwards => Act(A::UndefineSource),
        (Copy::Unknown | Copy::Dead, _) if know.patience_over => Ask(Question::SourceSilent),
        (Copy::Unknown | Copy::Dead, _) => Wait(Why::SourceSilent),
        // Both were started, and one of them stands.
        (_, Copy::Running(_) | Copy::Paused(_)) => Ask(Question::Unexpected),
        (_, Copy::Off(_)) => Act(A::UndefineDestination),
        // The order to remove its definition may have come too late: it runs there all the same, and shall have one.
        (_, Copy::Absent) if know.persistent && source.sight().is_some_and(|sight| !sight.persistent) => {
            Act(A::DefineSource)
        }
        (_, Copy::Absent) => owner_is_source(source, destination, know, false),
        // What is there cannot run before somebody starts it, and goes when the host answers.
        (_, Copy::Unknown | Copy::Dead)
            if know.waited && !know.undefine_source_intended && source != Copy::Absent =>
        {
            owner_is_source(source, destination, know, false)
        }
        (_, Copy::Unknown | Copy::Dead) if know.patience_over => Ask(Question::DestinationSilent),
        (_, Copy::Unknown | Copy::Dead) => Wait(Why::DestinationSilent),
    }
}
