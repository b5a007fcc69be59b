//! Post-copy on real hosts, where nothing breaks: when it is switched, and what a guest notices. (What breaks is in the matrix of
//! faults.)

mod support;

use api::task::{Location, Outcome, Task, TaskState};
use lab::Expect;
use support::World;
use support::guest::quiet;

/// Two hosts of two releases.
fn world() -> World {
    World::mixed("pcopy")
}

fn outcome(task: &Task) -> &Outcome {
    let outcome = task.outcome.as_ref().expect("an ended task tells its outcome");
    assert_eq!((task.state, outcome.location), (TaskState::Done, Location::Destination), "{task:#?}");
    outcome
}

#[test]
fn a_copy_that_does_not_converge_is_begun_anew_by_post_copy() {
    let world = world();
    let mut spec = quiet("g1");
    // Faster than it is sent: the ordinary copy would never end.
    (spec.work_mib, spec.dirty_mib_s, spec.autostart) = (64, 20, true);
    spec.every_page_counts = true;
    let guest = world.boot(spec, "kvm1");
    let line = ["g1", "--to", "kvm2", "--bandwidth", "12MiB/s", "--post-copy", "when-stuck"];
    let moving = world.begin_migrate(&line);
    world.wait_task(moving.task, "it is begun anew", |task| {
        task.message.contains("beginning anew by post-copy")
    });
    world.wait_task(moving.task, "it is switched", |task| {
        task.message.contains("the rest of its memory follows")
    });
    let id = moving.task;
    moving.end().succeeded();
    let task = world.task(id);
    assert!(!outcome(&task).memory_lost, "{task:#?}");
    let codes = task.findings.iter().map(|finding| finding.code.as_str());
    // What is said of the releases is no matter here.
    let codes: Vec<&str> = codes.filter(|code| !code.ends_with("-older")).collect();
    assert_eq!(codes, ["qemu-arguments", "post-copy-risk", "bandwidth-limited"]);
    world.assert_well(&guest, Expect::Running, "kvm2");
}

#[test]
fn a_copy_that_converges_is_handed_over_as_ever() {
    let world = world();
    let guest = world.boot(quiet("g1"), "kvm1");
    let task: Task = world.ferry_json(&["migrate", "g1", "--to", "kvm2", "--post-copy", "when-stuck"]);
    assert!(outcome(&task).downtime_ms.is_some(), "{task:#?}");
    assert!(world.log().contains("step=\"resume-destination\""), "it waited there until it was let run");
    world.assert_well(&guest, Expect::Running, "kvm2");

    // Back by post-copy, from the newer release to the older one.
    let task: Task = world.ferry_json(&["migrate", "g1", "--to", "kvm1", "--post-copy", "now"]);
    outcome(&task);
    world.assert_well(&guest, Expect::Running, "kvm1");
    let refused = world.ferry(&["migrate", "g1", "--to", "kvm2", "--post-copy", "now", "--secure"]);
    assert_eq!(refused.code, Some(2), "{refused:#?}");
}
