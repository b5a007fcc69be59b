//! Where is the domain, and what follows from that: pure.
//!
//! [`Copy::of`] reduces what one host was seen to say to what matters; [`decide`] turns both sides and what the log proves
//! ([`Knowledge`]) into the next thing to do. The normal end of a migration, every failure, cancellation, start-up and the
//! periodic sweep all run this same code: act, look again, decide again, until it says [`Next::End`].
//!
//! What it rests on:
//! * a domain sent with `VIR_MIGRATE_PAUSED` arrives `paused (user)` and runs only when the controller resumes it; the intent
//!   to do so is logged first. So as long as the log holds no such intent, the destination's copy does not run, even if the
//!   host does not answer, and a source that was frozen by a broken switch-over may go on at once;
//! * `paused (user)` on the destination proves that libvirt's Finish was done there: its memory is complete;
//! * a source whose QEMU is dead, or whose live libvirt says that the domain is gone, cannot run;
//! * no answer is never "absent".

use api::task::{Location, Side};
use api::vm::VmState;
use serde::{Deserialize, Serialize};

use super::cold::cold;
use super::copy::Copy;
use super::not_begun::not_begun;
use super::post_copy::post_copy;
use super::resolve::resolve;
use crate::model::domain::{DomainSight, Reason};

/// What is known besides the two hosts' answers: the plan, the log, and how long we have been asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Knowledge {
    /// The guest ran when the migration began, so the winner shall run.
    pub wants_running: bool,
    /// It had a persistent definition.
    pub persistent: bool,
    /// It was set to start with its host.
    pub autostart: bool,
    /// The log holds the intent to resume the destination: it may have run.
    pub resume_intended: bool,
    /// The log holds the intent to destroy the destination: a copy that is off there was ended by this task and is not where the
    /// guest went.
    pub destroy_destination_intended: bool,
    /// The log holds the intent to destroy the source.
    pub destroy_source_intended: bool,
    /// The source may have run again after the switch-over had begun (it was seen to, or the log holds the intent to resume it):
    /// a copy at the destination is out of date.
    pub source_ran_again: bool,
    /// It did run again: it was seen to, or did as it was told.
    pub source_resumed: bool,
    /// Around the hand-over the source was out of sight for so long that libvirt there may have let its copy run on by itself:
    /// that it is gone now does not prove that the destination's copy is the last one.
    pub source_unseen: bool,
    /// Both copies were found running, and the log holds the intent to suspend both; only a person decides.
    pub suspended_both: bool,
    /// No host has answered to that order yet: what still runs is ordered to stop once more.
    pub suspension_open: bool,
    /// The definition was written on the source again after both copies were gone.
    pub source_redefined: bool,
    /// Cancellation was asked for.
    pub cancel: bool,
    /// Nothing has moved for longer than the switch-over may take.
    pub stuck: bool,
    /// An answer has been missing for longer than the ordinary limit.
    pub waited: bool,
    /// An answer has been missing for so long that a person should look.
    pub patience_over: bool,
    /// It is the source's that has been missing for so long.
    pub source_given_up: bool,
    /// It is moved stopped: its definition goes over, and nothing may run meanwhile.
    pub cold: bool,
    /// The log holds no intent to hand it to libvirt, or (of one that is moved stopped) to write its definition on the destination.
    /// What is there is not this task's.
    pub not_begun: bool,
    /// The log holds the intent to change something of the source's ahead of that: its autostart, or what is known of its snapshots.
    pub source_touched: bool,
    /// Of one that is moved stopped: the log holds that the destination has taken everything.
    pub arrived: bool,
    /// The log holds the intent to remove the source's definition: only forwards is left.
    pub undefine_source_intended: bool,
    /// All that it needs besides its memory and its definition is proven to be the destination's as well.
    pub needs_no_source: bool,
    /// The log holds the intent to set the source's autostart again: it may start there with its host.
    pub source_may_start: bool,
    /// The source's libvirt does not answer, and its shell does: a QEMU of the domain is alive there.
    pub source_alive: bool,
    /// The same of the destination.
    pub destination_alive: bool,
    /// It moves by post-copy: it may run on the destination before all of its memory is there, and nobody has to let it.
    pub post_copy: bool,
    /// Of one that moves by post-copy: the source may have stood for the switch-over. From then on it may run on the destination.
    pub may_have_switched: bool,
    /// The log holds the intent to switch to post-copy: nothing is broken off any more.
    pub switch_intended: bool,
    /// It was switched: the source's copy never runs again.
    pub switched: bool,
    /// The broken link of post-copy is being joined again, or was tried a moment ago.
    pub recovering: bool,
    /// Joining it again has come to nothing for so long that a person should look.
    pub recovery_failing: bool,
    /// The copy did not converge and is being given up, to begin anew by post-copy.
    pub giving_way: bool,
    /// Autostart could not be set as it was for so long that the task ends without it.
    pub autostart_left: bool,
    /// What a person decided.
    pub keep: Option<Keep>,
}

