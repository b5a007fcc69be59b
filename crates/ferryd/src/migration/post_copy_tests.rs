//! The decision about a domain that moves by post-copy, over all combinations.

use api::task::{Location, Side};
use api::vm::VmState;

use super::copy::Copy;
use super::outcome::*;
use super::outcome_tests::{copies, sight};
use crate::model::domain::{DomainSight, Reason};

/// All copies there can be, with the states of post-copy.
fn all_copies() -> Vec<Copy> {
    let mut copies = copies();
    for persistent in [false, true] {
        for (state, reason) in [
            (VmState::Running, Reason::PostCopy),
            (VmState::Paused, Reason::PostCopy),
            (VmState::Running, Reason::PostCopyFailed),
            (VmState::Paused, Reason::PostCopyFailed),
        ] {
            copies.push(Copy::PostCopy(DomainSight { persistent, ..sight(state, reason, false, false) }));
        }
        let migrated = sight(VmState::Running, Reason::Migrated, false, false);
        copies.push(Copy::Running(DomainSight { persistent, ..migrated }));
        let gone = sight(VmState::Shutoff, Reason::Migrated, false, false);
        copies.push(Copy::Off(DomainSight { persistent, ..gone }));
        let crashed = sight(VmState::Shutoff, Reason::Crashed, false, false);
        copies.push(Copy::Off(DomainSight { persistent, ..crashed }));
    }
    copies
}

/// Every combination of what matters to a domain that moves by post-copy.
fn for_all_apart(mut look: impl FnMut(Copy, Copy, &Knowledge, Next)) {
    let copies = all_copies();
    let keeps =
        [None, Some((Side::Source, true)), Some((Side::Destination, false)), Some((Side::Destination, true))];
    for bits in 0..1_u32 << 10 {
        let bit = |number: u32| bits >> number & 1 == 1;
        for keep in keeps {
            let know = Knowledge {
                post_copy: true,
                wants_running: true,
                persistent: bit(0),
                switch_intended: bit(1),
                switched: bit(1) && bit(2),
                may_have_switched: bit(9),
                recovering: bit(3),
                recovery_failing: bit(8),
                waited: bit(4),
                patience_over: bit(4) && bit(5),
                cancel: bit(6),
                stuck: bit(7) && !bit(1),
                keep: keep.map(|(side, fenced)| Keep { side, fenced }),
                ..Knowledge::default()
            };
            for source in &copies {
                for destination in &copies {
                    look(*source, *destination, &know, decide(*source, *destination, &know));
                }
            }
        }
    }
}

fn is_apart(copy: Copy) -> bool {
    matches!(copy, Copy::PostCopy(_))
}

fn has_all(copy: Copy) -> bool {
    matches!(copy, Copy::Running(sight) if sight.reason == Reason::Migrated)
}

#[test]
fn what_was_switched_never_goes_back_and_is_never_broken_off() {
    for_all_apart(|source, destination, know, next| {
        let case = || format!("{source:?} / {destination:?} / {know:?} → {next:?}");
        let Next::Act(action) = next else { return };
        match action {
            Action::ResumeSource => {
                assert!(!is_apart(source) && !is_apart(destination), "{}", case());
                let seen = !matches!(destination, Copy::Unknown | Copy::Dead) || know.keep.is_some();
                assert!(seen || !(know.switched || know.may_have_switched), "it may run there: {}", case());
            }
            Action::AbortJob | Action::CloseSockets => {
                assert!(!know.switch_intended && !is_apart(source) && !is_apart(destination), "{}", case());
            }
            Action::DestroySource if is_apart(source) && know.keep.is_none() => {
                let nobody_needs_it =
                    matches!(destination, Copy::Absent | Copy::Off(_)) || has_all(destination);
                assert!(nobody_needs_it, "{}", case());
            }
            Action::DestroyDestination if is_apart(destination) && know.keep.is_none() => {
                let cannot_send = matches!(source, Copy::Off(sight) if sight.reason != Reason::Migrated)
                    || (source == Copy::Absent && destination.is_post_copy_failed());
                assert!(cannot_send, "{}", case());
            }
            Action::UndefineSource if is_apart(destination) && know.keep.is_none() => {
                let DomainSight { persistent, .. } = destination.sight().copied().unwrap();
                assert!(persistent || !know.persistent, "no definition would be left: {}", case());
            }
            Action::RecoverPostCopy => {
                assert!(is_apart(source) && !know.recovering && know.keep.is_none(), "{}", case());
                assert!(!matches!(destination, Copy::Absent | Copy::Unknown | Copy::Dead), "{}", case());
            }
            _ => {}
        }
    });
}

