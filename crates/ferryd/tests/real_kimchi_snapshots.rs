//! The inherited `snapshots` and `hostdevs` on real hosts of both releases; `virsh` and `qemu-img` are the judges.

mod support;

use std::time::Duration;

use lab::{DiskSpec, GuestSpec, Release};
use serde_json::{Value, json};
use support::guest::{TOO_SLOW, busy, quiet};
use support::http::{Answer, json_request, request};
use support::images::{content, disk, image, sh};
use support::kimchi::{begun, begun_with_a_death, ended, refused};
use support::tasks::is_midway;
use support::{SOON, World};

const BOOTS_WITHIN: Duration = Duration::from_secs(120);
/// The memory of a test guest, on a machine that does other things meanwhile; and that nothing is at work on one is seen for 10 s.
const MADE_WITHIN: Duration = Duration::from_secs(120);

fn world(test: &'static str) -> World {
    let world = World::of(test).host("kvm1", Release::Bookworm).host("kvm2", Release::Trixie).up();
    world.register("kvm1");
    world.register("kvm2");
    world
}

fn address(vm: &str, rest: &str) -> String {
    format!("/plugins/kimchi/vms/{vm}/snapshots{rest}")
}

#[track_caller]
fn made(world: &World, vm: &str, body: &Value) -> String {
    let task = ended(world, &begun(&world.post(&address(vm, ""), body)));
    assert_eq!((&task["status"], &task["message"]), (&json!("finished"), &json!("OK")), "{task:#}");
    let uri = task["target_uri"].as_str().expect("an address");
    uri.strip_prefix(&address(vm, "/")).unwrap_or_else(|| panic!("{uri}")).to_owned()
}

#[track_caller]
fn told(world: &World, vm: &str, rest: &str) -> Value {
    let answer = world.get(&address(vm, rest));
    assert_eq!(answer.status, 200, "{answer:#?}");
    answer.json()
}

#[track_caller]
fn reverted(world: &World, vm: &str, name: &str) {
    let answer = world.post(&address(vm, &format!("/{name}/revert")), &json!({}));
    assert_eq!(answer.status, 303, "{answer:#?}");
    let location = answer.header("location").expect("where it is");
    assert!(
        location.starts_with("http://") && location.ends_with(&address(vm, &format!("/{name}"))),
        "{location}"
    );
}

fn delete(world: &World, vm: &str, name: &str) -> Answer {
    world.send(&request("DELETE", &address(vm, &format!("/{name}")), "", b""))
}

#[test]
fn a_stopped_machine_is_as_it_was_at_each_of_its_snapshots() {
    let world = world("snapoff");
    for (host, vm) in [("kvm1", "old"), ("kvm2", "new")] {
        let kvm = world.host(host);
        let path = image(&format!("{vm}.qcow2"));
        let write = |byte: u8| sh(&kvm, &format!("qemu-io -c 'write -P {byte} 1M 2M' {path} >/dev/null"));
        sh(&kvm, &format!("qemu-img create -q -f qcow2 {path} 16M"));
        write(7);
        let mut spec = GuestSpec::new(vm).expect("a spec");
        spec.extra_devices = disk(&path, "qcow2", "vda");
        world.define_stopped(host, &spec.to_xml(), vm);
        assert_eq!((told(&world, vm, ""), told(&world, vm, "/current")), (json!([]), json!({})));
        refused(&world.get(&address(vm, "/none")), 404, "KCHSNAP0003E: Snapshot 'none' does not exist");

        let before = content(&kvm, &path);
        made(&world, vm, &json!({ "name": "first <one>" }));
        assert_eq!(kvm.virsh(&["snapshot-list", vm, "--name"]).expect("a list").trim(), "first <one>");
        let first = told(&world, vm, "/first%20%3Cone%3E");
        assert_eq!((&first["state"], &first["parent"]), (&json!("shutoff"), &json!("")), "{first:#}");
        assert!(first["created"].as_str().is_some_and(|at| at.parse::<u64>().is_ok()), "{first:#}");
        write(9);
        let second = made(&world, vm, &json!({}));
        assert!(second.parse::<u64>().is_ok(), "the time is its name: {second}");
        let current = told(&world, vm, "/current");
        assert_eq!((&current["name"], &current["parent"]), (&json!(second), &json!("first <one>")));
        let again = world.post(&address(vm, ""), &json!({ "name": second }));
        refused(&again, 409, "KCHSNAP0002E: Unable to create snapshot '");
        let listed = told(&world, vm, "");
        assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed:#}");
        assert_eq!(told(&world, vm, "?name=first")[0]["name"], "first <one>");

        reverted(&world, vm, "first%20%3Cone%3E");
        assert_eq!(content(&kvm, &path), before, "{vm}: its disk is what it was");
        assert_eq!(told(&world, vm, "/current")["name"], "first <one>");
        assert_eq!(delete(&world, vm, "first%20%3Cone%3E").status, 204);
        refused(&delete(&world, vm, "first%20%3Cone%3E"), 404, "KCHSNAP0003E: ");
        let left = told(&world, vm, "");
        assert_eq!((&left[0]["name"], &left[0]["parent"]), (&json!(second), &json!("")), "{left:#}");
        assert!(!sh(&kvm, &format!("qemu-img snapshot -l {path}")).contains("first"));
    }
}

