//! Disks and other files that only the source has go along: carried with a stopped machine, copied with one that runs.

mod support;

use std::path::PathBuf;

use api::plan::{Manner, PlanReport};
use api::task::{Location, Task, TaskState};
use lab::{DiskSpec, Expect, GuestSpec, Host};
use support::guest::{Guest, TOO_SLOW, busy, quiet};
use support::images::{IMAGES, assert_no_pools, disk, image, listed, sh, sum};
use support::process::spawn;
use support::tasks::{POINTS, is_midway};
use support::{SOON, World, until};

const NVRAM: &str = "/var/lib/libvirt/qemu/nvram/whole_VARS.fd";
const TITLE: &str = "<title>A whole box</title>";
const METADATA: &str = "<metadata><owner xmlns=\"urn:owner\">somebody</owner>";
/// Slow enough that something can happen meanwhile.
const SLOWLY: &str = "4MiB/s";

/// A stopped machine with one raw disk of so many MiB, all of it written.
fn with_raw_disk(world: &World, name: &str, mib: u32) -> String {
    let path = image(&format!("{name}.raw"));
    sh(&world.host("kvm1"), &format!("dd if=/dev/urandom of={path} bs=1M count={mib} status=none"));
    let mut spec = GuestSpec::new(name).expect("a spec");
    spec.extra_devices = disk(&path, "raw", "vda");
    world.define_stopped("kvm1", &spec.to_xml(), name);
    path
}

fn files_in(host: &Host, directory: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(host.disk_path(directory)).expect("a directory");
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    all.sort();
    all
}

/// Nothing of it is on kvm2: no image, no definition; and no storage pool that was made for the while is on either.
#[track_caller]
fn assert_nothing_left(world: &World, name: &str) {
    let kvm2 = world.host("kvm2");
    assert_eq!(files_in(&kvm2, IMAGES), Vec::<PathBuf>::new(), "nothing is left on kvm2");
    assert!(!kvm2.disk_path(format!("/etc/libvirt/qemu/{name}.xml")).exists());
    assert_no_pools(world);
}

#[test]
fn a_stopped_one_arrives_bit_for_bit_with_all_that_is_its() {
    let world = World::mixed("whole");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let (base, top, data) = (image("base.raw"), image("top.qcow2"), image("data.qcow2"));
    sh(
        &kvm1,
        &format!(
            "dd if=/dev/urandom of={base} bs=1M count=20 status=none; truncate -s 64M {base}
             qemu-img create -q -f qcow2 -b {base} -F raw {top}; qemu-io -c 'write -P 7 1M 3M' {top} >/dev/null
             qemu-img create -q -f qcow2 {data} 1G; qemu-io -c 'write -P 9 500M 5M' {data} >/dev/null
             mkdir -p /var/lib/libvirt/qemu/nvram; head -c 540672 /dev/urandom >{NVRAM}"
        ),
    );
    let mut spec = GuestSpec::new("whole").expect("a spec");
    spec.extra_devices = disk(&top, "qcow2", "vda") + &disk(&data, "qcow2", "vdb");
    let firmware = "hvm</type><loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>";
    let firmware = format!("{firmware}<nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>{NVRAM}</nvram>");
    let titled = format!("{TITLE}{METADATA}</metadata><memory");
    let xml = spec.to_xml().replacen("hvm</type>", &firmware, 1).replacen("<memory", &titled, 1);
    world.define_stopped("kvm1", &xml, "whole");
    let all = [base.as_str(), &top, &data, NVRAM];
    let before = all.map(|path| sum(&kvm1, path));

    let plan: PlanReport = world.ferry_json(&["migrate", "whole", "--to", "kvm2", "--plan"]);
    let made: Vec<&str> = plan.creates.iter().map(|file| file.path.as_str()).collect();
    assert_eq!((plan.manner, made), (Manner::Stopped, all.to_vec()), "{plan:#?}");
    assert!(world.tasks().is_empty(), "a plan is no task");

    let task: Task = world.ferry_json(&["migrate", "whole", "--to", "kvm2"]);
    let location = task.outcome.as_ref().map(|outcome| outcome.location);
    assert_eq!((task.state, location), (TaskState::Done, Some(Location::Destination)), "{task:#?}");
    for (path, before) in all.iter().zip(&before) {
        assert_eq!(sum(&kvm2, path), *before, "{path}");
    }
    assert!(sh(&kvm2, &format!("qemu-img info {top}")).contains(&base), "the chain is kept");
    let allocated: u64 = sh(&kvm2, &format!("du -k {data} | cut -f1")).trim().parse().expect("a number");
    assert!(allocated < 8 << 10, "holes stay holes: {allocated} KiB");
    let defined = kvm2.virsh(&["dumpxml", "--inactive", "whole"]).expect("its definition");
    assert!(defined.contains(TITLE) && defined.contains("urn:owner"), "{defined}");
    assert!(!kvm1.disk_path(NVRAM).exists(), "its variables went with it");
    assert!(kvm1.disk_path(&top).exists(), "its disks stay where they were");
    assert_no_pools(&world);
    let sent = task.outcome.and_then(|outcome| outcome.transferred_bytes).expect("counted");
    assert!(sent < 36 << 20, "no holes were sent: {sent}");
}

