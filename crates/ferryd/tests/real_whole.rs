//! Nothing of a machine stays behind but what was asked for: the state of its TPM, its saved memory, a copy, its old images.

mod support;

use api::plan::PlanReport;
use api::task::{Location, Task, TaskState};
use lab::{DiskSpec, Expect, GuestSpec, Host, Release};
use support::guest::quiet;
use support::images::{assert_no_pools, disk, image, sh, sum};
use support::tasks::POINTS;
use support::{SOON, World, releases};

const SWTPM: &str = "/var/lib/libvirt/swtpm";
const NVRAM: &str = "/var/lib/libvirt/qemu/nvram/whole_VARS.fd";
const TPM: &str = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>";
/// Firmware takes its time under emulation.
const BOOTS_WITHIN: std::time::Duration = std::time::Duration::from_secs(180);

fn is_there(host: &Host, path: &str) -> bool {
    host.disk_path(path).exists()
}

fn is_defined(host: &Host, name: &str) -> bool {
    is_there(host, &format!("/etc/libvirt/qemu/{name}.xml"))
}

#[track_caller]
fn assert_moved(task: &Task) {
    let location = task.outcome.as_ref().map(|outcome| outcome.location);
    assert_eq!((task.state, location), (TaskState::Done, Some(Location::Destination)), "{task:#?}");
}

#[test]
fn a_stopped_one_arrives_with_its_tpm_and_snapshots_and_starts_there() {
    let world = World::mixed("wholetpm");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let (base, top, data) = (image("base.raw"), image("top.qcow2"), image("data.qcow2"));
    sh(
        &kvm1,
        &format!(
            "dd if=/dev/urandom of={base} bs=1M count=4 status=none; truncate -s 16M {base}
             qemu-img create -q -f qcow2 -b {base} -F raw {top}; qemu-io -c 'write -P 7 1M 3M' {top} >/dev/null
             qemu-img create -q -f qcow2 {data} 64M"
        ),
    );
    let mut spec = GuestSpec::new("whole").expect("a spec");
    spec.extra_devices = disk(&top, "qcow2", "vda") + &disk(&data, "qcow2", "vdb");
    world.define_stopped("kvm1", &spec.to_xml(), "whole");
    for snapshot in ["first", "second"] {
        // (With firmware libvirt makes none.)
        kvm1.virsh(&["snapshot-create-as", "whole", snapshot]).expect("a snapshot");
    }
    spec.extra_devices += TPM;
    let firmware = "hvm</type><loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>";
    let firmware = format!("{firmware}<nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>{NVRAM}</nvram>");
    world.define_stopped("kvm1", &spec.to_xml().replacen("hvm</type>", &firmware, 1), "whole");
    let log = world.lab.watch_guest("whole").expect("a log");
    kvm1.virsh(&["start", "whole"]).expect("its first start makes the state");
    log.wait_ready("kvm1", BOOTS_WITHIN).expect("it boots");
    kvm1.virsh(&["destroy", "whole"]).expect("stopped");
    let state = format!("{SWTPM}/{}/tpm2/tpm2-00.permall", spec.uuid);
    let all = [base.as_str(), &top, &data, NVRAM, &state];
    let before = all.map(|path| sum(&kvm1, path));

    let plan: PlanReport = world.ferry_json(&["migrate", "whole", "--to", "kvm2", "--plan"]);
    let made: Vec<&str> = plan.creates.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(made, all, "{plan:#?}");
    assert!(plan.removes.iter().any(|gone| gone.contains(&state)), "{plan:#?}");

    assert_moved(&world.ferry_json(&["migrate", "whole", "--to", "kvm2"]));
    for (path, before) in all.iter().zip(&before) {
        assert_eq!(sum(&kvm2, path), *before, "{path}");
    }
    assert!(!is_there(&kvm1, &format!("{SWTPM}/{}", spec.uuid)), "it went with the definition");
    assert!(!is_there(&kvm1, NVRAM) && is_there(&kvm1, &top) && !is_defined(&kvm1, "whole"));
    assert_no_pools(&world);
    let listed = kvm2.virsh(&["snapshot-list", "whole", "--name"]).expect("snapshots");
    assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), ["first", "second"]);
    kvm2.virsh(&["start", "whole"]).expect("it starts there");
    log.wait_ready("kvm2", BOOTS_WITHIN).expect("it boots");
    let owners = [&kvm1, &kvm2].map(|host| sh(host, "id -u tss"));
    let [source, destination] = releases([Release::Bookworm, Release::Trixie]);
    if source != destination {
        assert_ne!(owners[0], owners[1], "swtpm's user has another number here");
    }
    assert_eq!(sh(&kvm2, &format!("stat -c %u {state}")), owners[1], "libvirt has given it to that");
}

