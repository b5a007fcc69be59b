//! What people are told and offered.

use api::vm::VmState;

use super::super::outcome_tests::sight;
use super::*;
use crate::model::DomainUuid;
use crate::model::domain::Reason;

fn plan() -> Plan {
    let plan = serde_json::json!({
        "domain": DomainUuid(uuid::Uuid::nil()), "name": "web1", "source": "kvm1", "destination": "kvm2", "peer_uri": "",
        "wants_running": true, "persistent": true, "autostart": false, "definition": null, "max_downtime_ms": null,
        "bandwidth_mib_s": null, "tunnelled": false
    });
    serde_json::from_value(plan).unwrap()
}

fn arrived() -> Copy {
    Copy::Paused(sight(VmState::Paused, Reason::User, false, false))
}

fn off() -> Copy {
    Copy::Off(sight(VmState::Shutoff, Reason::Crashed, false, false))
}

/// What is said and offered, each as side, `--fenced`, effect.
fn asked(what: Question, source: Copy, destination: Copy) -> (String, Vec<(Side, bool, String)>) {
    let know = Knowledge { wants_running: true, persistent: true, ..Knowledge::default() };
    let (said, offers) = question(what, [source, destination], &know, &plan(), TaskId::new(), None);
    for offer in &offers {
        let side = if offer.keep == Side::Source { "source" } else { "destination" };
        assert!(offer.command.contains(&format!("--keep {side}")), "{offer:?}");
        assert_eq!(offer.command.ends_with(" --fenced"), offer.fenced, "{offer:?}");
    }
    (said, offers.into_iter().map(|offer| (offer.keep, offer.fenced, offer.effect)).collect())
}

#[test]
fn who_waits_is_told_that_the_guest_does_not_run() {
    let told = |source, destination, know: &Knowledge, plan: &Plan| {
        waiting(Why::SourceSilent, source, destination, know, plan)
    };
    let know = Knowledge { wants_running: true, persistent: true, ..Knowledge::default() };
    let both = told(Copy::Unknown, Copy::Unknown, &know, &plan());
    assert!(both.starts_with("neither kvm1 nor kvm2 answers") && both.contains("it does not run"), "{both}");
    let one = told(Copy::Unknown, arrived(), &know, &plan());
    assert!(one.contains("unless it runs on kvm1, web1 does not run now"), "{one}");
    // Once it was ordered to run, it may.
    let ordered = Knowledge { resume_intended: true, ..know };
    let may_run = told(Copy::Unknown, Copy::Unknown, &ordered, &plan());
    assert_eq!(may_run, "kvm1 does not answer; it is asked again");
    let stopped = Plan { cold: true, wants_running: false, ..plan() };
    let stopped = told(Copy::Unknown, off(), &know, &stopped);
    assert!(!stopped.contains("run"), "{stopped}");
}

#[test]
fn no_copy_is_told_of_that_is_not_there() {
    let know = Knowledge { wants_running: true, persistent: true, ..Knowledge::default() };
    let told = waiting(Why::SourceSilent, Copy::Unknown, Copy::Absent, &know, &plan());
    assert_eq!(told, "kvm1 does not answer; it is asked again");
    let (said, _) = asked(Question::SourceSilent, Copy::Unknown, Copy::Absent);
    assert!(!said.contains("paused") && said.contains("virsh define"), "{said}");
    let (said, _) = asked(Question::SourceSilent, Copy::Unknown, arrived());
    assert!(said.contains("and stays paused"), "{said}");
}

#[test]
fn only_what_leads_on_is_offered() {
    // What does not answer cannot be kept.
    let (said, offers) = asked(Question::SourceSilent, Copy::Unknown, arrived());
    assert!(matches!(&*offers, [(Side::Destination, true, _)]), "{offers:?}");
    assert!(said.ends_with("If kvm1 is powered off and stays so, the copy on kvm2 can be kept."), "{said}");
    let (said, offers) = asked(Question::SourceSilent, Copy::Unknown, Copy::Unknown);
    assert_eq!(offers, []);
    assert!(said.ends_with("Nothing can be decided before an answer comes."), "{said}");
    // One that has a part of the memory only is not worth the other.
    let receives = Copy::PausedMigrating(sight(VmState::Paused, Reason::Migrating, false, false));
    let runs = Copy::Running(sight(VmState::Running, Reason::Other, false, false));
    let (_, offers) = asked(Question::Unexpected, runs, receives);
    assert!(matches!(&*offers, [(Side::Source, false, _)]), "{offers:?}");
}