#[test]
fn a_stopped_one_keeps_its_snapshots() {
    let world = World::pair("snaps");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let path = image("snaps.qcow2");
    sh(&kvm1, &format!("qemu-img create -q -f qcow2 {path} 64M"));
    let mut spec = GuestSpec::new("snaps").expect("a spec");
    spec.extra_devices = disk(&path, "qcow2", "vda");
    world.define_stopped("kvm1", &spec.to_xml(), "snaps");
    for snapshot in ["first", "second"] {
        kvm1.virsh(&["snapshot-create-as", "snaps", snapshot]).expect("a snapshot");
    }
    world.ferry(&["migrate", "snaps", "--to", "kvm2"]).succeeded();
    let listed = kvm2.virsh(&["snapshot-list", "snaps", "--tree"]).expect("snapshots");
    assert!(listed.contains("first") && listed.contains("second"), "{listed}");
    let current = kvm2.virsh(&["snapshot-current", "snaps", "--name"]).expect("the current one");
    assert_eq!(current.trim(), "second");
    kvm2.virsh(&["snapshot-revert", "snaps", "first"]).expect("it is still in the image");
    assert!(!kvm1.disk_path("/etc/libvirt/qemu/snaps.xml").exists());
}

#[test]
fn one_that_runs_takes_its_disk_along() {
    let world = World::pair("live");
    let mut spec = quiet("g1");
    spec.disk = Some(DiskSpec::in_pool("g1", 64));
    let mut guest = world.boot(spec, "kvm1");
    let moved: Task = world.ferry_json(&["migrate", "g1", "--to", "kvm2"]);
    assert_eq!(moved.state, TaskState::Done, "{moved:#?}");
    guest.log.wait_next_tick("kvm2", SOON).expect("it runs on");
    arrived_with_its_disk(&world, &mut guest, "kvm2");
    // The way back is barred by what was left there, until somebody takes it away.
    world.ferry(&["migrate", "g1", "--to", "kvm1"]).ended(3);
    sh(&world.host("kvm1"), &format!("rm {}", image("g1.qcow2")));
    world.look_anew(&mut guest);
    world.ferry(&["migrate", "g1", "--to", "kvm1"]).succeeded();
    arrived_with_its_disk(&world, &mut guest, "kvm1");
}

/// What a passphrase is on both hosts.
const PASSPHRASE: &str = "a passphrase";

/// Defines a secret with its value on a host.
fn give_secret(host: &Host, uuid: &str) {
    let usage = format!("<usage type='volume'><volume>{uuid}</volume></usage>");
    let xml = format!("<secret ephemeral='no' private='yes'><uuid>{uuid}</uuid>{usage}</secret>");
    host.run_with_input(&["virsh", "-q", "secret-define", "/dev/stdin"], xml.as_bytes()).expect("a secret");
    host.run_with_input(
        &["virsh", "-q", "secret-set-value", uuid, "--file", "/dev/stdin", "--plain"],
        PASSPHRASE.as_bytes(),
    )
    .expect("its value");
}