#[test]
fn snapshots_are_dropped_where_that_is_asked_for() {
    let world = World::pair("dropped");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let path = image("box.qcow2");
    sh(&kvm1, &format!("qemu-img create -q -f qcow2 {path} 16M"));
    let mut spec = GuestSpec::new("box").expect("a spec");
    spec.extra_devices = disk(&path, "qcow2", "vda");
    world.define_stopped("kvm1", &spec.to_xml(), "box");
    kvm1.virsh(&["snapshot-create-as", "box", "first"]).expect("a snapshot");
    world
        .ferry(&["migrate", "box", "--to", "kvm2", "--snapshots", "drop"])
        .succeeded()
        .says("snapshots-dropped");
    let listed = kvm2.virsh(&["snapshot-list", "box", "--name"]).expect("snapshots");
    assert_eq!(listed.trim(), "");
    assert!(sh(&kvm2, &format!("qemu-img snapshot -l {path}")).contains("first"), "it stays in the image");
    assert!(!is_defined(&kvm1, "box"));
}

#[test]
fn one_that_runs_takes_its_tpm_along() {
    let world = World::pair("livetpm");
    let mut spec = quiet("g1");
    spec.extra_devices = TPM.to_owned();
    let mut guest = world.boot(spec, "kvm1");
    let state = format!("{SWTPM}/{}", guest.spec.uuid);
    for (from, to) in [("kvm1", "kvm2"), ("kvm2", "kvm1")] {
        world.ferry(&["migrate", "g1", "--to", to]).succeeded();
        let found = [from, to].map(|host| is_there(&world.host(host), &state));
        assert_eq!(found, [false, true], "the state is on {to} alone");
        world.look_anew(&mut guest);
        world.assert_well(&guest, Expect::Running, to);
    }
}

#[test]
fn one_that_runs_takes_its_uefi_variables_along() {
    const VARIABLES: &str = "/var/lib/libvirt/qemu/nvram/g1_VARS.fd";
    let world = World::pair("livevars");
    let mut spec = quiet("g1");
    spec.extra_os = format!(
        "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>\
         <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>{VARIABLES}</nvram>"
    );
    let mut guest = world.boot(spec, "kvm1");
    for (from, to) in [("kvm1", "kvm2"), ("kvm2", "kvm1")] {
        let plan: PlanReport = world.ferry_json(&["migrate", "g1", "--to", to, "--plan"]);
        assert!(plan.leaves.iter().any(|left| left.contains(VARIABLES)), "{plan:#?}");
        world.ferry(&["migrate", "g1", "--to", to]).succeeded();
        assert_eq!(sum(&world.host(to), VARIABLES), sum(&world.host(from), VARIABLES));
        world.look_anew(&mut guest);
        world.assert_well(&guest, Expect::Running, to);
    }
}

