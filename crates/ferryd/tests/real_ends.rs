//! Migrations that end otherwise than by moving, or without the `ferryd` that began them: the virtual machine runs on as before,
//! and the task says what happened.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use api::host::{Host, HostState};
use api::problem::Code;
use api::task::{Location, Task, TaskState};
use lab::{Daemon, Expect};
use serde_json::json;
use support::guest::{Guest, TOO_SLOW, TOO_SLOW_MIB_S, busy, quiet};
use support::http::{Answer, Held, json_request};
use support::tasks::{MOVES_WITHIN, is_copying, is_midway};
use support::{SOON, World, until};

/// Long before the time that the caller is promised an answer in.
const CANCEL_ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The way to kvm2 on which a busy guest never arrives.
const FOR_EVER: &[&str] = &["g1", "--to", "kvm2", "--bandwidth", TOO_SLOW];

/// A world with a busy guest on kvm1 that starts with its host.
fn with_busy_guest(test: &'static str) -> (World, Guest) {
    let world = World::pair(test);
    let mut spec = busy("g1");
    spec.autostart = true;
    let guest = world.boot(spec, "kvm1");
    (world, guest)
}

/// The task ended in this state, with the guest where it was.
#[track_caller]
fn assert_stayed(task: &Task, state: TaskState) {
    let location = task.outcome.as_ref().map(|outcome| outcome.location);
    assert_eq!((task.state, location), (state, Some(Location::Source)), "{task:#?}");
}

#[test]
fn a_cancelled_move_leaves_everything_as_it_was() {
    let (world, guest) = with_busy_guest("cancel");
    let moving = world.begin_migrate(FOR_EVER);
    let id = moving.task;
    world.wait_task(id, "it does not get to the second pass", is_midway);
    let asked = Instant::now();
    world.ferry(&["task", "cancel", &id.to_string()]).succeeded();
    assert!(asked.elapsed() < CANCEL_ANSWERS_WITHIN, "cancel answered after {:?}", asked.elapsed());
    moving.end().ended(4).says("Cancelled: g1 runs on kvm1 as before");
    assert_stayed(&world.task(id), TaskState::Cancelled);
    world.ferry(&["task", "watch", &id.to_string()]).ended(4);
    let problem: api::problem::Problem =
        world.ferry(&["--json", "task", "cancel", &id.to_string()]).ended(1).json();
    assert_eq!(problem.code, Code::TooLate);
    world.assert_well(&guest, Expect::Running, "kvm1");

    // A controller that was killed meanwhile cancels just as well.
    let task: Task = world.ferry_json(&[&["migrate", "--detach"], FOR_EVER].concat());
    world.wait_task(task.id, "nothing is copied", is_copying);
    world.kill_ferryd();
    world.start_ferryd();
    world.ferry(&["task", "cancel", &task.id.to_string()]).succeeded();
    assert_stayed(&world.wait_settled(task.id), TaskState::Cancelled);
    world.assert_well(&guest, Expect::Running, "kvm1");

    world.ferry(&["migrate", "g1", "--to", "kvm2"]).succeeded();
    world.assert_well(&guest, Expect::Running, "kvm2");
}

#[test]
fn a_failed_move_leaves_everything_as_it_was() {
    let (world, guest) = with_busy_guest("fail");
    let moving = world.begin_migrate(FOR_EVER);
    let id = moving.task;
    world.wait_task(id, "nothing is copied", is_copying);
    world.host("kvm2").kill_daemon(Daemon::Libvirtd).expect("SIGKILL");
    let said = moving.end().ended(1).says("The migration failed");
    assert!(said.stderr.contains("g1 runs on kvm1, unharmed"), "{said:#?}");
    let task = world.task(id);
    assert_stayed(&task, TaskState::Failed);
    assert!(task.cause.is_some(), "{task:#?}");

    world.host("kvm2").start_daemon(Daemon::Libvirtd).expect("it comes back");
    until(MOVES_WITHIN, "kvm2 is not connected again by itself", || {
        let host: Host = world.ferry_json(&["host", "show", "kvm2"]);
        (host.state == HostState::Connected).then_some(())
    });
    until(SOON, "what is left on kvm2 is not removed", || {
        world.host("kvm2").pid_of_qemu(&guest.spec.uuid).is_none().then_some(())
    });
    world.assert_well(&guest, Expect::Running, "kvm1");
    world.ferry(&["migrate", "g1", "--to", "kvm2"]).succeeded();
    world.assert_well(&guest, Expect::Running, "kvm2");
}