#[test]
fn one_that_runs_takes_encrypted_disks_along() {
    const SECRET: &str = "6f9b8d1e-0c5a-4a4e-9d53-0b0a35c0f0a1";
    let world = World::pair("luks");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let (base, first, second) = (image("base.raw"), image("g1.qcow2"), image("g1.luks"));
    give_secret(&kvm1, SECRET);
    // (QEMU 7.2 cannot always tell how fast it is.)
    let script = format!(
        "printf '%s' '{PASSPHRASE}' >/run/passphrase
         make() {{
             until qemu-img create -q --object secret,id=s,file=/run/passphrase \"$@\" 2>/run/said
             do grep -q 'accurate CPU usage' /run/said || {{ cat /run/said >&2; return 1; }}; done
         }}
         dd if=/dev/urandom of={base} bs=1M count=2 status=none; truncate -s 64M {base}
         make -f qcow2 -b {base} -F raw -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=100 {first} 64M
         make -f luks -o key-secret=s,iter-time=100 {second} 20M"
    );
    sh(&kvm1, &script);
    let mut spec = quiet("g1");
    let luks_secret = Some(SECRET.to_owned());
    spec.disk = Some(DiskSpec { create_mib: None, luks_secret, ..DiskSpec::in_pool("g1", 64) });
    let encryption =
        format!("<encryption format='luks'><secret type='passphrase' uuid='{SECRET}'/></encryption>");
    spec.extra_devices = disk(&second, "raw", "vdb").replace("<target", &format!("{encryption}<target"));
    let mut guest = world.boot(spec, "kvm1");
    // Without the secret there it would not run on.
    let refused = world.ferry(&["migrate", "g1", "--to", "kvm2"]).ended(3);
    assert!(refused.stdout.contains("secret-missing") || refused.stderr.contains("secret"), "{refused:#?}");
    give_secret(&kvm2, SECRET);
    let moved: Task = world.ferry_json(&["migrate", "g1", "--to", "kvm2"]);
    assert_eq!(moved.state, TaskState::Done, "{moved:#?}");
    guest.log.wait_next_tick("kvm2", SOON).expect("it runs on");
    arrived_with_its_disk(&world, &mut guest, "kvm2");
    for path in [&first, &second] {
        let info = sh(&kvm2, &format!("qemu-img info -U {path}"));
        assert!(info.contains("luks"), "what arrived is encrypted: {info}");
    }
    assert!(sh(&kvm2, &format!("qemu-img info -U {first}")).contains(&base), "over what it lay over");
    assert_eq!(sum(&kvm2, &base), sum(&kvm1, &base));
}

/// It runs on `owner` on its own disk there, unharmed; the one it left stays.
fn arrived_with_its_disk(world: &World, guest: &mut Guest, owner: &str) {
    let host = world.host(owner);
    assert!(host.disk_path(image("g1.qcow2")).exists(), "its disk is on {owner}");
    world.look_anew(guest);
    world.assert_well(guest, Expect::Running, owner);
    assert_no_pools(world);
}

#[test]
fn a_copy_that_is_called_off_leaves_nothing() {
    let world = World::pair("calledoff");
    let mut spec = busy("g1");
    spec.disk = Some(DiskSpec::in_pool("g1", 64));
    let guest = world.boot(spec, "kvm1");
    let migrating = world.begin_migrate(&["g1", "--to", "kvm2", "--bandwidth", TOO_SLOW]);
    world.wait_task(migrating.task, "a later pass", is_midway);
    world.ferry(&["task", "cancel", &migrating.task.to_string()]).succeeded();
    migrating.end().ended(4);
    world.assert_well(&guest, Expect::Running, "kvm1");
    assert_nothing_left(&world, "g1");
}

/// Some of it has been carried.
fn is_carrying(task: &Task) -> bool {
    let done = task.progress.as_ref().and_then(|progress| progress.storage_processed_bytes);
    done.is_some_and(|done| done > 16 << 20)
}

