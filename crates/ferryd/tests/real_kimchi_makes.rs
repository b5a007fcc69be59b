//! Machines that are made and removed through the inherited interface, on a real host; `virsh` and the files are the judges.

mod support;

use std::time::Duration;

use api::task::{Task, TaskState};
use lab::{DiskSpec, GuestLog, Host, Release};
use serde_json::{Value, json};
use support::guest::{Guest, quiet};
use support::http::{json_request, request};
use support::images::{IMAGES, assert_no_pools, content, disk, image, listed, sh, sum};
use support::kimchi::{at_home, begun, begun_with_a_death, ended, refused, stopped_midway, virsh};
use support::{SOON, World, until, until_seen};

const VM1: &str = "/plugins/kimchi/vms/vm1";
/// A guest boots under emulation, on a machine that does other things meanwhile.
const BOOTS_WITHIN: Duration = Duration::from_secs(120);
/// Blocks of its disk that a guest has written when it is stopped to be cloned: some seconds' worth.
const WRITTEN_BLOCKS: u64 = 100;
/// All that its disk has: 16 MiB.
const DISK_BLOCKS: u64 = 4096;
const DIES_WITHIN: Duration = Duration::from_secs(60);

#[track_caller]
fn asked_to_clone(world: &World) -> Value {
    begun(&world.post(&format!("{VM1}/clone"), &json!({})))
}

/// A machine with a qcow2 image over a base, a raw image beside all pools, and a medium; stopped.
fn define_stopped(world: &World) -> Host {
    let host = world.host("kvm1");
    sh(
        &host,
        &format!(
            "mkdir -p /srv/raw
             head -c 3000000 /dev/urandom >{IMAGES}/base.raw
             qemu-img create -q -f qcow2 -b {IMAGES}/base.raw -F raw {IMAGES}/vm1.qcow2 8M
             qemu-io -c 'write -P 7 1M 64k' {IMAGES}/vm1.qcow2 >/dev/null
             head -c 2000000 /dev/urandom >/srv/raw/vm1.img
             truncate -s 6M /srv/raw/vm1.img
             head -c 100000 /dev/urandom >/srv/raw/tools.iso"
        ),
    );
    let medium = "<disk type='file' device='cdrom'><source file='/srv/raw/tools.iso'/><target dev='sda' bus='sata'/><readonly/></disk>";
    let xml = format!(
        "<domain type='qemu'><name>vm1</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>\
         <os><type arch='x86_64' machine='q35'>hvm</type></os><devices>{}{}{medium}\
         <interface type='bridge'><mac address='52:54:00:11:22:33'/><source bridge='br0'/></interface>\
         <serial type='file'><source path='/var/log/libvirt/qemu/vm1-serial.log'/></serial>\
         <graphics type='vnc' port='5933' autoport='no'/></devices></domain>",
        disk(&image("vm1.qcow2"), "qcow2", "vda"),
        disk("/srv/raw/vm1.img", "raw", "vdb"),
    );
    world.define_stopped("kvm1", &xml, "vm1");
    host
}

/// Everything of a machine that is to be the same afterwards.
fn as_it_is(world: &World, host: &Host) -> [String; 4] {
    let xml = virsh(world, &["dumpxml", "--inactive", "vm1"]);
    [xml, sum(host, &image("vm1.qcow2")), sum(host, "/srv/raw/vm1.img"), sum(host, "/srv/raw/tools.iso")]
}

fn source_of(world: &World, machine: &str, target: &str) -> String {
    let told = virsh(world, &["domblklist", machine]);
    let line = told.lines().find(|line| line.trim_start().starts_with(target)).expect(target);
    line.split_whitespace().nth(1).expect("a path").to_owned()
}