/// A person's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Keep {
    /// Whose copy stays.
    pub side: Side,
    /// The other host is vouched to be off.
    pub fenced: bool,
}

/// Why there is nothing to do but to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// libvirt's job is at work.
    AtWork,
    /// The source does not answer.
    SourceSilent,
    /// The destination does not answer.
    DestinationSilent,
    /// libvirt is about to end it by itself.
    Settling,
    /// The two halves of a broken post-copy are being joined again.
    Recovering,
}

/// One thing to do. Each is idempotent; after each both hosts are asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Abort libvirt's job on the source.
    AbortJob,
    /// Close the connections of the migration on the source, so that it gives up.
    CloseSockets,
    /// Let the source's copy go on.
    ResumeSource,
    /// Let the destination's copy run.
    ResumeDestination,
    /// End the source's QEMU.
    DestroySource,
    /// End the destination's QEMU.
    DestroyDestination,
    /// Remove the source's definition.
    UndefineSource,
    /// Remove the destination's definition.
    UndefineDestination,
    /// Write the recorded definition on the source again.
    DefineSource,
    /// Write the recorded definition on the destination again.
    DefineDestination,
    /// Pause both copies at once.
    SuspendBoth,
    /// Switch to post-copy: the guest goes on at the destination, and its memory follows.
    StartPostCopy,
    /// Join the two halves of a broken post-copy again.
    RecoverPostCopy,
    /// Set the source's autostart to what was recorded.
    AutostartSource,
    /// Set the destination's autostart to what was recorded.
    AutostartDestination,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ending {
    /// Where the domain is.
    pub location: Location,
    /// The memory of a running guest was lost.
    pub memory_lost: bool,
    /// A host that did not answer may still hold a copy that does not run; it is removed when the host answers.
    pub owed: Option<Side>,
}

/// What only a person can decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Both copies ran; both were suspended.
    TwoCopies,
    /// The source does not answer, and without it nothing is safe.
    SourceSilent,
    /// The destination does not answer, and without it nothing is safe.
    DestinationSilent,
    /// The source's copy is gone, and may have run on unseen after the hand-over: the destination's may be out of date.
    MayHaveRun,
    /// The source's copy is frozen in the switch-over, and the destination's is gone: it may have run there before.
    MayHaveRunThere,
    /// One host of a post-copy does not answer, and the other has a part of the memory only.
    MemoryApart,
    /// Somebody else acted on the domain meanwhile.
    Unexpected,
    /// What is due next comes to nothing, again and again.
    Held(Action),
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// Look again later.
    Wait(Why),
    /// Do this, then look again.
    Act(Action),
    /// It has ended.
    End(Ending),
    /// Ask a person; look again now and then, for the answer may come by itself.
    Ask(Question),
}

use Action as A;
use Next::{Act, Ask, End, Wait};

/// The next thing to do.
#[must_use]
pub fn decide(source: Copy, destination: Copy, know: &Knowledge) -> Next {
    if let Some(keep) = know.keep {
        return resolve(source, destination, know, keep);
    }
    if two_run(source, destination, know) || (know.suspension_open && (runs(source) || runs(destination))) {
        return Act(A::SuspendBoth);
    }
    if know.suspended_both {
        // A controller that was just started has not seen them yet: what is asked of a person tells of both.
        return match (source, destination) {
            (Copy::Unknown | Copy::Dead, _) if !know.waited => Wait(Why::SourceSilent),
            (_, Copy::Unknown | Copy::Dead) if !know.waited => Wait(Why::DestinationSilent),
            _ => Ask(Question::TwoCopies),
        };
    }
    if know.not_begun {
        return not_begun(source, destination, know);
    }
    if know.cold {
        return cold(source, destination, know);
    }
    if let Some(next) = know.post_copy.then(|| post_copy(source, destination, know)).flatten() {
        return next;
    }
    match source {
        Copy::PostCopy(_) => Ask(Question::Unexpected),
        Copy::Running(_) => source_running(source, destination, know),
        Copy::Paused(_) => source_paused(source, destination, know),
        Copy::PausedMigrating(_) => source_frozen(source, destination, know),
        Copy::Absent => source_gone(source, destination, know),
        Copy::Off(sight) if sight.reason == Reason::Migrated || know.destroy_source_intended => {
            source_gone(source, destination, know)
        }
        Copy::Off(sight) => source_off(source, sight, destination, know),
        Copy::Dead => source_dead(source, destination, know),
        Copy::Stranger(sight) => source_started_anew(source, sight, destination, know),
        Copy::Unknown => source_unknown(source, destination, know),
    }
}

