//! What a migration tells a person: what happened, to what, where the virtual machine is now, what to do. Pure.

use api::task::{Location, Side, TaskState};

use super::copy::Copy;
use super::outcome::{Action, Ending, Knowledge, Question, Why};
use crate::model::TaskId;
use crate::plan::Plan;

/// What is being done.
pub(super) fn acting(action: Action, plan: &Plan) -> String {
    let (source, destination) = (&plan.source, &plan.destination);
    match action {
        Action::AbortJob => format!("stopping the copy on {source}"),
        Action::CloseSockets => format!("breaking the migration off on {source}, because it does not move"),
        Action::ResumeSource => format!("letting the guest go on at {source}"),
        Action::ResumeDestination => format!("letting the guest run at {destination}"),
        Action::DestroySource => format!("ending the frozen copy on {source}"),
        Action::DestroyDestination => format!("ending the copy on {destination}"),
        Action::UndefineSource => format!("removing the definition on {source}"),
        Action::UndefineDestination => format!("removing the definition on {destination}"),
        Action::DefineSource => format!("writing the definition on {source} again"),
        Action::DefineDestination => format!("writing the definition on {destination} again"),
        Action::SuspendBoth => format!("both {source} and {destination} run a copy: suspending both"),
        Action::StartPostCopy => {
            format!("switching to post-copy: the guest goes on at {destination}, and its memory follows")
        }
        Action::RecoverPostCopy => {
            format!("the link broke while memory followed from {source} to {destination}: joining both again")
        }
        Action::AutostartSource => format!("setting autostart on {source} as it was"),
        Action::AutostartDestination => format!("setting autostart on {destination} as it was on {source}"),
    }
}

/// What is waited for.
pub(super) fn waiting(why: Why, plan: &Plan) -> String {
    match why {
        Why::AtWork => format!("libvirt on {} is at work on it", plan.source),
        Why::SourceSilent => {
            format!(
                "{} does not answer; the copy on {} stays paused until it does",
                plan.source, plan.destination
            )
        }
        Why::DestinationSilent => format!("{} does not answer; it is asked again", plan.destination),
        Why::Settling => "libvirt is finishing by itself".to_owned(),
        Why::Recovering => format!(
            "the link broke after {} had been switched to {}: a part of its memory is still on {}, and is being brought over",
            plan.name, plan.destination, plan.source
        ),
    }
}

fn described(copy: Copy) -> &'static str {
    match copy {
        Copy::Unknown => "does not answer, or contradicts itself, so a copy may be running there",
        Copy::Dead => "libvirt does not answer, but no QEMU of it is alive there",
        Copy::Absent => "has no copy",
        Copy::Off(_) => "has it defined, not running",
        Copy::Running(_) => "has a running copy",
        Copy::Paused(_) => "has a paused copy",
        Copy::PausedMigrating(_) => "has a copy that is frozen in the switch-over",
        Copy::PostCopy(_) => "has a copy in post-copy",
        Copy::Stranger(_) => "has a copy that somebody started anew",
    }
}