#[test]
fn a_running_guest_goes_on_and_comes_back_as_it_was() {
    let world = world("snaprun");
    for (host, vm) in [("kvm1", "old"), ("kvm2", "new")] {
        let kvm = world.host(host);
        let mut spec = quiet(vm);
        spec.disk = Some(DiskSpec::in_pool(vm, 16));
        let guest = world.boot(spec, host);
        made(&world, vm, &json!({ "name": "warm" }));
        guest.log.wait_next_tick(host, SOON).expect("it goes on");
        assert_eq!(told(&world, vm, "/warm")["state"], "running");
        let off = world.post(&format!("/plugins/kimchi/vms/{vm}/poweroff"), &json!({}));
        assert_eq!(off.status, 200, "{off:#?}");
        // It is started by that, with the memory that it had.
        reverted(&world, vm, "warm");
        assert_eq!(kvm.virsh(&["domstate", vm]).expect("a state").trim(), "running");
        guest.log.wait_next_tick(host, BOOTS_WITHIN).expect("it goes on again");
        assert_eq!(guest.log.boots().len(), 1, "and was not booted");
        // The same while it runs.
        reverted(&world, vm, "warm");
        guest.log.wait_next_tick(host, BOOTS_WITHIN).expect("it goes on again");
        assert_eq!((guest.log.boots().len(), guest.log.errors()), (1, Vec::new()));
        assert_eq!(delete(&world, vm, "warm").status, 204);
        guest.log.wait_next_tick(host, SOON).expect("it goes on");
        assert_eq!(kvm.virsh(&["snapshot-list", vm, "--name"]).expect("a list").trim(), "");
        kvm.virsh(&["destroy", vm]).expect("it ends");
    }
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_touched() {
    let world = world("snapno");
    let kvm1 = world.host("kvm1");
    let (raw, qcow2) = (image("a.raw"), image("a.qcow2"));
    sh(&kvm1, &format!("truncate -s 16M {raw}; qemu-img create -q -f qcow2 {qcow2} 16M"));
    let define = |name: &str, devices: String, firmware: &str| {
        let mut spec = GuestSpec::new(name).expect("a spec");
        spec.extra_devices = devices;
        let xml = spec.to_xml().replacen("hvm</type>", &format!("hvm</type>{firmware}"), 1);
        world.define_stopped("kvm1", &xml, name);
    };
    define("raw", disk(&raw, "raw", "vda"), "");
    define("bare", String::new(), "");
    let firmware = "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>\
                    <nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'>/var/lib/libvirt/qemu/nvram/efi_VARS.fd</nvram>";
    define("efi", disk(&qcow2, "qcow2", "vda"), firmware);
    let make = |vm: &str| world.post(&address(vm, ""), &json!({ "name": "a" }));
    let words = "KCHSNAP0010E: Unable to create snapshot of virtual machine 'raw' because it contains a disk with format 'raw';";
    refused(&make("raw"), 400, words);
    refused(
        &make("bare"),
        409,
        "KCHSNAP0002E: Unable to create snapshot 'a' on virtual machine 'bare'. Details: it has no disk",
    );
    refused(&make("efi"), 409, "KCHSNAP0002E: ");
    assert!(world.tasks().is_empty(), "what is refused becomes no task");

    let mut spec = busy("g1");
    spec.disk = Some(DiskSpec::in_pool("g1", 16));
    let guest = world.boot(spec, "kvm1");
    let migrating = world.begin_migrate(&["g1", "--to", "kvm2", "--bandwidth", TOO_SLOW]);
    world.wait_task(migrating.task, "a later pass", is_midway);
    refused(&make("g1"), 409, "KCHSNAP0002E: ");
    refused(&delete(&world, "g1", "a"), 409, "KCHSNAP0006E: ");
    let stop = format!("/plugins/kimchi/tasks/{}", migrating.task);
    assert_eq!(world.send(&request("DELETE", &stop, "", b"")).status, 204);
    assert_ne!(migrating.end().code, Some(0));

    made(&world, "g1", &json!({ "name": "a" }));
    kvm1.virsh(&["managedsave", "g1"]).expect("saved");
    let revert = world.post(&address("g1", "/a/revert"), &json!({}));
    refused(&revert, 409, "KCHSNAP0009E: ");
    assert!(revert.body.contains("managedsave-remove"), "{revert:#?}");
    kvm1.virsh(&["start", "g1"]).expect("it comes back");
    guest.log.wait_next_tick("kvm1", BOOTS_WITHIN).expect("it goes on");
    assert_eq!((guest.log.boots().len(), guest.log.errors()), (1, Vec::new()));
}

/// A `ferryd` that dies tells, when it is back, what became of it.
#[test]
fn a_ferryd_that_dies_meanwhile_tells_what_is_true() {
    let world = world("snapdie");
    let kvm1 = world.host("kvm1");
    let path = image("box.qcow2");
    sh(&kvm1, &format!("qemu-img create -q -f qcow2 {path} 16M"));
    let mut spec = GuestSpec::new("box").expect("a spec");
    spec.extra_devices = disk(&path, "qcow2", "vda");
    world.define_stopped("kvm1", &spec.to_xml(), "box");
    for (point, name, status) in
        [("BeforeResult", "is there", "finished"), ("AfterIntent", "is not", "failed")]
    {
        world.restart_ferryd_with(&[("FERRYD_DIE_AT", &format!("make-snapshot:{point}"))]);
        world.wait_listed("it does not show", |vm| vm.name == "box");
        let request = json_request("POST", &address("box", ""), &json!({ "name": name }).to_string());
        let task = begun_with_a_death(&world, &request, MADE_WITHIN, || {});
        if status == "failed" {
            // The task is the machine's lock as long as it is not known.
            world.wait_listed("it does not show", |vm| vm.name == "box");
            let start = world.post("/plugins/kimchi/vms/box/start", &json!({}));
            refused(&start, 409, "KCHVM0019E: ");
            let moved = world.ferry(&["migrate", "box", "--to", "kvm2"]).ended(3);
            assert!(moved.stderr.contains("a snapshot of it is being made"), "{moved:#?}");
        }
        let task = ended(&world, &task);
        assert_eq!(task["status"], status, "{task:#}");
        let listed = kvm1.virsh(&["snapshot-list", "box", "--name"]).expect("a list");
        assert_eq!(listed.contains(name), status == "finished", "{listed}");
    }
}

#[test]
fn the_devices_that_a_machine_is_given_are_told() {
    let world = world("snapdev");
    for (host, vm) in [("kvm1", "old"), ("kvm2", "new")] {
        let mut spec = GuestSpec::new(vm).expect("a spec");
        spec.extra_devices = "<hostdev mode='subsystem' type='pci' managed='no'>\
             <source><address domain='0xfffe' bus='0x00' slot='0x1f' function='0x7'/></source></hostdev>\
             <hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host9'/>\
             <address bus='0' target='1' unit='2'/></source></hostdev>"
            .to_owned();
        world.define_stopped(host, &spec.to_xml(), vm);
        let path = format!("/plugins/kimchi/vms/{vm}/hostdevs");
        let absent = |name: &str, kind: &str| {
            json!({
                "name": name, "type": kind, "product": null, "vendor": null, "multifunction": null, "vga3d": null,
            })
        };
        // Neither is there: libvirt defines it all the same, and what it would be is told.
        let (pci, scsi) = (absent("pci_fffe_00_1f_7", "pci"), absent("scsi_9_0_1_2", "scsi"));
        assert_eq!(world.get(&path).json::<Value>(), json!([pci, scsi]));
        assert_eq!(world.get(&format!("{path}?type=scsi")).json::<Value>(), json!([scsi]));
        assert_eq!(world.get(&format!("{path}/scsi_9_0_1_2")).json::<Value>(), scsi);
        refused(&world.get(&format!("{path}/scsi_9_0_1_3")), 404, "KCHVMHDEV0001E: VM ");
    }
}
