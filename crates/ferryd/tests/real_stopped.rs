//! Stopped virtual machines move: their definition goes over, whole, and is on one host alone.

mod support;

use std::time::Duration;

use api::preflight::{Report, Verdict};
use api::task::{Location, Task, TaskState};
use lab::{DiskSpec, GuestSpec, Host};
use support::World;
use support::guest::quiet;
use support::tasks::{DIES_WITHIN, POINTS};

const BOOTS_WITHIN: Duration = Duration::from_secs(120);
/// A password of a screen: it goes along, and is kept nowhere.
const SECRET: &str = "s3cretpw";

fn stopped(world: &World, spec: &GuestSpec) {
    world.define_stopped("kvm1", &spec.to_xml(), &spec.name);
    if spec.autostart {
        world.host("kvm1").virsh(&["autostart", &spec.name]).expect("autostart");
    }
}

fn has_definition(host: &Host, name: &str) -> bool {
    host.disk_path(format!("/etc/libvirt/qemu/{name}.xml")).exists()
}

fn has_autostart(host: &Host, name: &str) -> bool {
    std::fs::symlink_metadata(host.disk_path(format!("/etc/libvirt/qemu/autostart/{name}.xml"))).is_ok()
}

/// Defined on this host alone, with its autostart.
#[track_caller]
fn assert_owner(world: &World, spec: &GuestSpec, owner: &str) {
    for name in ["kvm1", "kvm2"] {
        let host = world.host(name);
        assert_eq!(has_definition(&host, &spec.name), name == owner, "a definition on {name}");
        assert_eq!(has_autostart(&host, &spec.name), name == owner && spec.autostart, "autostart on {name}");
        assert_eq!(host.pid_of_qemu(&spec.uuid), None, "nothing runs on {name}");
    }
}

#[test]
fn a_stopped_one_goes_there_and_back_whole_and_starts_there() {
    let world = World::pair("cold");
    let mut spec = quiet("g1");
    let path = "/srv/shared/g1.qcow2".to_owned();
    spec.disk = Some(DiskSpec::qcow2(path, Some(32)));
    spec.autostart = true;
    spec.extra_devices =
        format!("<graphics type='vnc' autoport='yes' passwd='{SECRET}'/><video><model type='vga'/></video>");
    let kvm2 = world.host("kvm2");
    kvm2.run(&["qemu-img", "create", "-q", "-f", "qcow2", "/srv/shared/g1.qcow2", "32M"]).expect("an image");
    stopped(&world, &spec);
    // The hosts need not reach each other for this.
    world.host("kvm1").run(&["rm", "/root/.ssh/known_hosts"]).expect("the source knows nobody");

    let reports: Vec<Report> = world.ferry_json(&["check", "g1", "--to", "kvm2"]);
    assert_eq!(reports[0].verdict, Verdict::Go, "{reports:#?}");
    let task: Task = world.ferry_json(&["migrate", "g1", "--to", "kvm2"]);
    let location = task.outcome.as_ref().map(|outcome| outcome.location);
    assert_eq!((task.state, location), (TaskState::Done, Some(Location::Destination)), "{task:#?}");
    assert!(task.message.contains("is stopped, as it was, on kvm2"), "{task:#?}");
    assert_owner(&world, &spec, "kvm2");
    let xml = kvm2.virsh(&["dumpxml", "--security-info", "--inactive", "g1"]).expect("its definition");
    assert!(xml.contains(SECRET), "the screen's password went along");
    let kept = "cat /var/lib/ferry/* /var/log/ferryd.log 2>/dev/null | grep -c s3cretpw || true";
    let kept = world.machine().run(&["sh", "-c", kept]).expect("grep");
    assert_eq!(kept.trim(), "0", "and is kept nowhere");

    world.ferry(&["migrate", "g1", "--to", "kvm1"]).succeeded();
    assert_owner(&world, &spec, "kvm1");
    world.ferry(&["migrate", "g1", "--to", "kvm2"]).succeeded();
    let log = world.lab.watch_guest("g1").expect("a log");
    kvm2.virsh(&["start", "g1"]).expect("it starts where it is");
    log.wait_ready("kvm2", BOOTS_WITHIN).expect("it boots, with its disk");
}

#[test]
fn a_ferryd_that_dies_at_any_step_of_it_leaves_one_definition() {
    let world = World::pair("colddies");
    let mut spec = GuestSpec::new("g1").expect("a spec");
    spec.autostart = true;
    stopped(&world, &spec);
    let mut at = "kvm1";
    for step in ["prepare", "perform", "undefine-source", "autostart-destination"] {
        for point in POINTS {
            let to = if at == "kvm1" { "kvm2" } else { "kvm1" };
            let task = world.migrate_with_a_death("g1", at, to, &format!("{step}:{point}"));
            let location = task.outcome.as_ref().map(|outcome| outcome.location);
            let owner = if location == Some(Location::Destination) { to } else { at };
            println!("{step}:{point}: {}", task.message);
            let fits = match task.state {
                TaskState::Done => location == Some(Location::Destination),
                TaskState::Failed => location == Some(Location::Source),
                _ => false,
            };
            assert!(fits, "{step}:{point}: {task:#?}");
            assert_owner(&world, &spec, owner);
            at = owner;
        }
    }
}

/// Somebody starts it on the destination while ferryd is away, and takes its definition there: it shall have one all the same.
#[test]
fn a_ferryd_that_dies_while_it_defines_one_that_was_started_there_leaves_it_defined() {
    let world = World::pair("colddefines");
    let spec = quiet("g1");
    let kvm2 = world.host("kvm2");
    for point in POINTS {
        stopped(&world, &spec);
        let meanwhile = || {
            kvm2.virsh(&["start", "g1"]).expect("it starts where its definition is");
            kvm2.virsh(&["undefine", "g1"]).expect("it runs on without one");
            world.start_ferryd_with(&[("FERRYD_DIE_AT", &format!("define-destination:{point}"))]);
            world.wait_ferryd_ends(DIES_WITHIN);
        };
        let asked = ["migrate", "g1", "--to", "kvm2"];
        let task = world.migrate_with_a_death_and("kvm1", "perform:AfterResult", &asked, meanwhile);
        let location = task.outcome.as_ref().map(|outcome| outcome.location);
        assert_eq!(
            (task.state, location),
            (TaskState::Done, Some(Location::Destination)),
            "{point}: {task:#?}"
        );
        for (name, owns) in [("kvm1", false), ("kvm2", true)] {
            let host = world.host(name);
            assert_eq!(has_definition(&host, "g1"), owns, "{point}: a definition on {name}");
            assert_eq!(host.pid_of_qemu(&spec.uuid).is_some(), owns, "{point}: a QEMU on {name}");
        }
        kvm2.virsh(&["destroy", "g1"]).expect("it ends");
        kvm2.virsh(&["undefine", "g1"]).expect("and goes");
    }
}