/// The account of what is known of both sides, and the commands to choose from.
pub(super) fn question(
    question: Question,
    source: Copy,
    destination: Copy,
    plan: &Plan,
    id: TaskId,
) -> (String, Vec<String>) {
    let (from, to, name) = (&plan.source, &plan.destination, &plan.name);
    let both_answer = [source, destination].iter().all(|copy| !matches!(copy, Copy::Unknown | Copy::Dead));
    let apart = if both_answer {
        "the two QEMUs cannot be joined again, though both hosts answer: look at the network between them"
    } else {
        "one of the two does not answer"
    };
    let what = match question {
        Question::TwoCopies if matches!(source, Copy::Stranger(_)) => format!(
            "Somebody started {name} anew on {from} after it had moved to {to}; it was found running on both {from} and {to}, or \
             about to. Both copies are suspended and both sides' disks kept. {to} has the memory that was moved. Say which one to \
             keep; the other is destroyed first."
        ),
        Question::TwoCopies => format!(
            "{name} was found running on both {from} and {to}. Both copies are suspended and both sides' disks kept. Look at \
             both, then say which one to keep; the other is destroyed first."
        ),
        Question::SourceSilent => format!(
            "{from} does not answer, and as long as it may be running {name}, the copy on {to} must not run. Nothing needs to be \
             done if {from} comes back: the task goes on by itself. If {from} is powered off and stays so, say which copy to keep."
        ),
        Question::DestinationSilent => format!(
            "{to} does not answer, and {name} may be there. Nothing needs to be done if {to} comes back: the task goes on by \
             itself. If {to} is powered off and stays so, say which copy to keep."
        ),
        Question::MayHaveRun => format!(
            "{from} was out of sight around the hand-over, and {name} is gone there: it may have gone on running for a while before \
             that. The copy on {to} is complete, but as of the hand-over. If the guest was in use after that (its own logs and the \
             times on its disks tell), keep the source, where it starts anew from its disks; otherwise keep the destination."
        ),
        Question::MemoryApart => format!(
            "{name} was switched to {to} by post-copy, a part of its memory is still on {from}, and {apart}. \
             Nothing needs to be done if that mends itself: the task goes on by itself. If it does not, the memory is lost: whichever \
             side is kept, {name} is ended there and starts anew from its disks."
        ),
        Question::Unexpected => format!(
            "{name} is in a state that this migration cannot have left; somebody else acted on it. Look at both hosts, then say \
             which copy to keep; the other is destroyed first."
        ),
    };
    let known = format!("{from} {}; {to} {}.", described(source), described(destination));
    let resolve = |side: &str, other: Copy| {
        let fenced = if matches!(other, Copy::Unknown | Copy::Dead) { " --fenced" } else { "" };
        format!("ferry task resolve {id} --keep {side}{fenced}")
    };
    (format!("{what} {known}"), vec![resolve("source", destination), resolve("destination", source)])
}

/// The end: the task's last state and what is said of it.
///
/// `owner`: the copy that is the domain from now on.
pub(super) fn ending(
    ending: Ending,
    owner: Copy,
    know: &Knowledge,
    cause: Option<&str>,
    plan: &Plan,
) -> (TaskState, String) {
    let (from, to, name) = (&plan.source, &plan.destination, &plan.name);
    let there = plan.place_there();
    let owed = match ending.owed {
        Some(Side::Destination) => {
            format!(
                " {to} does not answer; what may be left of it there is removed when it does, and cannot run until then."
            )
        }
        Some(Side::Source) => {
            format!(" {from} does not answer; its definition there is removed when it does.")
        }
        None => String::new(),
    };
    let because = cause.map(|cause| format!(" ({})", first_line(cause))).unwrap_or_default();
    // What it does there: a guest may have shut itself down, or stand because of its disk.
    let state_there = match owner {
        Copy::Running(_) | Copy::Stranger(_) => "runs",
        Copy::Off(_) if plan.cold => "is stopped, as it was,",
        Copy::Off(_) => "is stopped",
        Copy::Paused(_) | Copy::PausedMigrating(_) if plan.wants_running => "is paused",
        Copy::Paused(_) | Copy::PausedMigrating(_) => "is paused, as it was,",
        _ if plan.wants_running => "runs",
        _ => "is paused, as it was,",
    };
    match ending.location {
        Location::Destination if ending.memory_lost => (
            TaskState::Failed,
            format!(
                "{name} was handed over to {to}, but its QEMU ended there: the memory is lost. It is defined on {there} with its disks; \
                 start it there.{owed}"
            ),
        ),
        Location::Destination if know.cancel => {
            (TaskState::Done, format!("Too late to cancel: {name} {state_there} on {there}.{owed}"))
        }
        Location::Destination => (TaskState::Done, format!("{name} {state_there} on {there}.{owed}")),
        Location::Source if ending.memory_lost => (
            TaskState::Failed,
            format!(
                "The QEMU of {name} ended during the migration{because}: the memory is lost. It is defined on {from} with its \
                 disks; start it there.{owed}"
            ),
        ),
        Location::Source if plan.found_twice => {
            (TaskState::Done, format!("{name} {state_there} on {from}; the copy on {to} is gone.{owed}"))
        }
        Location::Source if know.cancel => {
            (TaskState::Cancelled, format!("Cancelled: {name} {state_there} on {from} as before.{owed}"))
        }
        Location::Source => (
            TaskState::Failed,
            format!("The migration failed{because}; {name} {state_there} on {from}, unharmed.{owed}"),
        ),
        Location::Neither | Location::Both | Location::Unknown => (
            TaskState::Failed,
            format!(
                "{name} was transient and its QEMU ended{because}: neither {from} nor {to} has it any more. Its disks, if any, are \
                 untouched."
            ),
        ),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