#[test]
fn a_stopped_machine_is_cloned_with_all_that_is_its_own() {
    let world = at_home(World::of("kclone").host("kvm1", Release::Bookworm));
    let host = define_stopped(&world);
    let before = as_it_is(&world, &host);
    let task = asked_to_clone(&world);
    assert_eq!(task["target_uri"], "/plugins/kimchi/vms/vm1-clone-1/clone", "{task:#}");
    let task = ended(&world, &task);
    assert_eq!((&task["status"], &task["message"]), (&json!("finished"), &json!("OK")), "{task:#}");

    let vm: Value = world.get("/plugins/kimchi/vms/vm1-clone-1").json();
    assert_eq!(vm["uuid"], virsh(&world, &["domuuid", "vm1-clone-1"]));
    assert_ne!(vm["uuid"], virsh(&world, &["domuuid", "vm1"]));
    let xml = virsh(&world, &["dumpxml", "--inactive", "vm1-clone-1"]);
    for others in ["52:54:00:11:22:33", "5933", "vm1-serial.log", "vm1.qcow2", "vm1.img"] {
        assert!(!xml.contains(others), "{others}: {xml}");
    }
    assert!(xml.contains("vm1-clone-1-serial.log"), "{xml}");
    for (target, original, directory) in
        [("vda", image("vm1.qcow2"), IMAGES), ("vdb", "/srv/raw/vm1.img".to_owned(), "/srv/raw")]
    {
        let path = source_of(&world, "vm1-clone-1", target);
        assert!(path.starts_with(directory) && path != original, "{path}");
        assert_eq!(content(&host, &path), content(&host, &original), "{target}");
    }
    assert_eq!(sum(&host, &source_of(&world, "vm1-clone-1", "vdb")), sum(&host, "/srv/raw/vm1.img"));
    assert_eq!(source_of(&world, "vm1-clone-1", "sda"), "/srv/raw/tools.iso", "media are shared");
    assert_eq!(as_it_is(&world, &host), before, "the original is as it was");
    assert_no_pools(&world);
    assert_eq!(world.post("/vms/vm1-clone-1/start", &json!({})).status, 200, "it starts");
    assert_eq!(virsh(&world, &["domstate", "vm1-clone-1"]), "running");
    disks_go_when_asked(&world, &host);
}

/// The clone is removed with its disks; the original has a disk that something else uses.
fn disks_go_when_asked(world: &World, host: &Host) {
    let paths = ["vda", "vdb"].map(|target| source_of(world, "vm1-clone-1", target));
    let delete = |name: &str, query: &str| {
        world.send(&request("DELETE", &format!("/plugins/kimchi/vms/{name}{query}"), "", b""))
    };
    for (query, status, why) in [
        ("?disks=", 400, "WOKAPI0008E: "),
        ("?disks=vdz", 409, "KCHVM0021E: …it has no disk vdz"),
        ("?disks=sda", 409, "KCHVM0021E: …sda is a medium"),
    ] {
        refused(&delete("vm1-clone-1", query), status, why);
    }
    assert_eq!(virsh(world, &["domstate", "vm1-clone-1"]), "running", "nothing was done");
    let removed = delete("vm1-clone-1", "?disks=all&nvram=true");
    assert_eq!(removed.status, 204, "{removed:#?}");
    assert_eq!(virsh(world, &["list", "--all", "--name"]), "vm1");
    for path in &paths {
        assert!(!host.disk_path(path).exists(), "{path} is still there");
    }
    assert!(host.disk_path("/srv/raw/tools.iso").exists(), "media stay");

    // An image lies over its second disk.
    sh(host, "qemu-img create -q -f qcow2 -b /srv/raw/vm1.img -F raw /srv/raw/over.qcow2");
    refused(
        &delete("vm1", "?disks=all"),
        409,
        "KCHVM0021E: …its disk vdb (/srv/raw/vm1.img) is used by the image /srv/raw/over.qcow2",
    );
    assert_eq!(virsh(world, &["list", "--all", "--name"]), "vm1", "nothing was done");
    assert_eq!(delete("vm1", "?disks=vda").status, 204);
    assert_eq!(listed(host, IMAGES).iter().filter(|name| name.contains("vm1")).count(), 0);
    assert!(host.disk_path(image("base.raw")).exists(), "what lies below stays");
    assert!(host.disk_path("/srv/raw/vm1.img").exists(), "what was not named stays");
    assert_no_pools(world);
}

