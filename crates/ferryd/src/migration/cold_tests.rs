//! The decision about a domain that is moved stopped, over all combinations.

use api::task::Location;
use api::vm::VmState;

use super::copy::Copy;
use super::outcome::*;
use super::outcome_tests::{copies, sight};
use crate::model::domain::Reason;

/// Every combination of what matters to a domain that is moved stopped.
fn for_all_cold(mut look: impl FnMut(Copy, Copy, &Knowledge, Next)) {
    let copies = copies();
    for bits in 0..1_u32 << 9 {
        let bit = |number: u32| bits >> number & 1 == 1;
        let know = Knowledge {
            cold: true,
            persistent: true,
            autostart: bit(0),
            arrived: bit(1),
            undefine_source_intended: bit(2),
            cancel: bit(3),
            waited: bit(4),
            patience_over: bit(4) && bit(5),
            suspended_both: bit(6),
            suspension_open: bit(6) && bit(7),
            source_redefined: bit(7),
            stuck: bit(8),
            ..Knowledge::default()
        };
        for source in &copies {
            for destination in &copies {
                look(*source, *destination, &know, decide(*source, *destination, &know));
            }
        }
    }
}

#[test]
fn a_stopped_one_is_never_without_a_definition_and_nothing_that_runs_is_touched() {
    for_all_cold(|source, destination, know, next| {
        let case = || format!("{source:?} / {destination:?} / {know:?} → {next:?}");
        match next {
            Next::Act(Action::UndefineSource) => {
                assert!(matches!(source, Copy::Off(_)), "{}", case());
                let there = matches!(destination, Copy::Off(_) | Copy::Running(_) | Copy::Paused(_));
                let whole =
                    know.arrived || know.undefine_source_intended || !matches!(destination, Copy::Off(_));
                assert!(there && whole, "{}", case());
            }
            Next::Act(Action::UndefineDestination) => {
                assert!(matches!(destination, Copy::Off(_)), "{}", case());
                let has_it =
                    matches!(source, Copy::Off(_) | Copy::Running(_) | Copy::Paused(_) | Copy::Stranger(_));
                let late = know.undefine_source_intended && matches!(source, Copy::Off(_));
                assert!(has_it && !late, "the order to remove the other may still come: {}", case());
            }
            Next::Act(
                Action::ResumeSource
                | Action::ResumeDestination
                | Action::DestroySource
                | Action::DestroyDestination
                | Action::AbortJob
                | Action::CloseSockets,
            ) => panic!("nobody's business: {}", case()),
            Next::End(ending) => {
                let owner = match ending.location {
                    Location::Source => source,
                    Location::Destination => destination,
                    _ => panic!("nowhere: {}", case()),
                };
                assert!(
                    !matches!(owner, Copy::Absent | Copy::Unknown | Copy::Dead),
                    "the owner was not seen: {}",
                    case()
                );
                assert!(!ending.memory_lost, "{}", case());
            }
            Next::Act(_) | Next::Wait(_) | Next::Ask(_) => {}
        }
    });
}

#[test]
fn a_stopped_one_goes_over_step_by_step() {
    let off = Copy::Off(sight(VmState::Shutoff, Reason::Other, false, false));
    let mut know = Knowledge { cold: true, persistent: true, autostart: true, ..Knowledge::default() };
    assert_eq!(decide(off, off, &know), Next::Act(Action::UndefineDestination), "it has not arrived whole");
    know.arrived = true;
    assert_eq!(decide(off, off, &Knowledge { cancel: true, ..know }), Next::Act(Action::UndefineDestination));
    assert_eq!(decide(off, off, &know), Next::Act(Action::UndefineSource));
    know.undefine_source_intended = true;
    assert_eq!(decide(off, off, &Knowledge { cancel: true, ..know }), Next::Act(Action::UndefineSource));
    assert_eq!(decide(Copy::Absent, off, &know), Next::Act(Action::AutostartDestination));
    let there = Copy::Off(sight(VmState::Shutoff, Reason::Other, false, true));
    let moved = Ending { location: Location::Destination, memory_lost: false, owed: None };
    assert_eq!(decide(Copy::Absent, there, &know), Next::End(moved));
}
