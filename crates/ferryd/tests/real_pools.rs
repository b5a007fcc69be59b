//! Disks that go into another place than they had: a storage pool of the destination, one image instead of a chain, out of a block
//! device; and encrypted ones.

mod support;

use api::plan::PlanReport;
use api::preflight::Report;
use api::task::{Location, Task, TaskState};
use lab::{DiskSpec, Expect, GuestSpec, Host};
use support::guest::quiet;
use support::images::{IMAGES, content, disk, image, listed, sh, sum};
use support::tasks::POINTS;
use support::{SOON, World};

/// Where the pool `fast` is on kvm2; kvm1 has no such directory.
const FAST: &str = "/srv/fast";

/// Two hosts, the second of which has a pool that the first has not.
fn world(test: &'static str) -> World {
    let world = World::pair(test);
    let kvm2 = world.host("kvm2");
    kvm2.virsh(&["pool-define-as", "fast", "dir", "--target", FAST]).expect("a pool");
    kvm2.virsh(&["pool-build", "fast"]).expect("its directory");
    kvm2.virsh(&["pool-start", "fast"]).expect("it is active");
    world
}

fn stopped(world: &World, name: &str, disks: &str) {
    let mut spec = GuestSpec::new(name).expect("a spec");
    spec.extra_devices = disks.to_owned();
    world.define_stopped("kvm1", &spec.to_xml(), name);
}

#[track_caller]
fn assert_moved(task: &Task) {
    let location = task.outcome.as_ref().map(|outcome| outcome.location);
    assert_eq!((task.state, location), (TaskState::Done, Some(Location::Destination)), "{task:#?}");
}

/// The sources of its disks, as a host's libvirt says.
fn sources(host: &Host, name: &str, inactive: bool) -> String {
    let which: &[&str] = if inactive { &["--inactive"] } else { &[] };
    host.virsh(&[&["domblklist", name], which].concat()).expect("its disks")
}

fn codes(reports: &[Report]) -> Vec<&str> {
    reports[0].findings.iter().map(|finding| finding.code.as_str()).collect()
}

/// A raw image that is written, and one over it. The raw one has more parts than a file system lists beside what else it knows of a
/// file: once they are written back, it takes up a block more.
fn chain(host: &Host, base: &str, top: &str) {
    sh(
        host,
        &format!(
            "dd if=/dev/urandom of={base} bs=1M count=12 status=none; truncate -s 64M {base}
             for at in 20 24 28 32 36 44 48; do
               dd if=/dev/urandom of={base} bs=1M seek=$at count=1 conv=notrunc status=none
             done
             qemu-img create -q -f qcow2 -b {base} -F raw {top}
             qemu-io -c 'write -P 7 1M 3M' -c 'write -z 5M 1M' -c 'write -P 8 40M 1M' {top} >/dev/null"
        ),
    );
}