#[test]
fn what_cannot_be_cloned_leaves_nothing() {
    let world = at_home(World::of("kclone2").host("kvm1", Release::Bookworm));
    let guest = guest(&world);
    let host = world.host("kvm1");
    refused(
        &world.post(&format!("{VM1}/clone"), &json!({})),
        400,
        "KCHVM0033E: Virtual machine 'vm1' must be stopped before cloning it.",
    );
    virsh(&world, &["destroy", "vm1"]);
    let path = guest.spec.disk.as_ref().map(|disk| disk.path.clone()).expect("a disk");
    let before = (sum(&host, &path), listed(&host, IMAGES));

    // ferryd dies while it is at it.
    world.restart_ferryd_with(&[("FERRYD_DIE_AT", "clone-copy:BeforeResult")]);
    world.wait_listed("it is not known", |vm| vm.name == "vm1");
    let clone = json_request("POST", &format!("{VM1}/clone"), "{}");
    let task = begun_with_a_death(&world, &clone, DIES_WITHIN, || {
        assert_eq!(listed(&host, IMAGES).len(), before.1.len() + 1, "it was at it");
    });
    let task = ended(&world, &task);
    assert_eq!(task["status"], "failed", "{task:#}");
    assert!(task["message"].as_str().is_some_and(|message| message.contains("ferryd ended")), "{task:#}");
    assert_eq!(
        (sum(&host, &path), listed(&host, IMAGES)),
        before,
        "what was made is gone, the rest is as it was"
    );
    assert_eq!(virsh(&world, &["list", "--all", "--name"]), "vm1");

    // There is too little room.
    sh(
        &host,
        "mkdir /srv/small && mount -t tmpfs -o size=24M none /srv/small
         qemu-img create -q -f raw /srv/small/full.img 16M
         dd if=/dev/urandom of=/srv/small/full.img bs=1M count=16 conv=notrunc status=none
         virsh -q attach-disk vm1 /srv/small/full.img vdq --config --subdriver raw >/dev/null",
    );
    let task = asked_to_clone(&world);
    let task = ended(&world, &task);
    let insufficient = "KCHVM0034E: Insufficient disk space to clone virtual machine 'vm1'";
    assert_eq!((&task["status"], &task["message"]), (&json!("failed"), &json!(insufficient)), "{task:#}");
    assert_eq!(listed(&host, "/srv/small"), ["full.img"]);
    assert_eq!(
        (sum(&host, &path), listed(&host, IMAGES)),
        before,
        "the disk that was copied before is gone too"
    );
    assert_no_pools(&world);
    let told: Vec<Task> = world.tasks();
    assert!(told.iter().all(|task| task.state == TaskState::Failed), "{told:#?}");
}

fn guest(world: &World) -> Guest {
    let mut spec = quiet("vm1");
    spec.disk = Some(DiskSpec::in_pool("vm1", 16));
    world.boot(spec, "kvm1")
}