/// Both copies run, whoever started them. (By post-copy the destination runs without a word of ours: while the source has a job the two
/// answers may be of different moments, for a while.)
fn two_run(source: Copy, destination: Copy, know: &Knowledge) -> bool {
    let of_two_moments = know.post_copy && source.job() && !know.waited;
    runs(source) && matches!(destination, Copy::Running(_)) && !of_two_moments
}

/// It runs, whoever started it.
fn runs(copy: Copy) -> bool {
    match copy {
        Copy::Running(_) => true,
        Copy::Stranger(sight) => sight.state != VmState::Paused,
        _ => false,
    }
}

fn job_at_work(know: &Knowledge) -> Next {
    if know.stuck {
        Act(A::CloseSockets)
    } else if know.cancel || know.giving_way {
        Act(A::AbortJob)
    } else {
        Wait(Why::AtWork)
    }
}

fn source_running(source: Copy, destination: Copy, know: &Knowledge) -> Next {
    if source.job() { job_at_work(know) } else { rolled_back(source, destination, know) }
}

fn source_paused(source: Copy, destination: Copy, know: &Knowledge) -> Next {
    match destination {
        Copy::Running(_) | Copy::PostCopy(_) | Copy::Stranger(_) => Ask(Question::Unexpected),
        _ if source.job() => job_at_work(know),
        _ => rolled_back(source, destination, know),
    }
}

/// The source is `paused (migrating)`.
fn source_frozen(source: Copy, destination: Copy, know: &Knowledge) -> Next {
    match destination {
        // Its memory has moved on: the frozen copy must never run again, so its job is not stopped but ended with it.
        Copy::Running(_) => Act(A::DestroySource),
        _ if source.job() => job_at_work(know),
        // An order to end the source that got no answer may still be carried out: then only forwards is left.
        Copy::Paused(_) if know.destroy_source_intended && !know.source_ran_again => Act(A::DestroySource),
        // Complete on both sides: forwards, unless it was called off.
        Copy::Paused(_) if know.cancel || know.source_ran_again => Act(A::DestroyDestination),
        Copy::Paused(sight) if sight.reason == Reason::User || know.resume_intended => Act(A::DestroySource),
        // Paused by something else before anybody let it run: that its memory is complete is not proven, and the source's is.
        Copy::Paused(_) => Act(A::DestroyDestination),
        Copy::PausedMigrating(_) => Act(A::DestroyDestination),
        Copy::PostCopy(_) | Copy::Stranger(_) => Ask(Question::Unexpected),
        // It cannot be running there: the guest need not wait for an answer.
        _ if know.cannot_run_there() => resume_or_leave(source, destination, know),
        // By post-copy it may; but libvirt says that it does not, and it never did if nothing is left of it. (Of one without a
        // definition nothing is left of its run either.)
        Copy::Absent
            if !know.resume_intended && !know.switched && (know.persistent || !know.may_have_switched) =>
        {
            resume_or_leave(source, destination, know)
        }
        Copy::Absent | Copy::Off(_) => Ask(Question::MayHaveRunThere),
        Copy::Unknown | Copy::Dead if know.patience_over => Ask(Question::DestinationSilent),
        Copy::Unknown | Copy::Dead => Wait(Why::DestinationSilent),
    }
}

fn resume_or_leave(source: Copy, destination: Copy, know: &Knowledge) -> Next {
    if know.wants_running { Act(A::ResumeSource) } else { rolled_back(source, destination, know) }
}