#[test]
fn carrying_that_is_called_off_leaves_nothing_and_one_whose_ferryd_dies_goes_on() {
    let world = World::pair("carry");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let path = with_raw_disk(&world, "box", 40);
    let migrating = world.begin_migrate(&["box", "--to", "kvm2", "--bandwidth", SLOWLY]);
    world.wait_task(migrating.task, "some of it", is_carrying);
    world.ferry(&["task", "cancel", &migrating.task.to_string()]).succeeded();
    migrating.end().ended(4);
    assert_nothing_left(&world, "box");
    assert!(kvm1.disk_path("/etc/libvirt/qemu/box.xml").exists(), "it is where it was");

    let task: Task = world.ferry_json(&["migrate", "box", "--to", "kvm2", "--bandwidth", SLOWLY, "--detach"]);
    world.wait_task(task.id, "some of it", is_carrying);
    world.kill_ferryd();
    world.start_ferryd();
    let task = world.wait_settled(task.id);
    assert_eq!(task.state, TaskState::Done, "{task:#?}");
    assert_eq!(sum(&kvm2, &path), sum(&kvm1, &path));
    let sent = task.outcome.and_then(|outcome| outcome.transferred_bytes).expect("counted");
    assert!(sent < 40 << 20, "what had arrived was not sent again: {sent}");
    assert_no_pools(&world);
}

#[test]
fn the_limit_of_what_is_carried_is_lifted_meanwhile() {
    let world = World::pair("carrylimit");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    // Minutes, if nothing lifted it.
    let path = with_raw_disk(&world, "box", 200);
    let task: Task =
        world.ferry_json(&["migrate", "box", "--to", "kvm2", "--bandwidth", "1MiB/s", "--detach"]);
    world.wait_task(task.id, "some of it", |task| {
        let done = task.progress.as_ref().and_then(|progress| progress.storage_processed_bytes);
        task.bandwidth_mib_s == Some(1) && done.is_some_and(|done| done > 0)
    });
    world.ferry(&["task", "set", &task.id.to_string(), "--bandwidth", "10GiB/s"]).succeeded();
    let task = world.wait_settled(task.id);
    assert_eq!(task.state, TaskState::Done, "{task:#?}");
    assert_eq!(sum(&kvm2, &path), sum(&kvm1, &path));
}

#[test]
fn the_limit_of_a_copied_disk_is_lifted_meanwhile() {
    let world = World::pair("copylimit");
    let mut spec = quiet("g1");
    spec.disk = Some(DiskSpec::in_pool("g1", 64));
    let ballast = image("ballast.raw");
    // Minutes, if nothing lifted it.
    sh(&world.host("kvm1"), &format!("dd if=/dev/urandom of={ballast} bs=1M count=300 status=none"));
    spec.extra_devices = disk(&ballast, "raw", "vdb");
    let mut guest = world.boot(spec, "kvm1");
    let migrating = world.begin_migrate(&["g1", "--to", "kvm2", "--bandwidth", "1MiB/s"]);
    world.wait_task(migrating.task, "some of the disks", |task| {
        let done = task.progress.as_ref().and_then(|progress| progress.storage_processed_bytes);
        done.is_some_and(|done| done > 0)
    });
    world.ferry(&["task", "set", &migrating.task.to_string(), "--bandwidth", "10GiB/s"]).succeeded();
    migrating.end().succeeded();
    arrived_with_its_disk(&world, &mut guest, "kvm2");
}

#[test]
fn what_somebody_put_in_the_place_of_a_half_carried_file_stays() {
    let world = World::pair("replaced");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let path = with_raw_disk(&world, "box", 40);
    let task: Task = world.ferry_json(&["migrate", "box", "--to", "kvm2", "--bandwidth", SLOWLY, "--detach"]);
    world.wait_task(task.id, "some of it", is_carrying);
    world.kill_ferryd();
    // Of the same length, so that only inode and time of birth tell it from the one that is carried.
    sh(&kvm2, &format!("truncate -s 40M {path}.mine && mv {path}.mine {path}"));
    let theirs = sum(&kvm2, &path);
    world.start_ferryd();
    let task = world.wait_settled(task.id);
    assert_eq!(task.state, TaskState::Failed, "{task:#?}");
    assert!(task.message.contains("is there already: nothing was written over it"), "{task:#?}");
    assert_eq!(sum(&kvm2, &path), theirs, "nothing was written into it, and it stays");
    assert!(kvm1.disk_path("/etc/libvirt/qemu/box.xml").exists(), "the machine is where it was");
    sh(&kvm2, &format!("rm {path}"));
    assert_nothing_left(&world, "box");
}

