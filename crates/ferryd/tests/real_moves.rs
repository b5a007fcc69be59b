//! Virtual machines move between real hosts, unharmed, and arrive as they left.

mod support;

use std::time::Duration;

use api::problem::Problem;
use api::task::{Location, Phase, Task, TaskState};
use api::vm::Vm;
use lab::{Expect, Host, Release};
use serde_json::json;
use support::guest::{Guest, quiet};
use support::tasks::is_copying;
use support::{SOON, World, until};

/// The local ports of connections that QEMU opens for a migration between two hosts.
const MIGRATION_PORTS: std::ops::RangeInclusive<u16> = 49152..=49215;
/// A tenth of the time after which everything is read anew anyhow.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Moves a guest to a host by one command and has the oracle look at it.
fn move_to(world: &World, guest: &Guest, to: &str) {
    let said = world.ferry(&["migrate", &guest.spec.name, "--to", to]).succeeded();
    assert!(said.stdout.contains(&format!("{} runs on {to}", guest.spec.name)), "{said:#?}");
    assert!(said.stdout.contains("total ") && said.stdout.contains("downtime "), "{said:#?}");
    world.assert_well(guest, Expect::Running, to);
}

#[test]
fn a_guest_goes_there_and_back_at_once_with_its_autostart() {
    let world = World::pair("back");
    let mut spec = quiet("g1");
    (spec.autostart, spec.nic) = (true, true);
    let guest = world.boot(spec, "kvm1");

    let there: Task = world.ferry_json(&["migrate", "g1", "--to", "kvm2", "--detach"]);
    world.wait_settled(there.id);
    // At that very moment, and by the next command: what the first one did is seen.
    let again = world.post("/api/v1/migrations", &json!({"vm": "g1", "destination": "kvm2"}));
    assert_eq!(codes(&again.problem()), ["same-host"], "{again:#?}");
    let vm = until(AT_ONCE, "autostart does not show", || {
        let vm: Vm = world.ferry_json(&["vm", "show", "g1"]);
        vm.autostart.then_some(vm)
    });
    assert_eq!((vm.host.as_str(), vm.persistent), ("kvm2", true));
    world.assert_well(&guest, Expect::Running, "kvm2");

    let task: Task = world.ferry_json(&["migrate", "g1", "--to", "kvm1"]);
    let outcome = task.outcome.as_ref().expect("an outcome");
    assert_eq!((task.state, outcome.location), (TaskState::Done, Location::Destination), "{task:#?}");
    assert_eq!((task.source.as_str(), task.destination.as_str()), ("kvm2", "kvm1"));
    // What is said of the releases is no matter here.
    let said = task.findings.iter().filter(|finding| !finding.code.ends_with("-older")).count();
    assert!(!outcome.memory_lost && said == 0 && task.cause.is_none(), "{task:#?}");
    let downtime_ms = outcome.downtime_ms.expect("a downtime");
    assert!(downtime_ms < outcome.total_ms, "{outcome:?}");
    // At the least the patterns, which are no page of zeros, went over.
    let transferred = outcome.transferred_bytes.expect("the bytes");
    assert!(transferred > u64::from(guest.spec.region_mib) << 20, "{outcome:?}");
    world.assert_well(&guest, Expect::Running, "kvm1");
}

fn codes(problem: &Problem) -> Vec<&str> {
    problem.findings.iter().map(|finding| finding.code.as_str()).collect()
}

#[test]
fn a_guest_goes_from_bookworm_to_trixie_and_back() {
    let world = World::of("mixed").host("kvm1", Release::Bookworm).host("kvm2", Release::Trixie).up();
    world.register("kvm1");
    world.register("kvm2");
    let guest = world.boot(quiet("g1"), "kvm1");
    move_to(&world, &guest, "kvm2");
    move_to(&world, &guest, "kvm1");
}

