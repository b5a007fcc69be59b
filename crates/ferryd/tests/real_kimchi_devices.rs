//! Devices of a host, given to its machines and taken from them through the inherited interface; `virsh` is the judge.
//!
//! The machine that a lab is on lends its PCI devices to be looked at, and no IOMMU: what the kernel would tell of a group is laid over
//! one of them, on one host of the lab alone. No machine here is ever started with a device, and where one that runs is to be given one,
//! nothing can be written to what drivers are told by: it would be taken from its real driver.

mod support;

use std::time::Duration;

use lab::{Host, Release};
use serde_json::{Value, json};
use support::World;
use support::guest::quiet;
use support::http::{Answer, json_request, request};
use support::images::sh;
use support::kimchi::{at_home, begun, begun_with_a_death, ended, refused};

const DIES_WITHIN: Duration = Duration::from_secs(60);
const DEVICES: &str = "/plugins/kimchi/vms/vm1/hostdevs";
/// A PCI device that no machine has, and one of each other kind, as Ferry gives them.
const NOWHERE: &str = "<hostdev mode='subsystem' type='pci' managed='yes'>\
                       <source><address domain='0xfffe' bus='0x00' slot='0x1f' function='0x7'/></source></hostdev>";
const SCSI: &str = "<hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host9'/>\
                    <address bus='0' target='1' unit='2'/></source></hostdev>";
const USB: &str = "<hostdev mode='subsystem' type='usb' managed='yes'><source startupPolicy='optional'><vendor id='0x046d'/>\
                   <product id='0xc52b'/><address bus='1' device='3'/></source></hostdev>";

fn world(test: &'static str) -> World {
    let world = at_home(World::of(test).host("kvm1", Release::Bookworm));
    let devices = [NOWHERE, SCSI, USB].concat();
    let xml = format!(
        "<domain type='qemu'><name>vm1</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>\
         <os><type arch='x86_64' machine='q35'>hvm</type></os><devices>{devices}</devices></domain>"
    );
    world.define_stopped("kvm1", &xml, "vm1");
    world
}

fn definition(world: &World) -> String {
    world.host("kvm1").virsh(&["dumpxml", "--inactive", "vm1"]).expect("its definition")
}

fn giving(device: &str) -> Vec<u8> {
    json_request("POST", DEVICES, &json!({"name": device}).to_string())
}

fn taking(device: &str) -> Vec<u8> {
    request("DELETE", &format!("{DEVICES}/{device}"), "", b"")
}

fn give(world: &World, device: &str) -> Answer {
    world.send(&giving(device))
}

fn take(world: &World, device: &str) -> Answer {
    world.send(&taking(device))
}

#[track_caller]
fn finished(world: &World, answer: &Answer, target_uri: &str) {
    let task = ended(world, &begun(answer));
    let told = (&task["status"], &task["message"], &task["target_uri"]);
    assert_eq!(told, (&json!("finished"), &json!("OK"), &json!(target_uri)), "{task:#}");
}

fn names(world: &World) -> Vec<String> {
    let told: Vec<Value> = world.get(DEVICES).json();
    told.iter().map(|device| device["name"].as_str().expect("a name").to_owned()).collect()
}

/// A PCI device of the real machine that is no bridge, by libvirt's name.
fn a_pci_device(host: &Host) -> String {
    let told = host.virsh(&["nodedev-list", "--cap", "pci"]).expect("its devices");
    let is_bridge = |name: &str| {
        let xml = host.virsh(&["nodedev-dumpxml", name]).expect("a description");
        xml.contains("<class>0x06")
    };
    let name = told.lines().map(str::trim).filter(|name| !name.is_empty()).find(|name| !is_bridge(name));
    name.expect("a PCI device").to_owned()
}