#[test]
fn what_somebody_defined_there_before_it_began_stays() {
    let (world, guest) = with_busy_guest("theirs");
    let kvm2 = world.host("kvm2");
    let mut theirs = guest.spec.clone();
    theirs.autostart = false;
    let define = || {
        let words = ["virsh", "-q", "-c", "qemu:///system", "define", "/dev/stdin"];
        kvm2.run_with_input(&words, theirs.to_xml().as_bytes()).expect("somebody defines it");
    };
    let asked = ["migrate", "g1", "--to", "kvm2"];
    let task = world.migrate_with_a_death_and("kvm1", "prepare:AfterResult", &asked, define);
    assert_stayed(&task, TaskState::Failed);
    assert!(task.message.contains("g1 was defined on kvm2 meanwhile"), "{task:#?}");
    assert!(kvm2.disk_path("/etc/libvirt/qemu/g1.xml").exists(), "it is not this task's to remove");
    kvm2.virsh(&["undefine", "g1"]).expect("theirs to remove");
    world.assert_well(&guest, Expect::Running, "kvm1");
}

#[test]
fn of_two_requests_at_once_one_is_refused() {
    let (world, guest) = with_busy_guest("twice");
    let body = json!({ "vm": "g1", "destination": "kvm2", "bandwidth_mib_s": TOO_SLOW_MIB_S });
    let request = json_request("POST", "/api/v1/migrations", &body.to_string());
    for round in 0..4 {
        let held = [world.hold(&request), world.hold(&request)];
        let threads = held.map(|held: Held| thread::spawn(move || held.let_go()));
        let mut answers = threads.map(|thread| thread.join().expect("an answer"));
        answers.sort_by_key(|answer| answer.status);
        let [accepted, refused] = &answers;
        assert_eq!((accepted.status, refused.status), (202, 409), "round {round}: {answers:#?}");
        let task: Task = accepted.json();
        assert!(accepted.head.contains(&format!("location: /api/v1/tasks/{}", task.id)), "{accepted:#?}");
        assert_already_migrating(refused, &task);

        // Later ones are told the same, by either contract.
        world.wait_task(task.id, "nothing is copied", is_copying);
        assert_already_migrating(&world.send(&request), &task);
        let inherited = world.post("/plugins/kimchi/vms/g1/migrate", &json!({ "remoteHost": "kvm2" }));
        assert_eq!(inherited.status, 409, "{inherited:#?}");
        world.ferry(&["migrate", "g1", "--to", "kvm2"]).ended(3).says("already-migrating");

        world.ferry(&["task", "cancel", &task.id.to_string()]).succeeded();
        assert_stayed(&world.wait_settled(task.id), TaskState::Cancelled);
        assert_eq!(world.tasks().len(), round + 1, "what is refused becomes no task");
    }
    world.assert_well(&guest, Expect::Running, "kvm1");
}

#[track_caller]
fn assert_already_migrating(answer: &Answer, task: &Task) {
    let problem = answer.problem();
    assert_eq!((problem.code, problem.task), (Code::AlreadyMigrating, Some(task.id)), "{problem:#?}");
}

#[test]
fn a_killed_ferryd_started_again_brings_the_move_to_its_end() {
    let world = World::pair("killed");
    let mut spec = quiet("g1");
    spec.autostart = true;
    let guest = world.boot(spec, "kvm1");
    let slow = ["--bandwidth", "12MiB/s"];

    // Killed and started again while the memory is copied.
    let moving = world.begin_migrate(&[&["g1", "--to", "kvm2"], &slow[..]].concat());
    let id = moving.task;
    world.wait_task(id, "nothing is copied", is_copying);
    world.kill_ferryd();
    world.start_ferryd();
    let task = world.wait_settled(id);
    assert_eq!((task.state, task.outcome.as_ref().map(|o| o.location)), MOVED, "{task:#?}");
    // The client has waited through it all.
    moving.end().succeeded().says("g1 runs on kvm2");
    world.assert_well(&guest, Expect::Running, "kvm2");

    // Killed while it is copied, started again when libvirt has long done: until then no copy runs.
    let task: Task = world.ferry_json(&[&["migrate", "g1", "--to", "kvm1", "--detach"], &slow[..]].concat());
    world.wait_task(task.id, "nothing is copied", is_copying);
    world.kill_ferryd();
    let kvm2 = world.host("kvm2");
    until(MOVES_WITHIN, "libvirt does not go on alone", || {
        kvm2.pid_of_qemu(&guest.spec.uuid).is_none().then_some(())
    });
    assert_eq!(world.host("kvm1").virsh(&["domstate", "g1"]).expect("a state").trim(), "paused");
    world.start_ferryd();
    let task = world.wait_settled(task.id);
    assert_eq!((task.state, task.outcome.as_ref().map(|o| o.location)), MOVED, "{task:#?}");
    world.assert_well(&guest, Expect::Running, "kvm1");
}

const MOVED: (TaskState, Option<Location>) = (TaskState::Done, Some(Location::Destination));