/// The source let go of the domain: absent, or off because it was migrated (or because this task destroyed it).
fn source_gone(source: Copy, destination: Copy, know: &Knowledge) -> Next {
    match destination {
        Copy::Running(_) => moved(source, destination, know, false),
        Copy::Paused(_) if know.source_resumed => Act(A::DestroyDestination),
        Copy::Paused(_) if know.source_ran_again => Ask(Question::Unexpected),
        Copy::Paused(_) if may_have_run(source, know) => Ask(Question::MayHaveRun),
        Copy::Paused(sight) if know.wants_running => arrived(source, sight, destination, know),
        Copy::Paused(_) => moved(source, destination, know, false),
        Copy::PausedMigrating(_) if !know.waited => Wait(Why::Settling),
        Copy::PausedMigrating(_) => Act(A::DestroyDestination),
        Copy::PostCopy(_) | Copy::Stranger(_) => Ask(Question::Unexpected),
        Copy::Off(sight) => {
            let ended_on_purpose = sight.reason == Reason::Ended && !know.destroy_destination_intended;
            moved(source, destination, know, know.wants_running && !ended_on_purpose)
        }
        Copy::Absent => nowhere(source, destination, know),
        Copy::Unknown | Copy::Dead if know.patience_over => Ask(Question::DestinationSilent),
        Copy::Unknown | Copy::Dead => Wait(Why::DestinationSilent),
    }
}

/// The source is gone, but may have run on before it went: it was out of sight, and how it went does not tell. A definition that is
/// gone, or that libvirt says was migrated, went when the source heard that the destination has everything; and what this task
/// ended was frozen.
fn may_have_run(source: Copy, know: &Knowledge) -> bool {
    let told = match source {
        _ if know.destroy_source_intended => true,
        Copy::Absent => know.persistent,
        Copy::Off(sight) => sight.reason == Reason::Migrated,
        _ => false,
    };
    know.source_unseen && !told && !know.resume_intended && know.wants_running
}

/// `paused (user)` is how a complete domain arrives: it runs now, also when an earlier try to resume it failed or was not sent.
/// Paused for another reason it either ran and was stopped by something (a disk error, say), which is its state there; or it
/// never ran, and nobody knows what it is.
fn arrived(source: Copy, sight: DomainSight, destination: Copy, know: &Knowledge) -> Next {
    match (sight.reason, know.resume_intended) {
        (Reason::User, _) => Act(A::ResumeDestination),
        (_, true) => moved(source, destination, know, false),
        (_, false) => Ask(Question::Unexpected),
    }
}

/// Neither host has it. A persistent domain's definition is written on the source again: it is never lost.
pub(super) fn nowhere(source: Copy, destination: Copy, know: &Knowledge) -> Next {
    match source {
        Copy::Absent if know.persistent => Act(A::DefineSource),
        Copy::Absent => {
            End(Ending { location: Location::Neither, memory_lost: know.wants_running, owed: None })
        }
        _ => owner_is_source(source, destination, know, know.wants_running),
    }
}

/// The source's QEMU ended otherwise than by being migrated.
fn source_off(source: Copy, sight: DomainSight, destination: Copy, know: &Knowledge) -> Next {
    let on_purpose = sight.reason == Reason::Ended;
    let lost = know.wants_running && !on_purpose;
    match destination {
        Copy::Running(_) => moved(source, destination, know, false),
        Copy::Paused(_) if know.source_resumed => Act(A::DestroyDestination),
        // Told to go on, it may have run before it ended, and what is here may be the only good memory: nobody knows.
        Copy::Paused(_) if know.source_ran_again => Ask(Question::MayHaveRun),
        Copy::Paused(_) if on_purpose && !know.resume_intended => Ask(Question::Unexpected),
        Copy::Paused(_) => source_gone(source, destination, know),
        // Everything may be there, and libvirt about to finish: then it is the only good copy.
        Copy::PausedMigrating(_) if !know.waited => Wait(Why::Settling),
        Copy::PausedMigrating(_) => Act(A::DestroyDestination),
        Copy::PostCopy(_) | Copy::Stranger(_) => Ask(Question::Unexpected),
        Copy::Absent => owner_is_source(source, destination, know, lost),
        Copy::Off(_) if know.resume_intended => moved(source, destination, know, know.wants_running),
        Copy::Off(_) => Act(A::UndefineDestination),
        Copy::Unknown | Copy::Dead if know.patience_over => Ask(Question::DestinationSilent),
        Copy::Unknown | Copy::Dead => Wait(Why::DestinationSilent),
    }
}

