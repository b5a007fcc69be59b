//! The decision, over all combinations: what it must never do, and that it always comes to an end.

use api::task::{Location, Side};
use api::vm::VmState;

use super::copy::Copy;
use super::outcome::*;
use crate::model::domain::{Answer, Boot, DomainSight, HostSight, Process, ProcessAnswer, Reason, Run};

pub(super) fn sight(state: VmState, reason: Reason, job: bool, autostart: bool) -> DomainSight {
    DomainSight { state, reason, persistent: true, autostart, job, run: None }
}

/// Every copy that a host can have, as far as the decision can tell them apart.
pub(super) fn copies() -> Vec<Copy> {
    let mut copies = vec![Copy::Unknown, Copy::Dead, Copy::Absent];
    for reason in [Reason::Migrated, Reason::Crashed, Reason::Ended, Reason::Other] {
        copies.push(Copy::Off(sight(VmState::Shutoff, reason, false, false)));
    }
    for job in [false, true] {
        copies.push(Copy::Running(sight(VmState::Running, Reason::Other, job, false)));
        copies.push(Copy::Paused(sight(VmState::Paused, Reason::User, job, false)));
        copies.push(Copy::PausedMigrating(sight(VmState::Paused, Reason::Migrating, job, false)));
    }
    // One of each with the other autostart, which only the end looks at.
    copies.push(Copy::Off(sight(VmState::Shutoff, Reason::Other, false, true)));
    copies.push(Copy::Running(sight(VmState::Running, Reason::Other, false, true)));
    copies.push(Copy::Paused(sight(VmState::Paused, Reason::Other, false, true)));
    copies.push(Copy::Stranger(sight(VmState::Running, Reason::Other, false, false)));
    copies.push(Copy::Stranger(sight(VmState::Paused, Reason::User, false, false)));
    copies.push(Copy::PostCopy(sight(VmState::Paused, Reason::PostCopyFailed, true, false)));
    copies
}

const FLAGS: u32 = 13;

/// Knowledge from a number: one bit a flag.
fn knowledge(bits: u32, keep: Option<Keep>) -> Knowledge {
    let bit = |number: u32| bits >> number & 1 == 1;
    Knowledge {
        wants_running: bit(0),
        persistent: bit(1),
        autostart: bit(2),
        resume_intended: bit(3),
        destroy_source_intended: bit(4),
        // Told apart only where both copies are off, with the source having let go.
        destroy_destination_intended: bit(4),
        source_ran_again: bit(5),
        source_resumed: bit(5) && bit(11),
        source_unseen: bit(12),
        suspended_both: bit(6),
        suspension_open: bit(6) && bit(7),
        source_redefined: bit(7),
        cancel: bit(8),
        // Told apart only where a person has decided.
        needs_no_source: bit(8),
        stuck: bit(9),
        waited: bit(10),
        // Patience ends after the ordinary limit.
        patience_over: bit(10) && bit(9),
        source_given_up: bit(10) && bit(9),
        keep,
        ..Knowledge::default()
    }
}

fn keeps() -> Vec<Option<Keep>> {
    let mut keeps = vec![None];
    for side in [Side::Source, Side::Destination] {
        for fenced in [false, true] {
            keeps.push(Some(Keep { side, fenced }));
        }
    }
    keeps
}

/// Calls `look` with every combination.
pub(super) fn for_all(mut look: impl FnMut(Copy, Copy, &Knowledge, Next)) {
    let (copies, keeps) = (copies(), keeps());
    for bits in 0..1 << FLAGS {
        for keep in &keeps {
            let know = knowledge(bits, *keep);
            for source in &copies {
                for destination in &copies {
                    look(*source, *destination, &know, decide(*source, *destination, &know));
                }
            }
        }
    }
}

fn kept(know: &Knowledge, side: Side) -> bool {
    know.keep.is_some_and(|keep| keep.side == side)
}

fn fenced(know: &Knowledge) -> bool {
    know.keep.is_some_and(|keep| keep.fenced)
}