#[test]
fn paused_stays_paused_and_transient_stays_transient() {
    let world = World::pair("kept");
    let mut transient = quiet("fleeting");
    transient.persistent = false;
    let mut guests = world.boot_all(vec![quiet("paused"), transient], "kvm1").into_iter();
    let (Some(paused), Some(mut transient)) = (guests.next(), guests.next()) else { panic!("two guests") };

    world.host("kvm1").virsh(&["suspend", "paused"]).expect("it pauses");
    let task: Task = world.ferry_json(&["migrate", "paused", "--to", "kvm2"]);
    assert!(task.message.contains("is paused"), "{}", task.message);
    world.assert_well(&paused, Expect::Paused, "kvm2");
    assert_eq!(world.host("kvm2").virsh(&["domstate", "paused"]).expect("a state").trim(), "paused");
    world.ferry(&["migrate", "paused", "--to", "kvm1"]).succeeded();
    let kvm1 = world.host("kvm1");
    kvm1.virsh(&["resume", "paused"]).expect("it goes on");
    world.assert_well(&paused, Expect::Running, "kvm1");

    world.look_anew(&mut transient);
    move_to(&world, &transient, "kvm2");
    let info = world.host("kvm2").virsh(&["dominfo", "fleeting"]).expect("it is there");
    assert!(info.lines().any(|line| line.split_whitespace().eq(["Persistent:", "no"])), "{info}");
}

#[test]
fn limits_are_kept_and_secure_goes_through_libvirt_alone() {
    let world = World::pair("limits");
    let guest = world.boot(quiet("g1"), "kvm1");

    let open =
        world.begin_migrate(&["g1", "--to", "kvm2", "--bandwidth", "12MiB/s", "--max-downtime", "700ms"]);
    world.wait_task(open.task, "nothing is copied", is_copying);
    until(SOON, "the limits are not set", || {
        let set = migrate_parameters(&world.host("kvm1"));
        (set["max-bandwidth"] == 12 << 20 && set["downtime-limit"] == 700).then_some(())
    });
    assert!(connections(&world.host("kvm2")) > 0, "two QEMUs speak with each other");
    let task = open.task;
    open.end().succeeded();
    assert_rate(&world, &world.task(task), 12);
    world.assert_well(&guest, Expect::Running, "kvm2");

    let secure = world.begin_migrate(&["g1", "--to", "kvm1", "--secure", "--bandwidth", "12MiB/s"]);
    world.wait_task(secure.task, "nothing is copied", is_copying);
    assert_eq!(migrate_parameters(&world.host("kvm2"))["max-bandwidth"], 12 << 20);
    assert_eq!(connections(&world.host("kvm1")), 0, "nothing goes from QEMU to QEMU");
    assert_eq!(world.task(secure.task).phase, Phase::Copy, "that was seen during the copy");
    secure.end().succeeded();
    world.assert_well(&guest, Expect::Running, "kvm1");
}

/// What the QEMU of the only guest of a host was told of limits, asked by its own monitor.
fn migrate_parameters(host: &Host) -> serde_json::Value {
    let asked = r#"{"execute":"query-migrate-parameters"}"#;
    let told = host.virsh(&["qemu-monitor-command", "g1", asked]).expect("QEMU answers");
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    told["return"].clone()
}

/// Open TCP connections of a host to one of its ports for migrations.
fn connections(host: &Host) -> usize {
    const ESTABLISHED: &str = "01";
    let table = host.run(&["cat", "/proc/net/tcp", "/proc/net/tcp6"]).expect("the connections");
    let open = table.lines().filter(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let port = words.get(1).and_then(|local| local.rsplit_once(':'));
        let port = port.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        words.get(3) == Some(&ESTABLISHED) && port.is_some_and(|port| MIGRATION_PORTS.contains(&port))
    });
    open.count()
}

/// How long it was copied, by the last of its events that has figures.
fn copying_took_ms(world: &World, task: &Task) -> u64 {
    assert_eq!(task.progress, None, "nothing is on its way any more");
    let told = world.ferry(&["--json", "task", "watch", &task.id.to_string()]).succeeded().stdout;
    let events = told.lines().map(|line| serde_json::from_str::<api::event::Event>(line).expect("an event"));
    events.filter_map(|event| event.task.progress).next_back().expect("figures").elapsed_ms
}

/// What was sent took at least the time that this bandwidth needs.
fn assert_rate(world: &World, task: &Task, mib_s: u64) {
    let sent = task.outcome.as_ref().and_then(|outcome| outcome.transferred_bytes).expect("the bytes");
    let elapsed_ms = copying_took_ms(world, task);
    let needed_ms = sent * 1000 / (mib_s << 20);
    // The last pass, while the guest is paused, is not limited; and QEMU counts in slices of 100 ms.
    let unlimited_ms = 1000;
    assert!(elapsed_ms + unlimited_ms >= needed_ms, "{sent} bytes in {elapsed_ms} ms");
}