/// The source's libvirt does not answer, but no QEMU of the domain is alive there.
fn source_dead(source: Copy, destination: Copy, know: &Knowledge) -> Next {
    match destination {
        Copy::Running(_) if know.waited => moved(source, destination, know, false),
        // Once its libvirt answers, that may tell more.
        Copy::Paused(_) if may_have_run(source, know) && !know.patience_over => Wait(Why::SourceSilent),
        Copy::Paused(_) if !know.source_ran_again && know.wants_running => {
            source_gone(source, destination, know)
        }
        Copy::Paused(_) if !know.source_ran_again && know.waited => moved(source, destination, know, false),
        _ if know.patience_over => Ask(Question::SourceSilent),
        _ => Wait(Why::SourceSilent),
    }
}

fn source_unknown(source: Copy, destination: Copy, know: &Knowledge) -> Next {
    match destination {
        // It was resumed only after the source was proven gone.
        Copy::Running(_) if know.resume_intended && know.waited => moved(source, destination, know, false),
        // The switch has passed it over for good, and everything is there.
        Copy::Running(sight) if know.switched && sight.reason == Reason::Migrated && know.waited => {
            moved(source, destination, know, false)
        }
        _ if know.patience_over => Ask(Question::SourceSilent),
        _ => Wait(Why::SourceSilent),
    }
}

/// Somebody started it on the source again, after the run that is moved was over there: the destination may have the only good
/// memory, and both must not run.
fn source_started_anew(source: Copy, sight: DomainSight, destination: Copy, know: &Knowledge) -> Next {
    match destination {
        // This one stands, and that one runs: nothing is in a hurry.
        Copy::Running(_) => Ask(Question::Unexpected),
        Copy::Paused(_) if know.source_ran_again => Act(A::DestroyDestination),
        Copy::Paused(_) if sight.state == VmState::Paused => Ask(Question::TwoCopies),
        Copy::Paused(_) => Act(A::SuspendBoth),
        Copy::PausedMigrating(_) if !know.waited => Wait(Why::Settling),
        Copy::PausedMigrating(_) => Act(A::DestroyDestination),
        Copy::PostCopy(_) | Copy::Stranger(_) => Ask(Question::Unexpected),
        Copy::Off(_) => Act(A::UndefineDestination),
        Copy::Absent => owner_is_source(source, destination, know, know.wants_running),
        Copy::Unknown | Copy::Dead if know.patience_over => Ask(Question::DestinationSilent),
        Copy::Unknown | Copy::Dead => Wait(Why::DestinationSilent),
    }
}

/// The source's copy is the domain. What is left on the destination goes, then it ends.
fn rolled_back(source: Copy, destination: Copy, know: &Knowledge) -> Next {
    match destination {
        Copy::Running(_) | Copy::PostCopy(_) | Copy::Stranger(_) => Ask(Question::Unexpected),
        Copy::Paused(_) | Copy::PausedMigrating(_) => Act(A::DestroyDestination),
        Copy::Off(_) => Act(A::UndefineDestination),
        Copy::Absent => owner_is_source(source, destination, know, false),
        Copy::Unknown | Copy::Dead if know.waited && know.cannot_run_there() => {
            owner_is_source(source, destination, know, false)
        }
        // Until it is seen, it may run there.
        Copy::Unknown | Copy::Dead if know.patience_over => Ask(Question::DestinationSilent),
        Copy::Unknown | Copy::Dead => Wait(Why::DestinationSilent),
    }
}

pub(super) fn owner_is_source(source: Copy, destination: Copy, know: &Knowledge, memory_lost: bool) -> Next {
    if know.wants_autostart(source) {
        return Act(A::AutostartSource);
    }
    let owed = destination.is_silent().then_some(Side::Destination);
    let lost = memory_lost || (know.source_redefined && know.wants_running);
    End(Ending { location: Location::Source, memory_lost: lost, owed })
}

/// The destination's copy is the domain. What is left on the source goes, then it ends.
pub(super) fn moved(source: Copy, destination: Copy, know: &Knowledge, memory_lost: bool) -> Next {
    let owed = match source {
        Copy::Off(_) => return Act(A::UndefineSource),
        Copy::PausedMigrating(_) => return Act(A::DestroySource),
        Copy::Running(_) | Copy::Paused(_) | Copy::PostCopy(_) | Copy::Stranger(_) => {
            return Ask(Question::Unexpected);
        }
        Copy::Unknown | Copy::Dead => Some(Side::Source),
        Copy::Absent => None,
    };
    if know.wants_autostart(destination) {
        return Act(A::AutostartDestination);
    }
    End(Ending { location: Location::Destination, memory_lost, owed })
}