#[test]
fn it_never_does_what_could_make_two_run_or_lose_one() {
    for_all(|source, destination, know, next| {
        let case = || format!("{source:?} / {destination:?} / {know:?} → {next:?}");
        let Next::Act(action) = next else { return };
        match action {
            Action::ResumeDestination => {
                let vouched = kept(know, Side::Destination) && fenced(know);
                assert!(source.is_lifeless() || (vouched && source == Copy::Unknown), "{}", case());
                assert!(matches!(destination, Copy::Paused(_)), "{}", case());
                assert!(!know.source_ran_again || know.keep.is_some(), "old memory: {}", case());
                let told = match source {
                    _ if know.destroy_source_intended => true,
                    Copy::Absent => know.persistent,
                    Copy::Off(sight) => sight.reason == Reason::Migrated,
                    _ => false,
                };
                let seen = !know.source_unseen || told || know.resume_intended;
                assert!(seen || know.keep.is_some(), "it may have run on unseen: {}", case());
            }
            Action::ResumeSource => {
                let vouched = kept(know, Side::Source) && fenced(know);
                let cannot_run = matches!(destination, Copy::Unknown) && (!know.resume_intended || vouched);
                assert!(destination.is_lifeless() || cannot_run, "{}", case());
                let started_anew = matches!(source, Copy::Stranger(_)) && kept(know, Side::Source);
                let frozen = matches!(source, Copy::Paused(_) | Copy::PausedMigrating(_));
                assert!(frozen || started_anew, "{}", case());
                assert!(know.wants_running, "{}", case());
            }
            Action::DestroySource => {
                let survives = matches!(destination, Copy::Running(_) | Copy::Paused(_));
                assert!(survives || kept(know, Side::Destination), "{}", case());
                let seen = !matches!(destination, Copy::Unknown | Copy::Dead | Copy::Absent);
                assert!(seen, "the one that stays was not seen: {}", case());
            }
            Action::DestroyDestination => {
                assert!(!matches!(destination, Copy::Running(_)) || kept(know, Side::Source), "{}", case());
                let source_has_it =
                    matches!(source, Copy::Running(_) | Copy::Paused(_) | Copy::PausedMigrating(_));
                let forwards = know.destroy_source_intended && !know.source_ran_again;
                let frozen = matches!((source, destination), (Copy::PausedMigrating(_), Copy::Paused(_)));
                assert!(!(frozen && forwards) || know.keep.is_some(), "both may end: {}", case());
                // An incomplete copy, or one that is out of date, is nobody's memory.
                let worthless = matches!(destination, Copy::PausedMigrating(_)) || know.source_ran_again;
                assert!(source_has_it || worthless || kept(know, Side::Source), "{}", case());
                let seen = !matches!(source, Copy::Unknown | Copy::Dead);
                assert!(seen || know.keep.is_none(), "the one that stays was not seen: {}", case());
            }
            Action::DefineDestination => {
                let gone = matches!(source, Copy::Unknown | Copy::Dead) && fenced(know);
                assert!(gone && destination == Copy::Absent && kept(know, Side::Destination), "{}", case());
                assert!(know.persistent && know.needs_no_source, "{}", case());
            }
            Action::UndefineSource => {
                assert!(matches!(source, Copy::Off(_)), "{}", case());
                let elsewhere = matches!(destination, Copy::Off(_) | Copy::Running(_) | Copy::Paused(_));
                assert!(elsewhere || kept(know, Side::Destination), "{}", case());
            }
            Action::UndefineDestination => {
                assert!(matches!(destination, Copy::Off(_)), "{}", case());
                let elsewhere = !matches!(source, Copy::Unknown | Copy::Dead | Copy::Absent);
                assert!(elsewhere || kept(know, Side::Source), "{}", case());
            }
            Action::DefineSource => assert!(source == Copy::Absent && know.persistent, "{}", case()),
            Action::SuspendBoth => {
                let started_anew = matches!((source, destination), (Copy::Stranger(_), Copy::Paused(_)));
                let again = know.suspension_open && (runs(source) || runs(destination));
                let due = both_run(source, destination) || started_anew || again;
                assert!(due && know.keep.is_none(), "{}", case());
            }
            Action::AbortJob | Action::CloseSockets => assert!(know.keep.is_none(), "{}", case()),
            Action::StartPostCopy | Action::RecoverPostCopy => panic!("only by post-copy: {}", case()),
            Action::AutostartSource | Action::AutostartDestination => {}
        }
    });
}