#[test]
fn what_is_offered_tells_its_price_and_the_hosts() {
    let (_, offers) = asked(Question::MayHaveRun, off(), arrived());
    let [(Side::Source, false, source), (Side::Destination, false, destination)] = &*offers else {
        panic!("{offers:?}")
    };
    assert_eq!(
        source,
        "keeps kvm1: the memory of web1 is lost: it is stopped there, and boots anew from its disks when it is started; the copy \
         on kvm2 is ended."
    );
    assert_eq!(
        destination,
        "keeps kvm2: web1 goes on there with the memory it has there; this is the older copy, should the guest have gone on at \
         kvm1 after the hand-over; the definition on kvm1 is removed."
    );
    let (_, offers) = asked(Question::TwoCopies, arrived(), arrived());
    for ((_, _, effect), other) in offers.iter().zip(["kvm2", "kvm1"]) {
        let lost = format!(
            "what the guest did on {other} since the hand-over is lost; the copy on {other} is ended."
        );
        assert!(effect.ends_with(&lost), "{effect}");
    }
}

#[test]
fn a_source_that_is_gone_for_good_does_not_take_the_domain_with_it() {
    let silent = |know: &Knowledge| {
        let copies = [Copy::Unknown, Copy::Absent];
        question(Question::SourceSilent, copies, know, &plan(), TaskId::new(), None)
    };
    let know =
        Knowledge { wants_running: true, persistent: true, needs_no_source: true, ..Knowledge::default() };
    let (said, offers) = silent(&know);
    assert!(said.ends_with("web1 can be defined on kvm2 and started anew from its disks."), "{said}");
    let [offer] = &*offers else { panic!("{offers:?}") };
    assert!(
        offer.fenced && offer.effect.contains("boots anew") && !offer.effect.contains("older"),
        "{offer:?}"
    );
    // What its shell shows is worth more than anybody's word.
    let (said, offers) = silent(&Knowledge { source_alive: true, ..know });
    assert!(said.contains("A QEMU of web1 is alive on kvm1") && offers.is_empty(), "{said}");
    // It would start there with its host; or was never to go.
    for know in [Knowledge { source_may_start: true, ..know }, Knowledge { not_begun: true, ..know }] {
        assert!(silent(&know).1.is_empty(), "{know:?}");
    }
    // Its disks went with the source.
    let (said, offers) = silent(&Knowledge { needs_no_source: false, ..know });
    assert!(said.contains("virsh define") && offers.is_empty(), "{said}");
}

#[test]
fn what_may_have_run_on_the_destination_is_told_with_what_to_look_at() {
    let frozen = Copy::PausedMigrating(sight(VmState::Paused, Reason::Migrating, false, false));
    let (said, offers) = asked(Question::MayHaveRunThere, frozen, Copy::Absent);
    assert!(said.contains("`virsh destroy web1` on kvm1"), "{said}");
    let [(Side::Source, false, effect)] = &*offers else { panic!("{offers:?}") };
    assert!(effect.contains("the older copy, should the guest have gone on at kvm2"), "{effect}");
    let (said, offers) = asked(Question::MayHaveRunThere, frozen, off());
    assert!(said.contains("keep the destination") && !said.contains("virsh"), "{said}");
    assert_eq!(offers.len(), 2, "{offers:?}");
}

#[test]
fn one_that_had_not_begun_is_not_said_to_run() {
    let know =
        Knowledge { not_begun: true, patience_over: true, wants_running: true, ..Knowledge::default() };
    let end = Ending { location: Location::Source, memory_lost: false, owed: None };
    let (state, said) = ending(end, Copy::Unknown, &know, Some("no route to host\nand more"), &plan());
    assert_eq!(state, TaskState::Failed);
    assert_eq!(
        said,
        "The migration was not begun (no route to host): kvm1 does not answer. Nothing was done to web1, and what has become of it \
         there is not known."
    );
    let (state, _) = ending(end, Copy::Unknown, &Knowledge { cancel: true, ..know }, None, &plan());
    assert_eq!(state, TaskState::Cancelled);
    let end = Ending { location: Location::Neither, ..end };
    let (_, said) = ending(end, Copy::Absent, &know, None, &plan());
    assert!(said.contains("neither on kvm1 nor on kvm2") && !said.contains("QEMU"), "{said}");
}

#[test]
fn what_a_person_kept_is_not_called_unharmed() {
    let end = Ending { location: Location::Source, memory_lost: false, owed: None };
    let said = |keep| ending(end, arrived(), &Knowledge { keep, ..Knowledge::default() }, None, &plan()).1;
    assert!(said(None).ends_with("web1 is paused on kvm1, unharmed."), "{}", said(None));
    let kept = said(Some(Keep { side: Side::Source, fenced: false }));
    assert!(kept.ends_with("web1 is paused on kvm1, which was kept."), "{kept}");
}

#[test]
fn what_comes_to_nothing_is_told_with_what_the_host_says() {
    let know = Knowledge { wants_running: true, persistent: true, ..Knowledge::default() };
    let runs = Copy::Running(sight(VmState::Running, Reason::Other, false, false));
    let held = Question::Held(Action::AutostartSource);
    let why = Some("cannot acquire state change lock\nand more");
    let (said, _) = question(held, [runs, Copy::Absent], &know, &plan(), TaskId::new(), why);
    assert!(
        said.contains("setting autostart on kvm1 as it was (cannot acquire state change lock)"),
        "{said}"
    );
}