#[test]
fn saved_memory_goes_along_and_is_gone_on_from_there() {
    let world = World::alike("saved");
    let guest = world.boot(quiet("g1"), "kvm1");
    let path = "/var/lib/libvirt/qemu/save/g1.save";
    world.host("kvm1").virsh(&["managedsave", "g1"]).expect("saved");
    // The libvirt that it came to does not know of it before it is started anew, and moves it on all the same.
    for (from, to) in [("kvm1", "kvm2"), ("kvm2", "kvm1"), ("kvm1", "kvm2")] {
        world.wait_listed("it is stopped", |vm| {
            vm.name == "g1" && vm.host == from && vm.state == api::vm::VmState::Shutoff
        });
        let before = sum(&world.host(from), path);
        world.ferry(&["migrate", "g1", "--to", to]).succeeded().says("managed-save-carried");
        assert_eq!(sum(&world.host(to), path), before);
        assert!(!is_there(&world.host(from), path) && !is_defined(&world.host(from), "g1"));
    }
    world.host("kvm2").virsh(&["start", "g1"]).expect("it goes on");
    guest.log.wait_next_tick("kvm2", SOON).expect("it ticks");
    // One boot, its memory unharmed, and nothing of what was carried is left.
    world.assert_well(&guest, Expect::Running, "kvm2");
    assert_no_pools(&world);
}

#[test]
fn a_ferryd_that_dies_while_it_carries_what_is_kept_leaves_one_whole_machine() {
    let world = World::alike("keptdies");
    let mut spec = quiet("g1");
    spec.extra_devices = TPM.to_owned();
    let guest = world.boot(spec, "kvm1");
    world.host("kvm1").virsh(&["managedsave", "g1"]).expect("saved");
    let state = format!("{SWTPM}/{}/tpm2/tpm2-00.permall", guest.spec.uuid);
    let saved = "/var/lib/libvirt/qemu/save/g1.save";
    let mut at = "kvm1";
    for moment in [
        "make-file:AfterIntent",
        "carry-file:BeforeResult",
        "perform:AfterIntent",
        "undefine-source:AfterIntent",
    ] {
        let to = if at == "kvm1" { "kvm2" } else { "kvm1" };
        let task = world.migrate_with_a_death("g1", at, to, moment);
        let location = task.outcome.as_ref().map(|outcome| outcome.location);
        println!("{moment}: {}", task.message);
        let (owner, other) = if location == Some(Location::Destination) { (to, at) } else { (at, to) };
        let found = |host: &str| {
            let host = world.host(host);
            [is_defined(&host, "g1"), is_there(&host, saved), is_there(&host, &state)]
        };
        assert_eq!(found(owner), [true; 3], "{moment}: {task:#?}");
        assert_eq!(found(other), [false; 3], "{moment}: {task:#?}");
        let place = format!("{SWTPM}/{}", guest.spec.uuid);
        assert!(!is_there(&world.host(other), &place), "{moment}: no empty directory is left");
        assert_no_pools(&world);
        at = owner;
    }
    world.host(at).virsh(&["start", "g1"]).expect("it goes on");
    guest.log.wait_next_tick(at, SOON).expect("it ticks");
    guest.log.check_unharmed().expect("its memory is what it was");
    assert_eq!(guest.log.boots().len(), 1);
}

/// A stopped machine with a disk of its own, an interface, and a password on its screen.
fn with_a_disk(world: &World, name: &str) -> (GuestSpec, String) {
    let path = image(&format!("{name}.raw"));
    sh(&world.host("kvm1"), &format!("dd if=/dev/urandom of={path} bs=1M count=4 status=none"));
    let mut spec = GuestSpec::new(name).expect("a spec");
    spec.nic = true;
    spec.extra_devices = disk(&path, "raw", "vda")
        + "<graphics type='vnc' port='-1' autoport='yes' passwd='s3cret'/><video><model type='vga'/></video>";
    world.define_stopped("kvm1", &spec.to_xml(), name);
    (spec, path)
}

fn xml_of(host: &Host, name: &str) -> String {
    host.virsh(&["dumpxml", "--security-info", "--inactive", name]).expect("its definition")
}

fn mac_of(xml: &str) -> &str {
    xml.split("<mac address='").nth(1).and_then(|rest| rest.split('\'').next()).expect("a MAC address")
}

