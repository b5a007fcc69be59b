//! A running guest with snapshots: libvirt moves none that has some, and Ferry does.

mod support;

use api::task::{Location, Task, TaskState};
use lab::{DiskSpec, Expect};
use support::World;
use support::guest::{Guest, quiet};
use support::images::sh;
use support::tasks::POINTS;

const SHARED: &str = "/srv/shared/g1.qcow2";

/// A guest on shared storage, and its two snapshots, the second of which it builds on.
fn with_snapshots(world: &World) -> Guest {
    let mut spec = quiet("g1");
    spec.disk = Some(DiskSpec::qcow2(SHARED, Some(32)));
    let guest = world.boot(spec, "kvm1");
    for snapshot in ["first", "second"] {
        world.host("kvm1").virsh(&["snapshot-create-as", "g1", snapshot]).expect("a snapshot");
    }
    guest
}

#[track_caller]
fn assert_known(world: &World, host: &str, names: &[&str]) {
    let listed =
        world.host(host).virsh(&["snapshot-list", "g1", "--name", "--topological"]).expect("snapshots");
    assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), names, "on {host}");
    if let Some(last) = names.last() {
        let current = world.host(host).virsh(&["snapshot-current", "g1", "--name"]).expect("the current one");
        assert_eq!(current.trim(), *last, "on {host}");
    }
}

#[test]
fn its_snapshots_go_along_when_that_is_asked_for() {
    let world = World::pair("aside");
    let guest = with_snapshots(&world);
    world.ferry(&["migrate", "g1", "--to", "kvm2"]).ended(3).says("--snapshots keep");
    assert_known(&world, "kvm1", &["first", "second"]);

    world.ferry(&["migrate", "g1", "--to", "kvm2", "--snapshots", "keep"]).succeeded();
    world.assert_well(&guest, Expect::Running, "kvm2");
    assert_known(&world, "kvm2", &["first", "second"]);
    // They are of use there.
    world.host("kvm2").virsh(&["snapshot-delete", "g1", "first"]).expect("it is in the image");
    assert_known(&world, "kvm2", &["second"]);

    world.ferry(&["migrate", "g1", "--to", "kvm1", "--snapshots", "drop"]).succeeded();
    world.assert_well(&guest, Expect::Running, "kvm1");
    assert_known(&world, "kvm1", &[]);
    let inside = sh(&world.host("kvm1"), &format!("qemu-img snapshot -U -l {SHARED}"));
    assert!(inside.contains("second"), "it stays in the image: {inside}");
}

#[test]
fn they_are_known_where_the_guest_is_whatever_happens() {
    let world = World::pair("asidedies");
    let guest = with_snapshots(&world);
    let mut at = "kvm1";
    let around = |step: &'static str| POINTS.into_iter().map(move |point| format!("{step}:{point}"));
    let moments = around("set-snapshots-aside").chain(around("make-snapshots-known"));
    for moment in moments.chain(["perform:AfterIntent".to_owned()]) {
        let to = if at == "kvm1" { "kvm2" } else { "kvm1" };
        let asked = ["migrate", "g1", "--to", to, "--snapshots", "keep"];
        let task = world.migrate_with_a_death_as(at, &moment, &asked);
        println!("{moment}: {}", task.message);
        let location = task.outcome.as_ref().map(|outcome| outcome.location);
        if location == Some(Location::Destination) {
            at = to;
        }
        world.assert_well(&guest, Expect::Running, at);
        assert_known(&world, at, &["first", "second"]);
    }

    // One that is called off.
    let to = if at == "kvm1" { "kvm2" } else { "kvm1" };
    let slow = ["g1", "--to", to, "--snapshots", "keep", "--bandwidth", "1MiB/s"];
    let slow = world.begin_migrate(&slow);
    world.wait_task(slow.task, "nothing is copied", |task: &Task| task.phase == api::task::Phase::Copy);
    assert_known(&world, at, &[]);
    world.ferry(&["task", "cancel", &slow.task.to_string()]).succeeded();
    assert_eq!(world.wait_settled(slow.task).state, TaskState::Cancelled);
    world.assert_well(&guest, Expect::Running, at);
    assert_known(&world, at, &["first", "second"]);
}