#[test]
fn an_end_is_no_success_while_memory_is_apart() {
    for_all_apart(|source, destination, know, next| {
        let Next::End(ending) = next else { return };
        let case = || format!("{source:?} / {destination:?} / {know:?} → {next:?}");
        assert!(!is_apart(source), "{}", case());
        let may_run_there = know.may_have_switched && ending.owed == Some(Side::Destination);
        assert!(!may_run_there || know.keep.is_some(), "{}", case());
        let fenced = know.keep.is_some_and(|keep| keep.fenced);
        let sent = matches!(source, Copy::Absent) || (fenced && ending.location == Location::Destination);
        assert!(!is_apart(destination) || sent, "{}", case());
        if know.switched && ending.location == Location::Source && matches!(source, Copy::Off(_)) {
            assert!(ending.memory_lost, "{}", case());
        }
    });
}

#[test]
fn each_state_has_its_next_step() {
    let apart = |state, reason| Copy::PostCopy(sight(state, reason, true, false));
    let (sends, failed) =
        (apart(VmState::Paused, Reason::PostCopy), apart(VmState::Paused, Reason::PostCopyFailed));
    let receives = apart(VmState::Running, Reason::PostCopy);
    let off = |reason| Copy::Off(sight(VmState::Shutoff, reason, false, false));
    let there = Copy::Running(sight(VmState::Running, Reason::Migrated, false, false));
    let know = Knowledge {
        post_copy: true,
        wants_running: true,
        persistent: true,
        switch_intended: true,
        switched: true,
        ..Knowledge::default()
    };
    let late = Knowledge { waited: true, ..know };
    let ordered = Knowledge { switched: false, may_have_switched: true, ..know };
    let no_definition = Copy::Running(DomainSight {
        persistent: false,
        ..sight(VmState::Running, Reason::Migrated, false, false)
    });
    let lost = Next::End(Ending { location: Location::Source, memory_lost: true, owed: None });
    let moved = Next::End(Ending { location: Location::Destination, memory_lost: false, owed: None });
    for (source, destination, know, expected) in [
        (sends, receives, know, Next::Wait(Why::AtWork)),
        (failed, receives, know, Next::Act(Action::RecoverPostCopy)),
        (failed, receives, Knowledge { recovering: true, ..know }, Next::Wait(Why::Recovering)),
        (
            failed,
            receives,
            Knowledge { recovering: true, recovery_failing: true, ..know },
            Next::Ask(Question::MemoryApart),
        ),
        // The question stands, and it is tried on.
        (failed, receives, Knowledge { recovery_failing: true, ..know }, Next::Act(Action::RecoverPostCopy)),
        (sends, Copy::Unknown, know, Next::Wait(Why::DestinationSilent)),
        (
            Copy::Unknown,
            receives,
            Knowledge { patience_over: true, ..know },
            Next::Ask(Question::MemoryApart),
        ),
        (sends, Copy::Absent, know, Next::Act(Action::DestroySource)),
        (sends, there, know, Next::Wait(Why::Settling)),
        (sends, there, late, Next::Act(Action::DestroySource)),
        (off(Reason::Crashed), receives, know, Next::Wait(Why::Settling)),
        (off(Reason::Crashed), receives, late, Next::Act(Action::DestroyDestination)),
        (off(Reason::Crashed), Copy::Absent, know, lost),
        // Somebody ended the source's part: that is no shutdown of the guest.
        (off(Reason::Ended), Copy::Absent, know, lost),
        (off(Reason::Migrated), there, know, Next::Act(Action::UndefineSource)),
        (Copy::Absent, there, know, moved),
        // The source never runs again: that it is silent matters no more.
        (Copy::Unknown, there, know, Next::Wait(Why::SourceSilent)),
        (
            Copy::Unknown,
            there,
            late,
            Next::End(Ending {
                location: Location::Destination,
                memory_lost: false,
                owed: Some(Side::Source),
            }),
        ),
        (Copy::Dead, no_definition, know, Next::Act(Action::DefineDestination)),
        // The order to switch got no answer, and all was over before anybody looked.
        (off(Reason::Migrated), no_definition, ordered, Next::Act(Action::DefineDestination)),
        (Copy::Unknown, no_definition, know, Next::Wait(Why::SourceSilent)),
        (Copy::Unknown, no_definition, late, Next::Act(Action::DefineDestination)),
        (
            Copy::Absent,
            apart(VmState::Paused, Reason::PostCopyFailed),
            Knowledge { persistent: false, ..late },
            Next::Act(Action::DestroyDestination),
        ),
        // Somebody removed the source's part with its definition.
        (
            Copy::Absent,
            apart(VmState::Running, Reason::PostCopyFailed),
            late,
            Next::Act(Action::DestroyDestination),
        ),
    ] {
        assert_eq!(decide(source, destination, &know), expected, "{source:?} / {destination:?} / {know:?}");
    }
}