#[test]
fn disks_of_a_stopped_one_are_made_where_they_are_asked() {
    let world = world("places");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let (base, top, data) = (image("base.raw"), image("top.qcow2"), image("data.raw"));
    chain(&kvm1, &base, &top);
    sh(&kvm1, &format!("dd if=/dev/urandom of={data} bs=1M count=8 status=none; truncate -s 24M {data}"));
    stopped(&world, "box", &(disk(&top, "qcow2", "vda") + &disk(&data, "raw", "vdb")));

    let asked = ["box", "--to", "kvm2", "--storage", "vda=fast/new.qcow2", "--storage", "*=fast"];
    let plan: PlanReport = world.ferry_json(&[&["migrate"], &asked[..], &["--plan"]].concat());
    let made: Vec<&str> = plan.creates.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(made, [base.as_str(), "/srv/fast/new.qcow2", "/srv/fast/data.raw"], "{plan:#?}");
    assert_eq!(plan.creates[1].from.as_deref(), Some(top.as_str()));
    for (wrong, code) in
        [("vda=slow", "storage-pool-missing"), ("vdz=fast", "storage-disk-unknown"), ("vda=fast/..", "")]
    {
        let said = world.ferry(&["migrate", "box", "--to", "kvm2", "--storage", wrong]);
        assert!(
            said.code == Some(if code.is_empty() { 2 } else { 3 }) && said.stderr.contains(code),
            "{said:#?}"
        );
    }

    // Called off, it leaves nothing.
    let migrating = world.begin_migrate(&[&asked[..], &["--bandwidth", "4MiB/s"]].concat());
    world.wait_task(migrating.task, "some of it", |task| {
        task.progress.as_ref().is_some_and(|progress| progress.storage_processed_bytes > Some(4 << 20))
    });
    world.ferry(&["task", "cancel", &migrating.task.to_string()]).succeeded();
    migrating.end().ended(4);
    assert_eq!((listed(&kvm2, FAST), listed(&kvm2, IMAGES)), (vec![], vec![]), "nothing is left");

    let task: Task = world.ferry_json(&[&["migrate"], &asked[..]].concat());
    assert_moved(&task);
    for (from, to) in [(&base, base.as_str()), (&top, "/srv/fast/new.qcow2"), (&data, "/srv/fast/data.raw")] {
        assert_eq!(sum(&kvm2, to), sum(&kvm1, from), "{to}");
    }
    let disks = sources(&kvm2, "box", true);
    assert!(disks.contains("/srv/fast/new.qcow2") && disks.contains("/srv/fast/data.raw"), "{disks}");
    assert!(sh(&kvm2, "qemu-img info /srv/fast/new.qcow2").contains(&base), "the chain is kept");
    assert_eq!(listed(&kvm2, IMAGES), ["base.raw"]);
    assert!(kvm1.disk_path(&top).exists(), "the source's stay");
}

#[test]
fn the_disk_of_one_that_runs_is_made_where_it_is_asked() {
    let world = world("placelive");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let mut spec = quiet("g1");
    spec.disk = Some(DiskSpec::in_pool("g1", 64));
    let mut guest = world.boot(spec, "kvm1");
    let plan: PlanReport =
        world.ferry_json(&["migrate", "g1", "--to", "kvm2", "--storage", "vda=fast/other.qcow2", "--plan"]);
    assert_eq!(plan.creates[0].path, "/srv/fast/other.qcow2", "{plan:#?}");
    let task: Task =
        world.ferry_json(&["migrate", "g1", "--to", "kvm2", "--storage", "vda=fast/other.qcow2"]);
    assert_moved(&task);
    guest.log.wait_next_tick("kvm2", SOON).expect("it runs on");
    for inactive in [false, true] {
        let disks = sources(&kvm2, "g1", inactive);
        assert!(disks.contains("/srv/fast/other.qcow2"), "inactive {inactive}: {disks}");
    }
    assert!(listed(&kvm2, IMAGES).is_empty(), "nothing under the old path");
    assert!(kvm1.disk_path(image("g1.qcow2")).exists(), "the source's stays");
    world.look_anew(&mut guest);
    world.assert_well(&guest, Expect::Running, "kvm2");
    // Out of the pool again, to a path that is free by now: as the pool names it.
    sh(&kvm1, &format!("rm {}", image("g1.qcow2")));
    let back: Task = world.ferry_json(&["migrate", "g1", "--to", "kvm1", "--storage", "*=default"]);
    assert_moved(&back);
    world.look_anew(&mut guest);
    world.assert_well(&guest, Expect::Running, "kvm1");
    assert!(sources(&kvm1, "g1", false).contains(&image("other.qcow2")));
}