#[test]
fn carrying_outlives_a_broken_connection() {
    let world = World::pair("broken");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let path = with_raw_disk(&world, "box", 40);
    let task: Task = world.ferry_json(&["migrate", "box", "--to", "kvm2", "--bandwidth", SLOWLY, "--detach"]);
    world.wait_task(task.id, "some of it", is_carrying);
    kvm2.restart_daemon(lab::Daemon::Libvirtd).expect("its libvirtd is killed and started again");
    let task = world.wait_settled(task.id);
    assert_eq!(task.state, TaskState::Done, "{task:#?}");
    assert_eq!(sum(&kvm2, &path), sum(&kvm1, &path));
}

#[test]
fn what_cannot_arrive_whole_is_told_and_leaves_nothing() {
    let world = World::pair("unwhole");
    let kvm1 = world.host("kvm1");
    let path = with_raw_disk(&world, "box", 40);
    // Written to while it is carried.
    let task: Task = world.ferry_json(&["migrate", "box", "--to", "kvm2", "--bandwidth", SLOWLY, "--detach"]);
    world.wait_task(task.id, "some of it", is_carrying);
    sh(&kvm1, &format!("printf x | dd of={path} conv=notrunc status=none"));
    let task = world.wait_settled(task.id);
    assert_eq!(task.state, TaskState::Failed, "{task:#?}");
    assert!(task.message.contains("was written to while it was carried"), "{task:#?}");
    assert_nothing_left(&world, "box");

    // Started while it is carried.
    let task: Task = world.ferry_json(&["migrate", "box", "--to", "kvm2", "--bandwidth", SLOWLY, "--detach"]);
    world.wait_task(task.id, "some of it", is_carrying);
    kvm1.virsh(&["start", "box"]).expect("somebody starts it");
    let task = world.wait_settled(task.id);
    assert_eq!(task.state, TaskState::Failed, "{task:#?}");
    assert_nothing_left(&world, "box");
    kvm1.virsh(&["destroy", "box"]).expect("stopped again");

    // The disk there is full.
    let kvm2 = world.host("kvm2");
    sh(&kvm2, &format!("mount -t tmpfs -o size=16M none {IMAGES}"));
    let said = world.ferry(&["migrate", "box", "--to", "kvm2"]).ended(3);
    assert!(said.stderr.contains("space-short"), "{said:#?}");
}

/// A task that carries a stopped machine, some of which has arrived.
fn begun(world: &World, name: &str) -> Task {
    let task: Task = world.ferry_json(&["migrate", name, "--to", "kvm2", "--bandwidth", SLOWLY, "--detach"]);
    world.wait_task(task.id, "some of it", is_carrying)
}

/// It has failed, the machine is where it was, its image is as it was.
#[track_caller]
fn assert_failed(world: &World, task: &Task, path: &str, before: &str) {
    let location = task.outcome.as_ref().map(|outcome| outcome.location);
    assert_eq!((task.state, location), (TaskState::Failed, Some(Location::Source)), "{task:#?}");
    let kvm1 = world.host("kvm1");
    assert!(kvm1.disk_path("/etc/libvirt/qemu/box.xml").exists(), "it is defined where it was");
    assert_eq!(sum(&kvm1, path), before, "its image is as it was");
}

#[test]
fn a_disk_that_fills_up_meanwhile_is_told_and_leaves_nothing() {
    let world = World::pair("fills");
    let path = with_raw_disk(&world, "box", 40);
    let (kvm2, before) = (world.host("kvm2"), sum(&world.host("kvm1"), &path));
    sh(&kvm2, &format!("mount -t tmpfs -o size=64M none {IMAGES}"));
    let task = begun(&world, "box");
    sh(&kvm2, &format!("head -c 64M /dev/zero >{IMAGES}/others 2>/dev/null || true"));
    let task = world.supervised(|| world.wait_settled(task.id));
    assert_failed(&world, &task, &path, &before);
    let told = format!("{} {:?}", task.message, task.cause);
    assert!(told.contains("No space left"), "it says why: {task:#?}");
    assert_eq!(listed(&kvm2, IMAGES), ["others"], "what was carried is gone, and nothing else");
    assert_no_pools(&world);
}