fn both_run(source: Copy, destination: Copy) -> bool {
    runs(source) && matches!(destination, Copy::Running(_))
}

fn runs(copy: Copy) -> bool {
    match copy {
        Copy::Running(_) => true,
        Copy::Stranger(sight) => sight.state == VmState::Running,
        _ => false,
    }
}

#[test]
fn two_running_copies_are_always_stopped() {
    for_all(|source, destination, know, next| {
        let open = know.suspension_open && (runs(source) || runs(destination));
        if (both_run(source, destination) || open) && know.keep.is_none() {
            assert_eq!(next, Next::Act(Action::SuspendBoth));
        } else if know.suspended_both && know.keep.is_none() {
            // Of one that was not seen yet a person cannot be told.
            let unseen = |copy| matches!(copy, Copy::Unknown | Copy::Dead);
            let waits =
                matches!(next, Next::Wait(_)) && !know.waited && (unseen(source) || unseen(destination));
            assert!(
                waits || next == Next::Ask(Question::TwoCopies),
                "{source:?} / {destination:?} / {know:?}"
            );
        }
    });
}

#[test]
fn an_end_says_what_is_so() {
    for_all(|source, destination, know, next| {
        let case = || format!("{source:?} / {destination:?} / {know:?} → {next:?}");
        let Next::End(ending) = next else { return };
        let present = |copy: Copy| !matches!(copy, Copy::Unknown | Copy::Dead | Copy::Absent);
        match ending.location {
            Location::Source => {
                assert!(present(source) && !matches!(destination, Copy::Running(_)), "{}", case())
            }
            Location::Destination => assert!(present(destination) && !present(source), "{}", case()),
            Location::Neither => assert!(source == Copy::Absent && destination == Copy::Absent, "{}", case()),
            Location::Both | Location::Unknown => panic!("no end: {}", case()),
        }
        let silent = |copy: Copy| matches!(copy, Copy::Unknown | Copy::Dead);
        match ending.owed {
            Some(Side::Source) => assert!(silent(source), "{}", case()),
            Some(Side::Destination) => assert!(silent(destination), "{}", case()),
            None => assert!(!silent(source) && !silent(destination), "{}", case()),
        }
    });
}

#[test]
fn no_answer_never_means_absent() {
    // With nobody vouching, a silent host ends nothing but this: the source has the guest and the destination's copy cannot
    // run; or the destination runs and the source was proven gone.
    for_all(|source, destination, know, next| {
        if know.keep.is_some() || source != Copy::Unknown {
            return;
        }
        match next {
            Next::Wait(_) | Next::Ask(_) => {}
            Next::End(ending) => {
                assert!(know.resume_intended && matches!(destination, Copy::Running(_)), "{know:?}");
                assert_eq!(ending.owed, Some(Side::Source));
            }
            Next::Act(action) => {
                let ran_on = know.resume_intended && action == Action::AutostartDestination;
                let stops = know.suspension_open && action == Action::SuspendBoth;
                assert!(ran_on || stops, "{know:?} {action:?}");
            }
        }
    });
}