#[test]
fn a_chain_becomes_one_image() {
    let world = world("flat");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let (base, top) = (image("base.raw"), image("top.qcow2"));
    chain(&kvm1, &base, &top);
    let before = content(&kvm1, &top);
    let sums = [sum(&kvm1, &base), sum(&kvm1, &top)];
    let mut spec = GuestSpec::new("box").expect("a spec");
    spec.extra_devices = disk(&top, "qcow2", "vda");
    // Whole, and with a ferryd that dies before, in the middle of and after making one of both.
    let moments = ["carry-file:AfterResult", "make-file:AfterResult"].map(str::to_owned).into_iter();
    let moments = moments.chain(POINTS.map(|point| format!("remove-file:{point}")));
    for moment in [None].into_iter().chain(moments.map(Some)) {
        world.define_stopped("kvm1", &spec.to_xml(), "box");
        let asked = ["migrate", "box", "--to", "kvm2", "--flatten"];
        let task = match &moment {
            None => {
                let plan: PlanReport = world.ferry_json(&[&asked[..], &["--plan"]].concat());
                let temporary = plan.creates.iter().filter(|file| file.temporary).count();
                assert_eq!((plan.creates.len(), temporary), (3, 2), "{plan:#?}");
                world.ferry_json(&asked)
            }
            Some(moment) => world.migrate_with_a_death_as("kvm1", moment, &asked),
        };
        assert_moved(&task);
        assert_eq!(listed(&kvm2, IMAGES), ["top.qcow2"], "{moment:?}: one image, and nothing else");
        assert!(!sh(&kvm2, &format!("qemu-img info {top}")).contains("backing"), "nothing lies below it");
        assert_eq!(content(&kvm2, &top), before, "{moment:?}: the guest sees the same");
        assert_eq!([sum(&kvm1, &base), sum(&kvm1, &top)], sums, "{moment:?}: the source's are as they were");
        kvm2.virsh(&["undefine", "box"]).expect("undefined");
        sh(&kvm2, &format!("rm {top}"));
    }
}

#[test]
fn a_chain_of_one_that_runs_becomes_one_image() {
    let world = world("flatlive");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let (base, top) = (image("base.raw"), image("g1.qcow2"));
    chain(&kvm1, &base, &top);
    let mut spec = quiet("g1");
    spec.disk = Some(DiskSpec::qcow2(&top, None));
    let mut guest = world.boot(spec, "kvm1");
    let plan: PlanReport = world.ferry_json(&["migrate", "g1", "--to", "kvm2", "--flatten", "--plan"]);
    assert!(plan.libvirt_flags.contains(&"VIR_MIGRATE_NON_SHARED_DISK".to_owned()), "{plan:#?}");
    let task: Task = world.ferry_json(&["migrate", "g1", "--to", "kvm2", "--flatten"]);
    assert_moved(&task);
    guest.log.wait_next_tick("kvm2", SOON).expect("it runs on");
    assert_eq!(listed(&kvm2, IMAGES), ["g1.qcow2"], "what lay below it is in it");
    assert!(!sh(&kvm2, &format!("qemu-img info -U {top}")).contains("backing"), "nothing lies below it");
    let xml = kvm2.virsh(&["dumpxml", "g1"]).expect("its definition");
    assert!(!xml.contains(&base), "libvirt knows of nothing below it: {xml}");
    world.look_anew(&mut guest);
    world.assert_well(&guest, Expect::Running, "kvm2");
}

/// A block device of a host's, over a file of its own; given back in the end.
struct Loop {
    host: Host,
    path: String,
}

impl Loop {
    fn over(host: &Host, file: &str) -> Self {
        // The device is the whole machine's; the host has a `/dev` of its own.
        let script = format!(
            "[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
             for at in 0 1 2 3 4 5 6 7; do [ -e /dev/loop$at ] || mknod /dev/loop$at b 7 $at; done
             losetup --show -f {file}"
        );
        Self { host: host.clone(), path: sh(host, &script).trim().to_owned() }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // What fails here shows in the next test that wants one.
        let _ = self.host.run(&["losetup", "-d", &self.path]);
    }
}