#[test]
fn a_copy_stays_where_that_is_asked_for() {
    let world = World::pair("copystays");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let (spec, path) = with_a_disk(&world, "box");
    let plan: PlanReport = world.ferry_json(&["migrate", "box", "--to", "kvm2", "--copy", "--plan"]);
    assert!(plan.leaves.iter().any(|left| left.contains("box-copy")), "{plan:#?}");
    let task: Task = world.ferry_json(&["migrate", "box", "--to", "kvm2", "--copy"]);
    assert_moved(&task);
    assert!(task.message.contains("box-copy"), "{task:#?}");
    assert!(!is_defined(&kvm1, "box") && is_defined(&kvm1, "box-copy") && is_defined(&kvm2, "box"));
    let (copy, moved) = (xml_of(&kvm1, "box-copy"), xml_of(&kvm2, "box"));
    assert!(moved.contains(&spec.uuid) && !copy.contains(&spec.uuid), "a UUID of its own");
    assert_ne!(mac_of(&copy), mac_of(&moved));
    assert!(copy.contains("s3cret") && moved.contains("s3cret"), "the password is not lost");
    assert_eq!(sum(&kvm1, &path), sum(&kvm2, &path), "each has its disk");
    kvm1.virsh(&["start", "box-copy"]).expect("the copy starts");
    kvm2.virsh(&["start", "box"]).expect("and so does it");

    // One that runs.
    let mut spec = quiet("g1");
    spec.disk = Some(DiskSpec::in_pool("g1", 64));
    let mut guest = world.boot(spec, "kvm1");
    let task: Task = world.ferry_json(&["migrate", "g1", "--to", "kvm2", "--copy"]);
    assert_moved(&task);
    assert!(!is_defined(&kvm1, "g1") && is_defined(&kvm1, "g1-copy"), "{task:#?}");
    world.look_anew(&mut guest);
    world.assert_well(&guest, Expect::Running, "kvm2");
    assert_eq!(kvm1.virsh(&["domstate", "g1-copy"]).expect("its state").trim(), "shut off");
}

#[test]
fn a_ferryd_that_dies_while_it_leaves_a_copy_leaves_one() {
    let world = World::pair("copydies");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let moments = POINTS.map(|point| format!("leave-copy:{point}"));
    for (at, moment) in moments.iter().map(String::as_str).chain(["undefine-source:AfterIntent"]).enumerate()
    {
        let name = format!("box{at}");
        with_a_disk(&world, &name);
        world.restart_ferryd_with(&[("FERRYD_DIE_AT", moment)]);
        world.wait_listed("it is not known", |vm| vm.name == name && vm.host == "kvm1");
        let task: Task = world.ferry_json(&["migrate", &name, "--to", "kvm2", "--copy", "--detach"]);
        world.wait_ferryd_ends(BOOTS_WITHIN);
        world.start_ferryd();
        let task = world.wait_settled(task.id);
        assert_moved(&task);
        let copies = sh(&kvm1, &format!("ls /etc/libvirt/qemu | grep -c '^{name}-copy'"));
        assert_eq!(copies.trim(), "1", "{moment}: {task:#?}");
        assert!(!is_defined(&kvm1, &name) && is_defined(&kvm2, &name), "{moment}: {task:#?}");
    }
}

#[test]
fn a_ferryd_that_dies_while_it_takes_a_copy_back_leaves_none() {
    let world = World::pair("backdies");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    for (at, point) in POINTS.iter().enumerate() {
        let name = format!("box{at}");
        let (_, path) = with_a_disk(&world, &name);
        let written_to_meanwhile = || {
            sh(&kvm1, &format!("printf x | dd of={path} conv=notrunc status=none"));
            // The one that begins anew finds what was carried to be out of date, and takes back what it left.
            world.start_ferryd_with(&[("FERRYD_DIE_AT", &format!("take-back-copy:{point}"))]);
            world.wait_ferryd_ends(BOOTS_WITHIN);
        };
        let asked = ["migrate", &name, "--to", "kvm2", "--copy"];
        let task =
            world.migrate_with_a_death_and("kvm1", "leave-copy:AfterResult", &asked, written_to_meanwhile);
        assert_eq!(task.state, TaskState::Failed, "{point}: {task:#?}");
        assert_eq!(sh(&kvm1, "ls /etc/libvirt/qemu | grep -c -- -copy || true").trim(), "0", "{task:#?}");
        assert!(is_defined(&kvm1, &name) && !is_defined(&kvm2, &name), "{point}: {task:#?}");
        assert!(is_there(&kvm1, &path) && !is_there(&kvm2, &path), "{point}: {task:#?}");
    }
    assert_no_pools(&world);
}

