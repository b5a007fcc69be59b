//! What follows when the guest may be moved by post-copy: pure, a part of [`super::outcome::decide`].
//!
//! In post-copy the guest runs on the destination before its memory is there, and the source keeps the rest. So it is the switch
//! that decides who owns the domain, and not the end of the copy:
//! * from the switch on the source's copy never runs again, whatever happens; it is only good for what it still has to send;
//! * while one side says `post-copy failed` and both still have their QEMU, the two can be joined again (`VIR_MIGRATE_POSTCOPY_RESUME`);
//! * one side without a QEMU before the other has everything means that the memory is lost. It is called that, and the domain ends
//!   stopped where its definition is;
//! * `running (migrated)` on the destination, or `shut off (migrated)` on the source, proves that everything has arrived.

use api::vm::VmState;

use super::copy::Copy;
use super::outcome::{Action, Knowledge, Next, Question, Why, moved, owner_is_source};
use crate::model::domain::{DomainSight, Reason};

use Action as A;
use Next::{Act, Ask, Wait};

/// What follows from the states of post-copy; none where the ordinary rules hold.
pub(super) fn post_copy(source: Copy, destination: Copy, know: &Knowledge) -> Option<Next> {
    match (source, destination) {
        (Copy::PostCopy(sight), _) => Some(source_sends(sight, destination, know)),
        (_, Copy::PostCopy(sight)) => Some(destination_receives(source, sight, know)),
        // The order to switch may take effect at any moment: nothing is broken off any more.
        (Copy::Running(sight) | Copy::Paused(sight) | Copy::PausedMigrating(sight), _)
            if sight.job && know.switch_intended =>
        {
            Some(Wait(Why::AtWork))
        }
        // Two answers of different moments; a job is at work, which ends one way or the other.
        (Copy::Running(sight), Copy::Running(_)) if sight.job => Some(Wait(Why::AtWork)),
        // libvirt may have ended it without writing the definition there, when nobody was left to hear of it.
        (Copy::Off(_) | Copy::Absent | Copy::Dead, Copy::Running(sight) | Copy::Paused(sight))
            if (know.switched || know.switch_intended) && know.persistent && !sight.persistent =>
        {
            Some(Act(A::DefineDestination))
        }
        // The source, however silent, never runs again: the guest is here for good, and its definition must be before the source's goes.
        (Copy::Unknown, Copy::Running(sight))
            if know.switched
                && know.persistent
                && !sight.persistent
                && sight.reason == Reason::Migrated
                && know.waited =>
        {
            Some(Act(A::DefineDestination))
        }
        // After the switch it is no matter who ended the source's copy: its memory was a part only.
        (Copy::Off(sight), Copy::Absent) if know.switched && sight.reason != Reason::Migrated => {
            Some(owner_is_source(source, destination, know, know.wants_running))
        }
        _ => None,
    }
}

/// The source is `paused (post-copy)` or `paused (post-copy failed)`: it has memory that the destination needs.
fn source_sends(sight: DomainSight, destination: Copy, know: &Knowledge) -> Next {
    let failed = sight.reason == Reason::PostCopyFailed;
    match destination {
        // Everything is there, and the source has not heard of it, or never will.
        Copy::Running(there) if there.reason == Reason::Migrated && know.waited => Act(A::DestroySource),
        Copy::Running(there) if there.reason == Reason::Migrated => Wait(Why::Settling),
        Copy::PostCopy(there) if failed || there.reason == Reason::PostCopyFailed => recover(know),
        Copy::Running(_) | Copy::Paused(_) if failed => recover(know),
        Copy::Running(_) | Copy::Paused(_) | Copy::PausedMigrating(_) | Copy::PostCopy(_) => {
            Wait(Why::AtWork)
        }
        // The guest's run is over: what is left here is a part of its memory.
        Copy::Absent | Copy::Off(_) => Act(A::DestroySource),
        Copy::Unknown | Copy::Dead if know.patience_over => Ask(Question::MemoryApart),
        Copy::Unknown | Copy::Dead => Wait(Why::DestinationSilent),
        Copy::Stranger(_) => Ask(Question::Unexpected),
    }
}

/// The destination is in one of post-copy's states, and the source is not.
fn destination_receives(source: Copy, sight: DomainSight, know: &Knowledge) -> Next {
    let destination = Copy::PostCopy(sight);
    let sent = all_sent(source, sight, know);
    match source {
        Copy::Stranger(seen) if seen.state != VmState::Paused => Act(A::SuspendBoth),
        Copy::Stranger(_) => Ask(Question::TwoCopies),
        Copy::Unknown | Copy::Dead if know.patience_over => Ask(Question::MemoryApart),
        Copy::Unknown | Copy::Dead => Wait(Why::SourceSilent),
        // The answers are of different moments, or libvirt is just about to say more.
        _ if !know.waited => Wait(Why::Settling),
        Copy::Off(_) | Copy::Absent if sent && know.persistent && !sight.persistent => {
            Act(A::DefineDestination)
        }
        Copy::Off(_) | Copy::Absent if sent => moved(source, destination, know, false),
        Copy::Off(_) => Act(A::DestroyDestination),
        // A transient one's QEMU that ended leaves nothing, and a persistent one was removed by hand: the rest of its memory went with it.
        // (libvirt removes it only once the destination has said that it has everything, and then that one did not fail.)
        Copy::Absent if sight.reason == Reason::PostCopyFailed => Act(A::DestroyDestination),
        other if other.job() => Wait(Why::AtWork),
        _ => Ask(Question::Unexpected),
    }
}

/// Whether the source has sent everything, however the destination calls its state.
pub(super) fn all_sent(source: Copy, destination: DomainSight, know: &Knowledge) -> bool {
    match source {
        Copy::Off(sight) => sight.reason == Reason::Migrated,
        // libvirt removed it when the destination had everything.
        Copy::Absent => know.persistent && destination.reason != Reason::PostCopyFailed,
        _ => false,
    }
}

/// The link broke after the switch. Tried again and again: two of three tries were seen to be refused when made too soon. In the end
/// a person is asked, and between the tries the question stands.
fn recover(know: &Knowledge) -> Next {
    match (know.recovering, know.recovery_failing) {
        (false, _) => Act(A::RecoverPostCopy),
        (true, false) => Wait(Why::Recovering),
        (true, true) => Ask(Question::MemoryApart),
    }
}

/// A person keeps the source, or the destination, of a domain whose memory is in two places, and the other is gone: the memory is
/// lost. What is left is ended, with a definition where the domain shall be.
pub(super) fn part_that_is_left(part: DomainSight, know: &Knowledge, on_source: bool) -> Next {
    match (on_source, know.persistent && !part.persistent) {
        (true, true) => Act(A::DefineSource),
        (true, false) => Act(A::DestroySource),
        (false, true) => Act(A::DefineDestination),
        (false, false) => Act(A::DestroyDestination),
    }
}