#[test]
fn a_block_device_becomes_a_file_in_a_pool() {
    let world = world("block");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let file = "/var/tmp/device.raw";
    sh(&kvm1, &format!("dd if=/dev/urandom of={file} bs=1M count=6 status=none; truncate -s 32M {file}"));
    let device = Loop::over(&kvm1, file);
    let before = sum(&kvm1, file);
    let disks = format!(
        "<disk type='block' device='disk'><driver name='qemu' type='raw' cache='none'/><source dev='{}'/>\
         <target dev='vda' bus='virtio'/></disk>",
        device.path
    );
    stopped(&world, "box", &disks);
    // A device of the same name there may be anything: none is written over.
    world.ferry(&["migrate", "box", "--to", "kvm2"]).ended(3).says("--storage vda=POOL");
    let task: Task = world.ferry_json(&["migrate", "box", "--to", "kvm2", "--storage", "vda=fast"]);
    assert_moved(&task);
    assert_eq!(listed(&kvm2, FAST), ["box-vda.raw"]);
    assert_eq!(sum(&kvm2, "/srv/fast/box-vda.raw"), before);
    let sent = task.outcome.and_then(|outcome| outcome.transferred_bytes).expect("counted");
    assert!(sent < 8 << 20, "zeros take up no room: {sent}");
    let xml = kvm2.virsh(&["dumpxml", "box"]).expect("its definition");
    assert!(xml.contains("type='file'") && !xml.contains(&device.path), "{xml}");
}

#[test]
fn an_encrypted_image_goes_over_when_its_secret_is_there() {
    let world = world("luks");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let path = image("secret.qcow2");
    let uuid = "5ec2e700-0000-4000-8000-000000000001";
    // To choose how often a passphrase is hashed QEMU measures its own processor time, which a kernel that counts it by ticks may tell as
    // none; then it makes no image ("Unable to get accurate CPU usage"), and is asked again.
    sh(
        &kvm1,
        &format!(
            "for _ in $(seq 50); do
               qemu-img create -q -f qcow2 --object secret,id=key,data=passphrase \
                 -o encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10 {path} 16M && exit 0
             done; exit 1"
        ),
    );
    let secret = format!(
        "<secret ephemeral='no' private='no'><uuid>{uuid}</uuid><usage type='volume'><volume>{path}</volume></usage></secret>"
    );
    let define = |host: &Host| {
        host.run_with_input(&["virsh", "-q", "secret-define", "/dev/stdin"], secret.as_bytes())
            .expect("a secret");
    };
    define(&kvm1);
    sh(
        &kvm1,
        &format!(
            "printf passphrase | base64 | tr -d '\\n' | virsh secret-set-value {uuid} --file /dev/stdin"
        ),
    );
    let disks = format!(
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source file='{path}'>\
         <encryption format='luks'><secret type='passphrase' uuid='{uuid}'/></encryption></source>\
         <target dev='vda' bus='virtio'/></disk>"
    );
    stopped(&world, "box", &disks);
    world.ferry(&["migrate", "box", "--to", "kvm2"]).ended(3).says("secret-missing");
    define(&kvm2);
    let reports: Vec<Report> = {
        let said = world.ferry(&["--json", "check", "box", "--to", "kvm2"]).ended(3);
        said.json()
    };
    assert!(codes(&reports).contains(&"secret-empty"), "{reports:#?}");
    let found = reports[0].findings.iter().find(|finding| finding.code == "secret-empty").expect("found");
    let remedy = found.remedy.as_ref().and_then(|remedy| remedy.command.clone()).expect("a command");
    sh(&kvm1, &remedy);
    let task: Task = world.ferry_json(&["migrate", "box", "--to", "kvm2"]);
    assert_moved(&task);
    assert_eq!(sum(&kvm2, &path), sum(&kvm1, &path));
    kvm2.virsh(&["start", "box"]).expect("it opens its image there");
    kvm2.virsh(&["destroy", "box"]).expect("it was started");
}
