//! One guest with a disk of every kind: what both hosts see stays, what only the source has goes along, a medium is left out.

mod support;

use api::plan::PlanReport;
use api::task::{Task, TaskState};
use lab::{DiskSpec, Expect};
use support::World;
use support::guest::quiet;
use support::images::{disk, sh};

const SHARED: &str = "/srv/shared/g1.qcow2";
const SERVED: &str = "/srv/shared/served.raw";
const LOCAL: &str = "/var/lib/libvirt/images/local.qcow2";
const SERVER_PID: &str = "/run/nbd.pid";

/// On a server that both hosts reach.
fn network_disk(target: &str) -> String {
    format!(
        "<disk type='network' device='disk'><driver name='qemu' type='raw' cache='none'/><source protocol='nbd' name='d'>\
         <host name='controller' port='10809'/></source><target dev='{target}' bus='virtio'/></disk>"
    )
}

const MEDIUM: &str = "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='/srv/shared/d.iso'/>\
                      <target dev='sda' bus='sata'/><readonly/></disk>";

#[test]
fn each_disk_goes_its_own_way() {
    let world = World::mixed("mixes");
    let (kvm1, kvm2, server) = (world.host("kvm1"), world.host("kvm2"), world.host("controller"));
    sh(
        &server,
        &format!(
            "qemu-img create -q -f raw {SERVED} 16M
             qemu-nbd --fork --persistent --shared=8 -x d -p 10809 -f raw --pid-file={SERVER_PID} {SERVED}"
        ),
    );
    sh(
        &kvm1,
        &format!(
            "truncate -s 1M /srv/shared/d.iso; qemu-img create -q -f qcow2 {LOCAL} 256M
             qemu-io -c 'write -P 7 100M 5M' {LOCAL} >/dev/null"
        ),
    );
    let mut spec = quiet("g1");
    spec.disk = Some(DiskSpec::qcow2(SHARED, Some(32)));
    spec.extra_devices = disk(LOCAL, "qcow2", "vdb") + &network_disk("vdc") + MEDIUM;
    let mut guest = world.boot(spec, "kvm1");

    let plan: PlanReport = world.ferry_json(&["migrate", "g1", "--to", "kvm2", "--plan"]);
    let made: Vec<&str> = plan.creates.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(made, [LOCAL], "{plan:#?}");
    let task: Task = world.ferry_json(&["migrate", "g1", "--to", "kvm2"]);
    assert_eq!(task.state, TaskState::Done, "{task:#?}");
    world.look_anew(&mut guest);
    world.assert_well(&guest, Expect::Running, "kvm2");
    let runs_on = kvm2.virsh(&["domblklist", "g1"]).expect("its disks");
    for place in [SHARED, LOCAL, "/srv/shared/d.iso"] {
        assert!(runs_on.contains(place), "{runs_on}");
    }
    // What was written before it moved is there; QEMU keeps the image locked, and reads of it are allowed.
    let read = format!("qemu-io -U -r -c 'read -P 7 100M 5M' {LOCAL}");
    assert!(!sh(&kvm2, &read).contains("verification failed"));
    let allocated: u64 = sh(&kvm2, &format!("du -k {LOCAL} | cut -f1")).trim().parse().expect("a number");
    assert!(allocated < 8 << 10, "holes stay holes: {allocated} KiB");
    kvm2.virsh(&["destroy", "g1"]).expect("it ends");
    sh(&server, &format!("kill $(cat {SERVER_PID})"));
}
