//! What a migration tells a person: what happened, to what, where the virtual machine is now, what to do. Pure.

use api::task::{Location, Offer, Side, TaskState};

use super::copy::Copy;
use super::outcome::{Action, Ending, Keep, Knowledge, Question, Why};
use super::resolve::offered;
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

/// What is waited for; and, where that is so, that the guest does not run meanwhile.
pub(super) fn waiting(why: Why, source: Copy, destination: Copy, know: &Knowledge, plan: &Plan) -> String {
    let (from, to, name) = (&plan.source, &plan.destination, &plan.name);
    let both_silent = source.is_silent() && destination.is_silent();
    // From the order on, and by post-copy without one, it may run there.
    let stands_there = plan.wants_running && !plan.cold && !know.resume_intended && !know.post_copy;
    match why {
        Why::AtWork => format!("libvirt on {from} is at work on it"),
        Why::SourceSilent | Why::DestinationSilent if both_silent && stands_there => {
            format!(
                "neither {from} nor {to} answers, so where {name} is is not known; if it had arrived on {to} by then, it does not run: it \
             stands there paused until ferryd reaches both hosts again"
            )
        }
        Why::SourceSilent if matches!(destination, Copy::Paused(_)) && stands_there => format!(
            "{from} does not answer; the copy of {name} on {to} stays paused until {from} is seen not to run it: unless it runs on {from}, \
             {name} does not run now"
        ),
        Why::SourceSilent if matches!(destination, Copy::PausedMigrating(_)) && stands_there => {
            format!("{from} does not answer; the copy on {to} stays paused until it does")
        }
        Why::SourceSilent => format!("{from} does not answer; it is asked again"),
        Why::DestinationSilent => format!("{to} does not answer; it is asked again"),
        Why::Settling => "libvirt is finishing by itself".to_owned(),
        Why::Recovering => format!(
            "the link broke after {name} had been switched to {to}: a part of its memory is still on {from}, and is being brought over"
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

/// The account of what is known of both sides, and the decisions to choose from. `held`: what was said to an act that comes to nothing.
pub(super) fn question(
    question: Question,
    [source, destination]: [Copy; 2],
    know: &Knowledge,
    plan: &Plan,
    id: TaskId,
    held: Option<&str>,
) -> (String, Vec<Offer>) {
    let (from, to, name) = (&plan.source, &plan.destination, &plan.name);
    let what = what_is_asked(question, [source, destination], know, plan, held);
    let known = format!("{from} {}; {to} {}.", described(source), described(destination));
    let alive =
        [(know.source_alive, from), (know.destination_alive, to)].into_iter().filter(|(alive, _)| *alive);
    let alive: String = alive
        .map(|(_, host)| {
            format!(
                " A QEMU of {name} is alive on {host}, whose libvirt does not answer or does not know of it: restart libvirtd there (guests \
                 run on), or end that QEMU."
            )
        })
        .collect();
    // An act that comes to nothing is no reason to end the only copy that runs.
    let lets_run = |keep: &Keep| {
        let goes = if keep.side == Side::Source { destination } else { source };
        !matches!((question, goes), (Question::Held(_), Copy::Running(_) | Copy::PostCopy(_)))
    };
    let offers: Vec<Offer> = offered(source, destination, know)
        .into_iter()
        .filter(lets_run)
        .map(|keep| Offer {
            keep: keep.side,
            fenced: keep.fenced,
            command: command(id, keep),
            effect: effect(keep, source, destination, question, plan),
        })
        .collect();
    let vouched = offers.iter().filter(|offer| offer.fenced).map(|offer| {
        let (kept, other) = if offer.keep == Side::Source { (from, to) } else { (to, from) };
        let there = if offer.keep == Side::Source { source } else { destination };
        match there {
            Copy::Absent => {
                format!(" If {other} is powered off and stays so, {name} can be defined on {kept} and started anew from its disks.")
            }
            _ => format!(" If {other} is powered off and stays so, the copy on {kept} can be kept."),
        }
    });
    let then = match offers.is_empty() {
        true if source.is_silent() || destination.is_silent() => {
            " Nothing can be decided before an answer comes.".to_owned()
        }
        true => format!(" Nothing can be decided as it is: look at {name} on both hosts with virsh."),
        false => vouched.collect(),
    };
    (format!("{what} {known}{alive}{then}"), offers)
}

/// What a person is asked, and why.
fn what_is_asked(
    question: Question,
    [source, destination]: [Copy; 2],
    know: &Knowledge,
    plan: &Plan,
    held: Option<&str>,
) -> String {
    let (from, to, name) = (&plan.source, &plan.destination, &plan.name);
    match question {
        Question::TwoCopies if matches!(source, Copy::Stranger(_)) => format!(
            "Somebody started {name} anew on {from} after it had moved to {to}; it was found running on both {from} and {to}, or \
             about to. Both copies are suspended and both sides' disks kept. {to} has the memory that was moved. Say which one to \
             keep; the other is destroyed first."
        ),
        Question::TwoCopies => format!(
            "{name} was found running on both {from} and {to}. Both copies are suspended and both sides' disks kept. Look at \
             both, then say which one to keep; the other is destroyed first."
        ),
        Question::SourceSilent if destination.sight().is_none() => format!(
            "{from} does not answer, and {name} may be running there. Nothing needs to be done if {from} comes back: the task goes on \
             by itself.{}",
            if destination == Copy::Absent && !(know.persistent && know.needs_no_source) {
                format!(
                    " If it never does, and a definition of {name} is written on {to} by hand (virsh define), it is asked what is to \
                     become of that."
                )
            } else {
                String::new()
            }
        ),
        Question::SourceSilent => format!(
            "{from} does not answer, and as long as it may be running {name}, the copy on {to} must not run{}. Nothing needs to be \
             done if {from} comes back: the task goes on by itself.",
            if plan.wants_running && !know.resume_intended && !know.post_copy {
                ", and stays paused"
            } else {
                ""
            }
        ),
        Question::DestinationSilent => format!(
            "{to} does not answer, and {name} may be there. Nothing needs to be done if {to} comes back: the task goes on by \
             itself."
        ),
        Question::MayHaveRun => format!(
            "{from} was out of sight around the hand-over, and {name} is gone there: it may have gone on running for a while before \
             that. The copy on {to} is complete, but as of the hand-over. If the guest was in use after that (its own logs and the \
             times on its disks tell), keep the source, where it starts anew from its disks; otherwise keep the destination."
        ),
        Question::MayHaveRunThere => format!(
            "The switch-over broke off: {name} is frozen on {from}, and its copy on {to} has ended. It may have run there before (its own \
             logs and the times on its disks tell). If it did, its memory is lost, and what is on {from} must not go on: {}. If it did \
             not, keep the source, where it goes on as of the switch-over.",
            match destination {
                Copy::Off(_) => "keep the destination, where it starts anew from its disks".to_owned(),
                _ =>
                    format!("end it with `virsh destroy {name}` on {from}, and start it anew from its disks"),
            }
        ),
        Question::MemoryApart => format!(
            "{name} was switched to {to} by post-copy, a part of its memory is still on {from}, and {}. Nothing needs to be done if \
             that mends itself: the task goes on by itself. If it does not, the memory is lost: whichever side is kept, {name} is ended \
             there and starts anew from its disks.",
            if source.is_silent() || destination.is_silent() {
                "one of the two does not answer"
            } else {
                "the two QEMUs cannot be joined again, though both hosts answer: look at the network between them"
            }
        ),
        Question::Held(action) => format!(
            "What is due next for {name} comes to nothing, and is tried again and again: {}{}. Nothing needs to be done if that \
             mends itself: the task goes on by itself. If it does not, the log of libvirtd on that host may tell why.",
            acting(action, plan),
            held.map(|error| format!(" ({})", first_line(error))).unwrap_or_default(),
        ),
        Question::Unexpected => format!(
            "{name} is in a state that this migration cannot have left; somebody else acted on it. Look at both hosts, then say \
             which copy to keep; the other is destroyed first."
        ),
    }
}

/// The command by which a person decides so.
fn command(id: TaskId, keep: Keep) -> String {
    let side = if keep.side == Side::Source { "source" } else { "destination" };
    let fenced = if keep.fenced { " --fenced" } else { "" };
    format!("ferry task resolve {id} --keep {side}{fenced}")
}

/// What a decision comes to: where the domain is then, what is lost, what becomes of the other copy.
fn effect(keep: Keep, source: Copy, destination: Copy, question: Question, plan: &Plan) -> String {
    let at_source = keep.side == Side::Source;
    let (host, other) = match at_source {
        true => (&plan.source, &plan.destination),
        false => (&plan.destination, &plan.source),
    };
    let (kept, goes) = if at_source { (source, destination) } else { (destination, source) };
    let name = &plan.name;
    let stays = match kept {
        Copy::Stranger(_) => {
            format!("{name} goes on as it was started anew there; the memory that was moved is lost")
        }
        Copy::Running(_) => format!("{name} runs on there with its memory"),
        Copy::Paused(_) | Copy::PausedMigrating(_)
            if plan.wants_running || (plan.cold && question == Question::TwoCopies) =>
        {
            format!("{name} goes on there with the memory it has there")
        }
        Copy::Paused(_) | Copy::PausedMigrating(_) => format!("{name} stays paused there with its memory"),
        Copy::Absent if !plan.persistent => {
            format!("the memory of {name} is lost, and it has no definition: only its disks stay")
        }
        _ if plan.cold => format!("{name} is stopped there, with the disks that {host} has"),
        _ => format!(
            "the memory of {name} is lost: it is stopped there, and boots anew from its disks when it is started"
        ),
    };
    // Where the other one stood from the hand-over on, nothing happened there that this one does not know.
    let ran_there = match goes {
        _ if at_source => question == Question::TwoCopies || matches!(goes, Copy::Running(_)),
        Copy::Running(_) | Copy::Paused(_) | Copy::Stranger(_) => true,
        _ => false,
    };
    let lost = if ran_there {
        format!("; what the guest did on {other} since the hand-over is lost")
    } else if (at_source && question == Question::MayHaveRunThere)
        || (!at_source && kept != Copy::Absent && (question == Question::MayHaveRun || goes.is_silent()))
    {
        format!("; this is the older copy, should the guest have gone on at {other} after the hand-over")
    } else {
        String::new()
    };
    let gone = match goes {
        Copy::Absent => String::new(),
        Copy::Off(_) => format!("; the definition on {other} is removed"),
        Copy::Unknown | Copy::Dead => format!("; what {other} has of it is removed when it answers"),
        _ => format!("; the copy on {other} is ended"),
    };
    format!("keeps {host}: {stays}{lost}{gone}.")
}

/// Its autostart is not what it was.
pub(super) fn autostart_left(plan: &Plan, said: &str) -> String {
    let set = if plan.autostart { "virsh autostart" } else { "virsh autostart --disable" };
    // libvirt 9.0 was seen to keep the job of a post-copy whose QEMU died.
    format!(
        "Its autostart could not be set as it was ({}): {set} {} does that. Where libvirt there waits for a job that has long ended, restart \
         libvirtd first; its guests run on.",
        first_line(said),
        plan.name
    )
}

/// What is still to be removed from a host that does not answer, or did not let it be removed.
fn owed(ending: Ending, plan: &Plan) -> String {
    match ending.owed {
        Some(Side::Destination) => format!(
            " What may be left of it on {} could not be removed yet: that is done when {0} answers and lets it. It cannot run until then.",
            plan.destination
        ),
        Some(Side::Source) => {
            format!(" {} does not answer; its definition there is removed when it does.", plan.source)
        }
        None => String::new(),
    }
}

/// What it does where it is: a guest may have shut itself down, or stand because of its disk.
fn state_of(owner: Copy, plan: &Plan) -> &'static str {
    match owner {
        Copy::Running(_) | Copy::Stranger(_) => "runs",
        Copy::Off(_) if plan.cold => "is stopped, as it was,",
        Copy::Off(_) => "is stopped",
        Copy::Paused(_) | Copy::PausedMigrating(_) if plan.wants_running => "is paused",
        Copy::Paused(_) | Copy::PausedMigrating(_) => "is paused, as it was,",
        _ if plan.wants_running => "runs",
        _ => "is paused, as it was,",
    }
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
    let (there, owed, state_there) = (plan.place_there(), owed(ending, plan), state_of(owner, plan));
    let not_begun = if know.cancel { TaskState::Cancelled } else { TaskState::Failed };
    let because = cause.map(|cause| format!(" ({})", first_line(cause))).unwrap_or_default();
    // What a person kept may be older than what was let go.
    let how = if know.keep.is_some() { "which was kept" } else { "unharmed" };
    let source_is_given_up = know.keep.is_some_and(|keep| keep.fenced) && ending.owed == Some(Side::Source);
    match ending.location {
        Location::Destination if ending.memory_lost && source_is_given_up && !know.resume_intended => (
            TaskState::Failed,
            format!(
                "The memory of {name} went with {from}. It is defined on {there} with its disks (a password of its screen is not recorded, \
                 and has to be set again); start it there.{owed}"
            ),
        ),
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
        // Only of one that had not begun.
        Location::Source if owner.is_silent() => (
            not_begun,
            format!(
                "The migration was not begun{because}: {from} does not answer. Nothing was done to {name}, and what has become of it there \
                 is not known.{owed}"
            ),
        ),
        Location::Source if know.cancel => {
            (TaskState::Cancelled, format!("Cancelled: {name} {state_there} on {from} as before.{owed}"))
        }
        Location::Source => (
            TaskState::Failed,
            format!("The migration failed{because}; {name} {state_there} on {from}, {how}.{owed}"),
        ),
        Location::Neither if know.not_begun && plan.persistent => (
            not_begun,
            format!(
                "The migration was not begun{because}: {name} is neither on {from} nor on {to}. Somebody has removed or moved it."
            ),
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

#[cfg(test)]
mod tests;