/// What an action does to two hosts that do as they are told.
fn apply(action: Action, source: &mut Copy, destination: &mut Copy, know: &mut Knowledge) {
    know.intended(action);
    let off = |copy: &Copy, persistent: bool| match copy {
        Copy::Paused(s)
        | Copy::Running(s)
        | Copy::PausedMigrating(s)
        | Copy::PostCopy(s)
        | Copy::Stranger(s)
            if persistent =>
        {
            Copy::Off(DomainSight { state: VmState::Shutoff, reason: Reason::Ended, job: false, ..*s })
        }
        _ => Copy::Absent,
    };
    let running = |copy: &Copy| match copy {
        Copy::Paused(s) | Copy::PausedMigrating(s) => {
            Copy::Running(DomainSight { state: VmState::Running, reason: Reason::Other, job: false, ..*s })
        }
        Copy::Stranger(s) => Copy::Stranger(DomainSight { state: VmState::Running, ..*s }),
        other => *other,
    };
    let started = |copy: &Copy, autostart| match copy {
        Copy::Running(s) => Copy::Running(DomainSight { autostart, ..*s }),
        Copy::Paused(s) => Copy::Paused(DomainSight { autostart, ..*s }),
        Copy::PausedMigrating(s) => Copy::PausedMigrating(DomainSight { autostart, ..*s }),
        Copy::Off(s) => Copy::Off(DomainSight { autostart, ..*s }),
        Copy::Stranger(s) => Copy::Stranger(DomainSight { autostart, ..*s }),
        other => *other,
    };
    let idle = |copy: &Copy| match copy {
        Copy::Running(s) => Copy::Running(DomainSight { job: false, ..*s }),
        Copy::Paused(s) => Copy::Paused(DomainSight { job: false, ..*s }),
        Copy::PausedMigrating(s) => Copy::Running(DomainSight {
            state: VmState::Running,
            reason: Reason::MigrationCanceled,
            job: false,
            ..*s
        }),
        other => *other,
    };
    match action {
        Action::AbortJob | Action::CloseSockets => *source = idle(source),
        Action::ResumeSource => *source = running(source),
        Action::ResumeDestination => *destination = running(destination),
        Action::DestroySource => *source = off(source, know.persistent),
        Action::DestroyDestination => *destination = off(destination, know.persistent),
        Action::UndefineSource => *source = Copy::Absent,
        Action::UndefineDestination => *destination = Copy::Absent,
        Action::DefineSource => {
            *source = Copy::Off(sight(VmState::Shutoff, Reason::Other, false, false));
        }
        Action::DefineDestination => {
            *destination = Copy::Off(sight(VmState::Shutoff, Reason::Other, false, false));
        }
        Action::StartPostCopy | Action::RecoverPostCopy => {}
        Action::SuspendBoth => {
            *source = Copy::Paused(sight(VmState::Paused, Reason::User, false, false));
            *destination = Copy::Paused(sight(VmState::Paused, Reason::User, false, false));
        }
        Action::AutostartSource => *source = started(source, know.autostart),
        Action::AutostartDestination => *destination = started(destination, know.autostart),
    }
}

#[test]
fn acting_always_comes_to_an_end() {
    for_all(|first_source, first_destination, know, _| {
        let (mut source, mut destination, mut know) = (first_source, first_destination, *know);
        let mut acted = Vec::new();
        while let Next::Act(action) = decide(source, destination, &know) {
            acted.push(action);
            assert!(acted.len() < 10, "{first_source:?} / {first_destination:?} / {know:?}: {acted:?}");
            apply(action, &mut source, &mut destination, &mut know);
            let both = both_run(source, destination);
            let from_the_start = both_run(first_source, first_destination);
            assert!(
                !both || from_the_start,
                "{first_source:?} / {first_destination:?} / {know:?}: {acted:?}"
            );
        }
    });
}

fn running(reason: Reason) -> Copy {
    Copy::Running(sight(VmState::Running, reason, false, false))
}

fn arrived() -> Copy {
    Copy::Paused(sight(VmState::Paused, Reason::User, false, false))
}

fn frozen(job: bool) -> Copy {
    Copy::PausedMigrating(sight(VmState::Paused, Reason::Migrating, job, false))
}