/// Lays over what this host's kernel tells of a device that it is in an IOMMU group.
fn lay_over_a_group(host: &Host, device: &str) {
    let parts: Vec<&str> = device.split('_').skip(1).collect();
    let address = format!("{}:{}:{}.{}", parts[0], parts[1], parts[2], parts[3]);
    sh(
        host,
        &format!(
            "real=$(readlink -f /sys/bus/pci/devices/{address})
             for each in /sys/bus/pci/devices/*; do readlink -f $each; done >/tmp/pci
             mount -t tmpfs none /sys/bus/pci/devices
             while read -r path; do ln -s $path /sys/bus/pci/devices/${{path##*/}}; done </tmp/pci
             rm /sys/bus/pci/devices/{address}
             mkdir /sys/bus/pci/devices/{address}
             for each in $real/*; do ln -s $each /sys/bus/pci/devices/{address}/; done
             mount -t tmpfs none /sys/kernel/iommu_groups
             mkdir -p /sys/kernel/iommu_groups/7/devices
             ln -s /sys/bus/pci/devices/{address} /sys/kernel/iommu_groups/7/devices/{address}
             ln -s /sys/kernel/iommu_groups/7 /sys/bus/pci/devices/{address}/iommu_group"
        ),
    );
}

#[test]
fn what_a_host_cannot_give_is_refused() {
    let world = world("khdev");
    let host = world.host("kvm1");
    let (before, pci) = (definition(&world), a_pci_device(&host));
    let all = host.virsh(&["nodedev-list"]).expect("its devices");
    let network =
        all.lines().map(str::trim).find(|name| name.starts_with("net_lo")).expect("a network device");
    for (device, status, reason) in [
        ("pci_ffff_00_00_0", 404, "KCHHOST0003E: Node device 'pci_ffff_00_00_0' not found"),
        ("computer", 400, "KCHVMHDEV0002E: "),
        (network, 400, "KCHVMHDEV0002E: "),
        (&*pci, 400, "KCHVMHDEV0003E: No IOMMU groups found."),
    ] {
        refused(&give(&world, device), status, reason);
    }
    refused(
        &take(&world, &pci),
        404,
        "KCHVMHDEV0001E: VM vm1 does not contain directly assigned host device",
    );
    assert_eq!(definition(&world), before, "nothing was done");
    assert!(world.tasks().is_empty());
    // A machine that runs is looked at as it runs.
    let guest = world.boot(quiet("vm2"), "kvm1");
    let devices = "/plugins/kimchi/vms/vm2/hostdevs";
    refused(&world.post(devices, &json!({"name": pci})), 400, "KCHVMHDEV0003E: ");
    let taken = world.send(&request("DELETE", &format!("{devices}/{pci}"), "", b""));
    refused(&taken, 404, "KCHVMHDEV0001E: ");
    a_guest_that_cannot_be_given_one_is_as_before(&world, &pci, devices);
    assert_eq!(guest.log.boots().len(), 1);
}

/// libvirt begins to give it, and finds that it cannot.
fn a_guest_that_cannot_be_given_one_is_as_before(world: &World, pci: &str, devices: &str) {
    let host = world.host("kvm1");
    let documents = || {
        [&["dumpxml", "vm2"][..], &["dumpxml", "--inactive", "vm2"]]
            .map(|dump| host.virsh(dump).expect("its XML"))
    };
    let before = documents();
    sh(
        &host,
        "test ! -e /dev/vfio/vfio
         mount -o remount,bind,ro /sys
         ! (echo >/sys/bus/pci/drivers_probe) 2>/dev/null",
    );
    lay_over_a_group(&host, pci);
    let task = ended(world, &begun(&world.post(devices, &json!({"name": pci}))));
    assert_eq!(task["status"], "failed", "{task:#}");
    let said = task["message"].as_str().expect("a message");
    assert!(said.starts_with(&format!("KCHVMHDEV0007E: Failed to attach {pci} to vm2. Details: ")), "{said}");
    assert!(said.contains("VFIO") || said.contains("passthrough"), "libvirt's own words: {said}");
    assert_eq!(documents(), before);
    assert_eq!(host.virsh(&["domstate", "vm2"]).expect("its state").trim(), "running");
}

#[test]
fn a_stopped_machine_is_given_a_device_and_it_is_taken_again() {
    let world = world("khdev2");
    let host = world.host("kvm1");
    let (before, pci) = (definition(&world), a_pci_device(&host));
    lay_over_a_group(&host, &pci);
    finished(&world, &give(&world, &pci), "/plugins/kimchi/vms/vm1/hostdevs/");
    assert!(names(&world).contains(&pci), "{:?}", names(&world));
    let given = definition(&world);
    assert_eq!(given.matches("<hostdev mode='subsystem' type='pci' managed='yes'>").count(), 2, "{given}");
    refused(&give(&world, &pci), 409, "KCHVMHDEV0007E: Failed to attach ");
    assert_eq!(definition(&world), given, "it is given once");

    let address = format!("{DEVICES}/{pci}");
    finished(&world, &take(&world, &pci), &address);
    assert_eq!(world.get(&address).status, 404);
    for device in ["scsi_9_0_1_2", "usb_bus_1_device_3", "pci_fffe_00_1f_7"] {
        finished(&world, &take(&world, device), &format!("{DEVICES}/{device}"));
    }
    assert_eq!(names(&world), Vec::<String>::new());
    assert!(!definition(&world).contains("<hostdev") && before.contains("<hostdev"));
    dies_meanwhile(&world, &pci);
}

/// ferryd dies before and after libvirt is asked.
fn dies_meanwhile(world: &World, pci: &str) {
    let without = definition(world);
    let dies_at = |point: &'static str, request: &[u8]| {
        world.restart_ferryd_with(&[("FERRYD_DIE_AT", point)]);
        world.wait_listed("it is not known", |vm| vm.name == "vm1");
        ended(world, &begun_with_a_death(world, request, DIES_WITHIN, || {}))
    };
    let task = dies_at("give-device:AfterIntent", &giving(pci));
    assert_eq!(task["status"], "failed", "{task:#}");
    let said = task["message"].as_str().expect("a message");
    assert!(said.starts_with("KCHVMHDEV0007E: ") && said.contains("ferryd ended meanwhile"), "{said}");
    assert_eq!(definition(world), without);

    let task = dies_at("give-device:BeforeResult", &giving(pci));
    assert_eq!(task["status"], "finished", "{task:#}");
    assert_eq!(names(world), [pci]);

    let task = dies_at("take-device:AfterIntent", &taking(pci));
    assert_eq!(task["status"], "finished", "{task:#}");
    assert_eq!(definition(world), without);
}