#[test]
fn a_pool_that_vanishes_meanwhile_costs_nothing() {
    let world = World::pair("vanishes");
    let path = with_raw_disk(&world, "box", 40);
    let (kvm2, before) = (world.host("kvm2"), sum(&world.host("kvm1"), &path));
    let task = begun(&world, "box");
    kvm2.virsh(&["pool-destroy", "default"]).expect("somebody stops the pool");
    let task = world.wait_settled(task.id);
    assert_failed(&world, &task, &path, &before);
    assert!(task.cause.as_ref().is_some_and(|cause| cause.contains("pool")), "it says why: {task:#?}");
    // What cannot be removed without the pool goes when it is back.
    kvm2.virsh(&["pool-start", "default"]).expect("it is started again");
    until(SOON, "the rest is removed", || listed(&kvm2, IMAGES).is_empty().then_some(()));
    assert_no_pools(&world);
}

#[test]
fn what_does_not_arrive_as_it_was_sent_is_noticed() {
    let world = World::pair("garbled");
    let path = with_raw_disk(&world, "box", 40);
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let before = sum(&kvm1, &path);
    // A byte in the middle of the file is made another one again and again, as a bad disk might.
    let at = 20 << 20;
    let byte = sh(&kvm1, &format!("od -An -tu1 -j {at} -N 1 {path}")).trim().parse::<u8>().expect("a byte");
    let garble = format!(
        "while :; do if [ -s {path} ]; then printf '\\{:03o}' | dd of={path} bs=1 seek={at} conv=notrunc,nocreat status=none; fi; sleep 0.01; done",
        !byte
    );
    let mut garbling = spawn(&kvm2, &["sh", "-c", &garble]);
    let task: Task =
        world.ferry_json(&["migrate", "box", "--to", "kvm2", "--bandwidth", "16MiB/s", "--detach"]);
    let task = world.wait_settled(task.id);
    garbling.kill().expect("it is ended");
    garbling.wait().expect("it ended");
    assert_failed(&world, &task, &path, &before);
    let told = format!("{} {:?}", task.message, task.cause);
    assert!(told.contains("is not what was sent"), "it says why: {task:#?}");
    assert_nothing_left(&world, "box");
}

#[test]
fn a_ferryd_that_dies_at_any_step_of_carrying_leaves_one_whole_machine() {
    let world = World::pair("carrydies");
    let path = with_raw_disk(&world, "box", 4);
    let before = sum(&world.host("kvm1"), &path);
    let mut at = "kvm1";
    for step in ["make-file", "made-file", "carry-file", "perform", "undefine-source"] {
        for point in POINTS {
            let to = if at == "kvm1" { "kvm2" } else { "kvm1" };
            sh(&world.host(to), &format!("rm -f {path}"));
            let task = world.migrate_with_a_death("box", at, to, &format!("{step}:{point}"));
            println!("{step}:{point}: {}", task.message);
            let location = task.outcome.as_ref().map(|outcome| outcome.location);
            let owner = match (task.state, location) {
                (TaskState::Done, Some(Location::Destination)) => to,
                // Whether the definition was written there nobody could say: then it stays where it was.
                (TaskState::Failed, Some(Location::Source)) if step == "perform" => at,
                _ => panic!("{step}:{point}: {task:#?}"),
            };
            let other = if owner == to { at } else { to };
            assert_eq!(sum(&world.host(owner), &path), before, "{step}:{point}");
            let there = |host: &str, path: &str| world.host(host).disk_path(path).exists();
            assert!(there(owner, "/etc/libvirt/qemu/box.xml") && !there(other, "/etc/libvirt/qemu/box.xml"));
            assert_eq!(there(to, &path), owner == to, "{step}:{point}: an image is left over");
            assert_no_pools(&world);
            at = owner;
        }
    }
}