fn off(reason: Reason) -> Copy {
    Copy::Off(sight(VmState::Shutoff, reason, false, false))
}

/// The situations that were measured on real hosts, and what follows from each.
#[test]
fn the_measured_situations() {
    let know = Knowledge { wants_running: true, persistent: true, ..Knowledge::default() };
    let resumed = Knowledge { resume_intended: true, ..know };
    let at = |location, owed| Next::End(Ending { location, memory_lost: false, owed });
    for (source, destination, know, expected) in [
        (running(Reason::Other), Copy::Absent, know, at(Location::Source, None)),
        (frozen(false), Copy::Absent, know, Next::Act(Action::ResumeSource)),
        (frozen(false), Copy::Unknown, know, Next::Act(Action::ResumeSource)),
        (frozen(false), Copy::Unknown, resumed, Next::Wait(Why::DestinationSilent)),
        (frozen(false), running(Reason::Migrated), resumed, Next::Act(Action::DestroySource)),
        (frozen(false), arrived(), know, Next::Act(Action::DestroySource)),
        (frozen(true), Copy::Unknown, Knowledge { stuck: true, ..know }, Next::Act(Action::CloseSockets)),
        (running(Reason::MigrationCanceled), arrived(), know, Next::Act(Action::DestroyDestination)),
        (Copy::Absent, arrived(), know, Next::Act(Action::ResumeDestination)),
        (off(Reason::Migrated), arrived(), know, Next::Act(Action::ResumeDestination)),
        (Copy::Dead, arrived(), know, Next::Act(Action::ResumeDestination)),
        (Copy::Unknown, arrived(), know, Next::Wait(Why::SourceSilent)),
        (off(Reason::Other), running(Reason::Migrated), resumed, Next::Act(Action::UndefineSource)),
        (running(Reason::Other), running(Reason::Migrated), resumed, Next::Act(Action::SuspendBoth)),
        (Copy::Absent, running(Reason::Other), resumed, at(Location::Destination, None)),
        (
            Copy::Absent,
            off(Reason::Crashed),
            resumed,
            Next::End(Ending { location: Location::Destination, memory_lost: true, owed: None }),
        ),
        (
            off(Reason::Crashed),
            Copy::Absent,
            know,
            Next::End(Ending { location: Location::Source, memory_lost: true, owed: None }),
        ),
        (Copy::Absent, Copy::Absent, know, Next::Act(Action::DefineSource)),
        (
            Copy::Absent,
            off(Reason::Ended),
            Knowledge { destroy_destination_intended: true, ..know },
            Next::End(Ending { location: Location::Destination, memory_lost: true, owed: None }),
        ),
    ] {
        assert_eq!(decide(source, destination, &know), expected, "{source:?} / {destination:?}");
    }
}