#[test]
fn a_clone_that_is_stopped_midway_leaves_nothing() {
    let world = at_home(World::of("kclone3").host("kvm1", Release::Bookworm));
    let host = define_stopped(&world);
    let there = || (listed(&host, IMAGES), listed(&host, "/srv/raw"));
    let (before, files) = (as_it_is(&world, &host), there());
    let begin = || asked_to_clone(&world);
    let task = stopped_midway(&world, begin, || {
        assert_eq!(listed(&host, IMAGES).len(), files.0.len() + 1, "the first disk is copied");
        assert_eq!(listed(&host, "/srv/raw"), files.1, "the second is not");
        let other = world.post(&format!("{VM1}/clone"), &json!({}));
        assert_eq!(other.status, 409, "it is left alone meanwhile: {other:#?}");
    });
    assert_eq!(
        (&task["status"], &task["message"]),
        (&json!("killed"), &json!("Clone cancelled")),
        "{task:#}"
    );
    let told: Vec<Task> = world.tasks();
    assert_eq!(told.iter().map(|task| task.state).collect::<Vec<_>>(), [TaskState::Cancelled], "{told:#?}");
    assert_eq!((as_it_is(&world, &host), there()), (before, files), "all is as it was");
    assert_eq!(virsh(&world, &["list", "--all", "--name"]), "vm1");
    assert_eq!(world.get("/plugins/kimchi/vms").json::<Vec<Value>>().len(), 1);
    assert_no_pools(&world);

    let task = ended(&world, &asked_to_clone(&world));
    assert_eq!(task["status"], "finished", "nothing is in the way of the next: {task:#}");
}

/// What a guest has found on its disk when it booted: sound blocks, damaged ones, and the number of the last write.
fn found_on_disk(log: &GuestLog) -> Option<[u64; 3]> {
    let lines = log.lines();
    let told = lines.iter().find_map(|line| line.text.strip_prefix("S disk "))?;
    let figure = |key: &str| told.split(' ').find_map(|word| word.strip_prefix(key)?.parse().ok());
    Some([figure("found=")?, figure("damaged=")?, figure("last_sequence=")?])
}

#[test]
fn a_clone_boots_as_a_guest_and_finds_the_whole_disk() {
    let world = at_home(World::of("kclone4").host("kvm1", Release::Bookworm));
    let (guest, host) = (guest(&world), world.host("kvm1"));
    let path = guest.spec.disk.as_ref().map(|disk| disk.path.clone()).expect("a disk");
    let written = until_seen(BOOTS_WITHIN, "it does not write", || {
        let blocks = guest.log.last_tick().and_then(|tick| tick.disk_blocks);
        blocks.filter(|blocks| *blocks >= WRITTEN_BLOCKS).ok_or(format!("{blocks:?}"))
    });
    // By its own power button: what it has written is on the disk then.
    until(BOOTS_WITHIN, "it does not shut down", || {
        let answer = world.post(&format!("{VM1}/shutdown"), &json!({}));
        assert!(matches!(answer.status, 200 | 400 | 409), "{answer:#?}");
        (virsh(&world, &["domstate", "vm1"]) == "shut off").then_some(())
    });
    let before = sum(&host, &path);

    let task = ended(&world, &asked_to_clone(&world));
    assert_eq!(task["status"], "finished", "{task:#}");
    let log = world.lab.watch_guest("vm1-clone-1").expect("a log");
    assert_eq!(world.post("/plugins/kimchi/vms/vm1-clone-1/start", &json!({})).status, 200, "it starts");
    log.wait_ready("kvm1", BOOTS_WITHIN).expect("it boots");
    let [found, damaged, last] = until(BOOTS_WITHIN, "it does not look at its disk", || found_on_disk(&log));
    assert!(found >= written && damaged == 0, "of {written} blocks {found} are sound, {damaged} damaged");
    // Round and round: each is one write, until all of the disk is written.
    assert_eq!(found, (last + 1).min(DISK_BLOCKS), "none is missing");

    // It writes to it and reads it back, as the original did.
    until(BOOTS_WITHIN, "it does not write", || {
        let tick = log.wait_next_tick("kvm1", SOON).expect("it ticks");
        tick.disk_blocks.filter(|blocks| *blocks >= WRITTEN_BLOCKS)
    });
    log.check_unharmed().expect("it finds nothing wrong");
    assert_eq!(log.boots().len(), 1);
    assert_ne!(log.boots(), guest.log.boots(), "a boot of its own");
    assert_eq!(sum(&host, &path), before, "to the original's disk nobody wrote");
    assert_eq!((virsh(&world, &["domstate", "vm1"]), guest.log.boots().len()), ("shut off".to_owned(), 1));
}