#[test]
fn old_images_go_where_that_is_asked_for_and_nothing_else_does() {
    let world = World::pair("imagesgo");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let (base, top, other) = (image("base.raw"), image("top.qcow2"), image("other.qcow2"));
    sh(
        &kvm1,
        &format!(
            "dd if=/dev/urandom of={base} bs=1M count=4 status=none
             for over in {top} {other}; do qemu-img create -q -f qcow2 -b {base} -F raw $over; done"
        ),
    );
    let mut spec = GuestSpec::new("box").expect("a spec");
    spec.extra_devices = disk(&top, "qcow2", "vda");
    world.define_stopped("kvm1", &spec.to_xml(), "box");
    let task: Task = world.ferry_json(&["migrate", "box", "--to", "kvm2", "--delete-source-disks"]);
    assert_moved(&task);
    assert!(!is_there(&kvm1, &top), "{task:#?}");
    assert!(is_there(&kvm1, &base) && is_there(&kvm1, &other), "another image lies over it");
    assert!(task.message.contains(&base) && task.message.contains(&other), "which is told: {task:#?}");
    assert!(is_there(&kvm2, &top) && is_there(&kvm2, &base));
    assert_no_pools(&world);
    // Once nothing else does, all of it goes; back there the base has to make room first.
    sh(&kvm1, &format!("rm {base} {other}"));
    let task: Task = world.ferry_json(&["migrate", "box", "--to", "kvm1", "--delete-source-disks"]);
    assert_moved(&task);
    assert!(!is_there(&kvm2, &top) && !is_there(&kvm2, &base), "{task:#?}");

    // There and back, while it runs.
    let mut spec = quiet("g1");
    spec.disk = Some(DiskSpec::in_pool("g1", 64));
    let mut guest = world.boot(spec, "kvm1");
    for (from, to) in [("kvm1", "kvm2"), ("kvm2", "kvm1")] {
        assert_moved(&world.ferry_json(&["migrate", "g1", "--to", to, "--delete-source-disks"]));
        assert!(!is_there(&world.host(from), &image("g1.qcow2")), "{from}");
        world.look_anew(&mut guest);
        world.assert_well(&guest, Expect::Running, to);
    }
    assert_no_pools(&world);
}

#[test]
fn a_ferryd_that_dies_while_it_removes_old_images_goes_on() {
    let world = World::pair("imagesdie");
    let kvm1 = world.host("kvm1");
    for (at, moment) in POINTS.map(|point| format!("delete-source-disk:{point}")).iter().enumerate() {
        let name = format!("box{at}");
        let (_, path) = with_a_disk(&world, &name);
        world.restart_ferryd_with(&[("FERRYD_DIE_AT", moment)]);
        world.wait_listed("it is not known", |vm| vm.name == name && vm.host == "kvm1");
        let line = ["migrate", &name, "--to", "kvm2", "--delete-source-disks", "--detach"];
        let task: Task = world.ferry_json(&line);
        world.wait_ferryd_ends(BOOTS_WITHIN);
        world.start_ferryd();
        let task = world.wait_settled(task.id);
        assert_moved(&task);
        assert!(!is_there(&kvm1, &path) && is_there(&world.host("kvm2"), &path), "{moment}: {task:#?}");
    }
    assert_no_pools(&world);
}