/// Somebody started it on the source again: what arrived at the destination is the guest's memory, and is not thrown away.
#[test]
fn a_domain_started_anew_does_not_cost_the_one_that_moved() {
    let know = Knowledge { wants_running: true, persistent: true, ..Knowledge::default() };
    let anew = |state| Copy::Stranger(sight(state, Reason::Other, false, false));
    let (runs, waits) = (anew(VmState::Running), anew(VmState::Paused));
    assert_eq!(decide(runs, arrived(), &know), Next::Act(Action::SuspendBoth));
    assert_eq!(decide(waits, arrived(), &know), Next::Ask(Question::TwoCopies));
    let suspended = Knowledge { suspended_both: true, ..know };
    assert_eq!(decide(waits, arrived(), &suspended), Next::Ask(Question::TwoCopies));
    assert_eq!(decide(runs, arrived(), &suspended), Next::Ask(Question::TwoCopies), "a person let it run");
    let unanswered = Knowledge { suspension_open: true, ..suspended };
    assert_eq!(
        decide(runs, arrived(), &unanswered),
        Next::Act(Action::SuspendBoth),
        "the order got no answer"
    );
    assert_eq!(decide(waits, arrived(), &unanswered), Next::Ask(Question::TwoCopies));
    let lost = Next::End(Ending { location: Location::Source, memory_lost: true, owed: None });
    assert_eq!(decide(runs, Copy::Absent, &know), lost, "its memory is not the guest's");

    let process = |pid| ProcessAnswer::Running(Process { pid, start_ticks: 7 });
    let seen = |run, process, boot: &str| HostSight {
        domain: Answer::Present(DomainSight {
            run: Some(run),
            ..sight(VmState::Running, Reason::Other, false, false)
        }),
        process,
        boot: Some(Boot { id: boot.to_owned(), age_ms: 1 }),
    };
    let run = Run::seen(&seen(3, process(9), "a"));
    let is_stranger = |sight: &HostSight| matches!(Copy::of_source(sight, &run), Copy::Stranger(_));
    assert!(!is_stranger(&seen(3, process(9), "a")));
    assert!(is_stranger(&seen(4, ProcessAnswer::Unknown, "a")));
    assert!(is_stranger(&seen(3, process(8), "a")));
    assert!(is_stranger(&seen(3, process(9), "b")), "the host has booted since");
    let unknown = HostSight { boot: None, ..seen(3, ProcessAnswer::Unknown, "") };
    assert!(!is_stranger(&unknown), "what is not known proves nothing");
}

#[test]
fn what_a_host_says_is_taken_for_no_more_than_it_is() {
    let process = ProcessAnswer::Running(Process { pid: 7, start_ticks: 7 });
    let copy = |domain: Answer, process| Copy::of(&HostSight { domain, process, boot: None });
    let silent = || Answer::Unknown("no answer".to_owned());
    assert_eq!(copy(silent(), ProcessAnswer::Unknown), Copy::Unknown);
    assert_eq!(copy(silent(), process), Copy::Unknown);
    assert_eq!(copy(silent(), ProcessAnswer::None), Copy::Dead);
    assert_eq!(copy(Answer::Absent, ProcessAnswer::Unknown), Copy::Absent);
    assert_eq!(copy(Answer::Absent, process), Copy::Unknown, "a QEMU that libvirt does not know of");
    let off = sight(VmState::Shutoff, Reason::Other, false, false);
    assert_eq!(copy(Answer::Present(off), process), Copy::Unknown);
    assert_eq!(copy(Answer::Present(off), ProcessAnswer::None), Copy::Off(off));
    // A process table that hides other users' processes must not stop anything.
    let runs = sight(VmState::Running, Reason::Other, false, false);
    assert_eq!(copy(Answer::Present(runs), ProcessAnswer::None), Copy::Running(runs));
}

/// The source's QEMU is ending because libvirt confirms: the destination's copy is the only one.
#[test]
fn a_source_that_is_just_ending_does_not_cost_the_destination() {
    let ending = HostSight {
        domain: Answer::Present(sight(VmState::Shutdown, Reason::Other, false, false)),
        process: ProcessAnswer::None,
        boot: None,
    };
    for bits in 0..1 << FLAGS {
        let next = decide(Copy::of(&ending), arrived(), &knowledge(bits, None));
        assert!(matches!(next, Next::Wait(_) | Next::Ask(_)), "{next:?}");
    }
}

#[test]
fn a_destination_that_stands_for_another_reason_does_not_cost_the_frozen_source() {
    let know = Knowledge { wants_running: true, persistent: true, ..Knowledge::default() };
    let there = Copy::Paused(sight(VmState::Paused, Reason::Other, false, false));
    assert_eq!(decide(frozen(false), there, &know), Next::Act(Action::DestroyDestination));
    // Once it was ordered to run it may hold what is nowhere else.
    let ran = Knowledge { resume_intended: true, ..know };
    assert_eq!(decide(frozen(false), there, &ran), Next::Act(Action::DestroySource));
    assert_eq!(decide(frozen(false), arrived(), &know), Next::Act(Action::DestroySource));
}
