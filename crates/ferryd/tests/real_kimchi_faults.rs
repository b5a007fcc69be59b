//! Faults that were measured in the original, by their numbers there. Those with tests of their own elsewhere: 8 (a silent
//! host, `real_hosts`), 11 (a restart, `real_ends`), 12 (two requests at once, `real_ends`), 13 (this machine by another
//! name, `real_inherited`).

mod support;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use lab::{DiskSpec, Expect, GuestSpec, Host};
use support::guest::{Guest, TOO_SLOW, busy};
use support::tasks::is_midway;
use support::{SOON, World, until};

const SECOND_SOCKET: &str = "unix:/run/second/ferry.sock";
/// A list during a slow migration took the original 5 to 10 s.
const LISTED_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn faults_1_2_3_6_9_and_two_controllers() {
    let world = World::pair("kimchi");
    fault_3_a_stopped_machine_finishes_with_an_empty_disk(&world);
    let guest = world.boot(busy("web1"), "kvm1");
    let second = second_controller(&world);
    let migrating = world.begin_migrate(&["web1", "--to", "kvm2", "--bandwidth", TOO_SLOW]);
    world.wait_task(migrating.task, "a later pass", is_midway);

    fault_6_it_is_deleted_while_it_moves(&world, &guest);
    fault_9_a_list_takes_seconds_while_it_moves(&world);
    a_second_controller_is_refused_and_harms_nothing(&world);
    drop(second);

    world.host("kvm1").virsh(&["migrate-setspeed", "web1", "100000"]).expect("faster");
    migrating.end().succeeded();
    fault_1_the_source_can_start_it_again(&world);
    fault_2_a_request_deletes_it_after_the_move(&world, &guest);
    world.assert_well(&guest, Expect::Running, "kvm2");
}

fn fault_1_the_source_can_start_it_again(world: &World) {
    let started =
        world.host("kvm1").output(&["virsh", "-c", "qemu:///system", "start", "web1"]).expect("virsh");
    assert!(!started.status.success(), "it is gone from the source");
    let answer = world.post("/plugins/kimchi/vms/web1/start", &serde_json::json!({}));
    assert_eq!(answer.status, 400, "it runs where it is: {answer:?}");
}

fn fault_2_a_request_deletes_it_after_the_move(world: &World, guest: &Guest) {
    refuses_to_delete(world);
    guest.log.wait_next_tick("kvm2", SOON).expect("it runs on");
}

fn fault_3_a_stopped_machine_finishes_with_an_empty_disk(world: &World) {
    let mut spec = GuestSpec::new("stopped").expect("a spec");
    let disk = DiskSpec::in_pool("stopped", 16);
    spec.disk = Some(disk.clone());
    let host = world.host("kvm1");
    host.run(&["qemu-img", "create", "-q", "-f", &disk.format, &disk.path, "16M"]).expect("a disk");
    let define = ["virsh", "-q", "-c", "qemu:///system", "define", "/dev/stdin"];
    host.run_with_input(&define, spec.to_xml().as_bytes()).expect("defined");
    until(SOON, "it is listed", || (world.ferry(&["vm", "show", "stopped"]).code == Some(0)).then_some(()));
    // What a first try had made was what the second took for the disk: what is there is never taken for it.
    let there = world.host("kvm2");
    there.run(&["truncate", "-s", "1M", &disk.path]).expect("a file in the way");
    world.ferry(&["migrate", "stopped", "--to", "kvm2"]).ended(3);
    assert_eq!(std::fs::metadata(there.disk_path(&disk.path)).expect("it stays").len(), 1 << 20);
    there.run(&["rm", &disk.path]).expect("out of the way");
    world.ferry(&["migrate", "stopped", "--to", "kvm2"]).succeeded();
    let content = |host: &Host| std::fs::read(host.disk_path(&disk.path)).expect("the disk");
    assert_eq!(content(&there), content(&host), "it arrived whole, and the source's stays");
}

fn fault_6_it_is_deleted_while_it_moves(world: &World, guest: &Guest) {
    refuses_to_delete(world);
    guest.log.wait_next_tick("kvm1", SOON).expect("it runs on");
}

fn refuses_to_delete(world: &World) {
    for (path, status) in [("/plugins/kimchi/vms/web1", 409), ("/vms/web1", 409), ("/api/v1/vms/web1", 405)] {
        let answer = world.send(&support::http::request("DELETE", path, "", b""));
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
}

fn fault_9_a_list_takes_seconds_while_it_moves(world: &World) {
    for _ in 0..5 {
        let begin = Instant::now();
        assert_eq!(world.get("/api/v1/vms").status, 200);
        assert!(begin.elapsed() < LISTED_WITHIN, "{:?}", begin.elapsed());
    }
}

fn a_second_controller_is_refused_and_harms_nothing(world: &World) {
    let tasks = world.tasks().len();
    second_ferry(world.machine(), &["migrate", "web1", "--to", "kvm2", "--from", "kvm1"], Some(3));
    assert_eq!(world.tasks().len(), tasks);
}

/// A `ferryd` of its own, with the same hosts, that knows nothing of the other. Ends with the value.
struct Second(Child);

impl Drop for Second {
    fn drop(&mut self) {
        // With the stand-in goes the program.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn second_controller(world: &World) -> Second {
    let mut command = world.machine().command("ferryd").expect("the machine is on");
    command.args(["--data-dir", "/var/lib/second", "--socket", "/run/second/ferry.sock"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let second = Second(command.spawn().expect("it starts"));
    for host in ["kvm1", "kvm2"] {
        let uri = support::uri(host);
        let add = || second_ferry(world.machine(), &["host", "add", host, &uri], None).then_some(());
        until(SOON, "the second controller registers its hosts", add);
    }
    let listed = || second_ferry(world.machine(), &["vm", "show", "web1"], None).then_some(());
    until(SOON, "the second controller lists it", listed);
    second
}

/// Runs `ferry` against the second controller; whether it ended well, or as it must.
fn second_ferry(machine: &Host, arguments: &[&str], must: Option<i32>) -> bool {
    let said =
        machine.output(&[&["ferry", "--server", SECOND_SOCKET], arguments].concat()).expect("ferry starts");
    assert!(must.is_none_or(|code| said.status.code() == Some(code)), "{arguments:?}: {said:?}");
    said.status.success()
}
