//! Exchanges that were recorded where something stood in the way, or had just been in the way, each where it has come to that again: `ferryd`
//! on the source itself, as the original was. Those that show a fault of the original are in `real_kimchi_faults`.

mod support;

use api::host::{Host, HostState};
use api::vm::VmState;
use lab::{Daemon, DiskSpec, Expect, Release};
use serde_json::{Value, json};
use support::guest::quiet;
use support::images::{image, sh, sum};
use support::kimchi::{
    DESTINATION, assert_no_task_of, at_home, ended, moves_on, moving, name_destination, replay,
    replay_to_its_end, virsh, with_destination,
};
use support::tasks::MOVES_WITHIN;
use support::{SOON, World, recorded, until};

const VM1: &str = "/plugins/kimchi/vms/vm1";

fn state_on(world: &World, host: &str, name: &str) -> String {
    world.host(host).virsh(&["domstate", name]).expect("a state").trim().to_owned()
}

fn wait_state(world: &World, host: &str, state: VmState) {
    world.wait_listed("its state does not show", |vm| vm.host == host && vm.state == state);
}

#[test]
fn a_destination_that_has_it_already_is_refused_before_there_is_a_task() {
    let world = with_destination("kthere");
    let all = recorded::all();
    // Without a disk: two of it hurt nobody.
    let spec = quiet("vm1");
    // Whoever is named must be let in, though the host is known, and is reached with another login.
    name_destination(&world);
    world.lab.start_guest(&spec, "kvm1").expect("it starts");
    wait_state(&world, "kvm1", VmState::Running);
    for name in ["22a-no-login", "60e-password-wrong", "60f-user-nonroot-local-home"] {
        replay(&world, &all[name]);
    }
    assert!(world.tasks().is_empty(), "what is refused becomes no task");

    world.lab.start_guest(&spec, "kvm2").expect("it starts");
    for registered in ["kvm1", DESTINATION] {
        wait_state(&world, registered, VmState::Running);
    }
    for name in [
        "40-already-running-on-dest-post",
        "40r1-already-running-on-dest-post",
        "40r2-already-running-on-dest-post",
    ] {
        let told = replay(&world, &all[name]);
        assert!(told.body.contains("kim-h2 already has a virtual machine with the UUID of vm1"), "{told:#?}");
        for host in ["kvm1", "kvm2"] {
            assert_eq!(state_on(&world, host, "vm1"), "running", "nothing was done to it on {host}");
        }
    }

    // A definition alone.
    world.host("kvm2").virsh(&["destroy", "vm1"]).expect("it ends");
    wait_state(&world, DESTINATION, VmState::Shutoff);
    let theirs = || world.host("kvm2").virsh(&["dumpxml", "--inactive", "vm1"]).expect("its definition");
    let before = theirs();
    let told = replay(&world, &all["41-already-defined-on-dest-post"]);
    assert!(told.body.contains("kim-h2 already has"), "{told:#?}");
    assert_eq!((state_on(&world, "kvm1", "vm1"), theirs()), ("running".to_owned(), before.clone()));

    virsh(&world, &["destroy", "vm1"]);
    wait_state(&world, "kvm1", VmState::Shutoff);
    let told = replay(&world, &all["45-shutoff-again-post"]);
    assert!(told.body.contains("kim-h2 already has"), "{told:#?}");
    assert_eq!((state_on(&world, "kvm1", "vm1"), theirs()), ("shut off".to_owned(), before));
    let tasks = [
        "40-already-running-on-dest-task",
        "40r1-already-running-on-dest-task",
        "40r2-already-running-on-dest-task",
        "41-already-defined-on-dest-task",
        "45-shutoff-again-task",
    ];
    assert_no_task_of(&world, &tasks, &[]);
}

#[test]
fn a_disk_that_is_not_shared_goes_along_and_writes_over_nothing() {
    let world = with_destination("kalong");
    let all = recorded::all();
    let mut spec = quiet("vm4");
    spec.disk = Some(DiskSpec::in_pool("vm4", 16));
    let mut guest = world.boot(spec, "kvm1");
    let (path, there) = (image("vm4.qcow2"), world.host("kvm2"));

    // As the original's first try had left it.
    sh(&there, &format!("qemu-img create -q -f qcow2 {path} 16M"));
    let before = sum(&there, &path);
    replay(&world, &all["71r-nonshared-disk-retry-post"]);
    assert_eq!(sum(&there, &path), before, "what is in the way stays as it is");
    assert_no_task_of(&world, &["71r-nonshared-disk-retry-task"], &[]);
    sh(&there, &format!("rm {path}"));
    guest.log.wait_next_tick("kvm1", SOON).expect("it runs on");

    replay_to_its_end(&world, &all["71-nonshared-disk-post"], &all["71-nonshared-disk-task"]);
    guest.log.wait_next_tick("kvm2", SOON).expect("it runs on with its disk");
    // Its disk is on both hosts now, which is right.
    world.look_anew(&mut guest);
    world.assert_well(&guest, Expect::Running, "kvm2");
}

/// The task whose destination loses its power, or whose source loses its libvirtd, tells that it failed; the machine runs on.
#[test]
fn a_migration_that_loses_one_of_its_ends_fails_and_its_machine_runs_on() {
    let world = with_destination("kends");
    let all = recorded::all();
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let (guest, task) = moving(&world, &all);
    kvm1.kill_daemon(Daemon::Libvirtd).expect("SIGKILL");
    kvm1.start_daemon(Daemon::Libvirtd).expect("it comes back");
    all["54-source-libvirtd-killed-task"].assert_ended(&ended(&world, &task));
    guest.log.wait_next_tick("kvm1", SOON).expect("it runs on");
    world.assert_well(&guest, Expect::Running, "kvm1");

    let task = moves_on(&world, &all);
    kvm2.kill().expect("its power is gone");
    all["53-dest-killed-task"].assert_ended(&ended(&world, &task));
    guest.log.wait_next_tick("kvm1", SOON).expect("it runs on");
    assert_eq!(state_on(&world, "kvm1", "vm1"), "running");
}

#[test]
fn after_a_restart_of_libvirtd_the_machines_are_listed_as_before() {
    let world = at_home(World::of("kagain").host("kvm1", Release::Bookworm));
    let kvm1 = world.host("kvm1");
    world.lab.start_guest(&quiet("vm1"), "kvm1").expect("it starts");
    world.define_stopped("kvm1", &quiet("vm4").to_xml(), "vm4");
    let is = |state: HostState| {
        let host: Host = world.ferry_json(&["host", "show", "kvm1"]);
        (host.state == state).then_some(())
    };
    kvm1.kill_daemon(Daemon::Libvirtd).expect("SIGKILL");
    until(MOVES_WITHIN, "the loss is not noticed", || is(HostState::Unreachable));
    kvm1.start_daemon(Daemon::Libvirtd).expect("it comes back");
    until(MOVES_WITHIN, "it is not connected again by itself", || is(HostState::Connected));
    until(SOON, "it does not show", || {
        (world.get(VM1).json::<Value>()["state"] == json!("running")).then_some(())
    });
    replay(&world, &recorded::all()["54b-vms-after-libvirtd-restart"]);
}
