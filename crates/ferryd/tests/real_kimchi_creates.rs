//! Machines that are made anew through the inherited interface, on a real host; `virsh` and the files are the judges.

mod support;

use std::time::Duration;

use api::task::{Task, TaskState};
use lab::{Host, Release};
use serde_json::{Value, json};
use support::World;
use support::http::{Answer, Held, json_request, request};
use support::images::{IMAGES, assert_no_pools, disk, image, listed, sh};
use support::kimchi::{at_home, begun, begun_with_a_death, ended, refused, stopped_midway, virsh};

const DIES_WITHIN: Duration = Duration::from_secs(60);
const VMS: &str = "/plugins/kimchi/vms";
const WEB: &str = "/plugins/kimchi/vms/web%20%26%20co";
const ISO: &str = "/srv/iso/tools & more.iso";

/// A host with a network, a medium beside all pools, and a volume that nothing uses.
fn world(test: &'static str, release: Release) -> World {
    let world = at_home(World::of(test).host("kvm1", release));
    let host = world.host("kvm1");
    for (name, start) in [("lan", true), ("idle", false)] {
        let xml =
            format!("<network><name>{name}</name><forward mode='bridge'/><bridge name='br0'/></network>");
        let define = ["virsh", "-q", "-c", "qemu:///system", "net-define", "/dev/stdin"];
        host.run_with_input(&define, xml.as_bytes()).expect("a network");
        if start {
            virsh(&world, &["net-start", name]);
        }
    }
    sh(
        &host,
        &format!(
            "mkdir -p /srv/iso && head -c 100000 /dev/urandom >'{ISO}'
             qemu-img create -q -f qcow2 {IMAGES}/old.qcow2 8M
             qemu-img create -q -f raw {IMAGES}/used.img 4M"
        ),
    );
    world
}

#[track_caller]
fn machines(world: &World) -> Vec<String> {
    virsh(world, &["list", "--all", "--name"]).lines().map(str::to_owned).collect()
}

fn new_disk() -> Value {
    json!({"pool": {"name": "default"}, "size": 1})
}

fn web(disks: &[Value]) -> Value {
    json!({
        "name": "web & co", "title": "Shop's", "description": "first\nsecond",
        "memory": {"current": 64, "maxmemory": 96}, "cpu_info": {"vcpus": 1, "maxvcpus": 2},
        "disks": disks, "cdrom": ISO, "networks": ["lan"],
    })
}

#[test]
fn a_machine_is_made_of_what_was_asked_and_runs() {
    let world = world("kcreate", Release::Bookworm);
    let host = world.host("kvm1");
    let before = listed(&host, IMAGES);
    let old = json!({"pool": {"name": "/plugins/kimchi/storagepools/default"}, "volume": "old.qcow2", "format": "qcow2"});
    let raw = json!({"pool": {"name": "default"}, "size": 2, "format": "raw"});
    let body = web(&[new_disk(), old, raw]);
    let task = begun(&world.post(VMS, &body));
    assert_eq!(task["target_uri"], "/plugins/kimchi/vms/web & co", "{task:#}");
    let task = ended(&world, &task);
    assert_eq!((&task["status"], &task["message"]), (&json!("finished"), &json!("OK")), "{task:#}");

    let uuid = virsh(&world, &["domuuid", "web & co"]);
    assert_told(&world, &uuid);
    let made = [format!("{uuid}-0.img"), format!("{uuid}-2.img")];
    let after = listed(&host, IMAGES);
    assert_eq!(after.len(), before.len() + 2, "{after:?}");
    for (name, format, size) in [(&made[0], "qcow2", 1_u64 << 30), (&made[1], "raw", 2 << 30)] {
        let info: Value =
            serde_json::from_str(&sh(&host, &format!("qemu-img info --output=json {}", image(name))))
                .expect("JSON");
        assert_eq!((&info["format"], &info["virtual-size"]), (&json!(format), &json!(size)), "{info:#}");
    }
    let disks = virsh(&world, &["domblklist", "web & co"]);
    for (target, path) in [
        ("vda", image(&made[0])),
        ("vdb", image("old.qcow2")),
        ("vdc", image(&made[1])),
        ("sda", ISO.to_owned()),
    ] {
        let line = disks.lines().find(|line| line.trim_start().starts_with(target)).expect(target);
        assert!(line.trim_end().ends_with(&path), "{line}");
    }
    let xml = virsh(&world, &["dumpxml", "--inactive", "web & co"]);
    for part in [
        "machine='pc-q35-",
        "<domain type='qemu'",
        "listen='127.0.0.1'",
        "<source network='lan'/>",
        "type='pty'",
    ] {
        assert!(xml.contains(part), "{part}: {xml}");
    }
    assert_no_pools(&world);

    let started = world.post(&format!("{WEB}/start"), &json!({}));
    assert_eq!(started.status, 200, "{started:#?}");
    assert_eq!(virsh(&world, &["domstate", "web & co"]), "running");
    refused(&world.post(VMS, &body), 400, "KCHVM0001E: Virtual machine web & co already exists");
    let removed = world.send(&request("DELETE", &format!("{WEB}?disks=vda,vdc&nvram=true"), "", b""));
    assert_eq!(removed.status, 204, "{removed:#?}");
    assert_eq!(listed(&host, IMAGES), before, "what was there before stays");
}

/// It is told as it was asked for.
#[track_caller]
fn assert_told(world: &World, uuid: &str) {
    let vm: Value = world.get(WEB).json();
    for (key, value) in [
        ("uuid", json!(uuid)),
        ("state", json!("shutoff")),
        ("title", json!("Shop's")),
        ("description", json!("first\nsecond")),
        ("persistent", json!(true)),
        ("memory", json!({"current": 64, "maxmemory": 96})),
    ] {
        assert_eq!(vm[key], value, "{vm:#}");
    }
    assert_eq!((&vm["cpu_info"]["vcpus"], &vm["cpu_info"]["maxvcpus"]), (&json!(1), &json!(2)));
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    let world = world("kcreate2", Release::Bookworm);
    let host = world.host("kvm1");
    let other = format!(
        "<domain type='qemu'><name>other</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>\
         <os><type arch='x86_64' machine='q35'>hvm</type></os><devices>{}</devices></domain>",
        disk(&image("used.img"), "raw", "vda")
    );
    world.define_stopped("kvm1", &other, "other");
    let before = (listed(&host, IMAGES), listed(&host, "/srv/iso"));
    refused_before_there_is_a_task(&world);
    assert_eq!(machines(&world), ["other"]);

    // The first disk is made; where the second is to be there is no room for one more file.
    sh(
        &host,
        "mkdir /srv/tight && mount -t tmpfs -o nr_inodes=1 none /srv/tight
         virsh -q pool-create-as tight dir --target /srv/tight",
    );
    let tight = json!({"pool": {"name": "tight"}, "size": 1, "format": "raw"});
    let task = begun(&world.post(VMS, &web(&[new_disk(), tight])));
    let task = ended(&world, &task);
    assert_eq!(task["status"], "failed", "{task:#}");
    let said = task["message"].as_str().expect("a message");
    assert!(said.starts_with("KCHVM0007E: Unable to create virtual machine web & co. Details: "), "{said}");
    assert_eq!((listed(&host, IMAGES), listed(&host, "/srv/iso")), before, "the first disk is gone too");

    dies_meanwhile(&world, &host, &before.0);
    assert_no_pools(&world);
}

fn refused_before_there_is_a_task(world: &World) {
    let with = |key: &str, value: Value| {
        let mut body = web(&[new_disk()]);
        body[key] = value;
        body
    };
    let volume = |name: &str, format: &str| {
        let disk = json!({"pool": {"name": "default"}, "volume": name, "format": format});
        with("disks", json!([new_disk(), disk]))
    };
    for (body, status, reason) in [
        (with("name", json!("other")), 400, "KCHVM0001E: Virtual machine other already exists"),
        (
            with("cdrom", json!("/srv/iso/none.iso")),
            400,
            "KCHTMPL0002E: Source media /srv/iso/none.iso not found",
        ),
        (with("cdrom", json!("/srv/none/none.iso")), 400, "KCHTMPL0002E: "),
        (with("cdrom", json!("/dev/null")), 400, "KCHTMPL0002E: "),
        (with("networks", json!(["lan", "none"])), 400, "KCHTMPL0003E: Network 'none'"),
        (with("networks", json!(["idle"])), 400, "KCHTMPL0007E: Network idle"),
        (
            with("disks", json!([{"pool": {"name": "none"}, "size": 1}])),
            400,
            "KCHTMPL0004E: Storage pool none",
        ),
        (volume("none.img", "raw"), 400, "KCHTMPL0019E: The volume none.img is not in storage pool default"),
        (volume("used.img", "qcow2"), 409, "KCHVM0007E: …is raw, and no qcow2 image"),
        (volume("used.img", "raw"), 409, "KCHVM0007E: …is used by the virtual machine other"),
        (with("cdrom", json!("/none.iso")), 400, "KCHTMPL0002E: Source media /none.iso not found"),
        (with("memory", json!(1_u64 << 30)), 400, "KCHVM0041E: "),
        (with("cpu_info", json!({"vcpus": 16384})), 400, "KCHCPUINF0004E: "),
        (with("template", json!("/plugins/kimchi/templates/t")), 400, "WOKAPI0008E: "),
    ] {
        refused(&world.post(VMS, &body), status, reason);
    }
    assert!(world.tasks().is_empty());
}

/// ferryd dies after a disk was made, and after the machine was defined.
fn dies_meanwhile(world: &World, host: &Host, before: &[String]) {
    let dies_at = |point: &'static str| {
        world.restart_ferryd_with(&[("FERRYD_DIE_AT", point)]);
        world.wait_listed("it is not known", |vm| vm.name == "other");
        let request = json_request("POST", VMS, &web(&[new_disk()]).to_string());
        let task = begun_with_a_death(world, &request, DIES_WITHIN, || {
            assert_eq!(listed(host, IMAGES).len(), before.len() + 1, "it was at it");
        });
        ended(world, &task)
    };
    let task = dies_at("create-volume:BeforeResult");
    assert_eq!(task["status"], "failed", "{task:#}");
    assert!(task["message"].as_str().is_some_and(|message| message.contains("ferryd ended")), "{task:#}");
    assert_eq!(listed(host, IMAGES), before, "what was made is gone, the rest is as it was");
    assert_eq!(machines(world), ["other"]);

    let task = dies_at("create-define:BeforeResult");
    assert_eq!(task["status"], "finished", "it is whole: {task:#}");
    assert_eq!(machines(world), ["other", "web & co"]);
    assert_eq!(listed(host, IMAGES).len(), before.len() + 1);
}

#[test]
fn of_two_requests_for_one_name_one_is_carried_out() {
    let world = world("kcreate3", Release::Trixie);
    let body = web(&[new_disk()]);
    let old = json!({"pool": {"name": "default"}, "volume": "old.qcow2", "format": "qcow2"});
    let bytes = json_request("POST", VMS, &body.to_string());
    let held: Vec<Held> = (0..4).map(|_| world.hold(&bytes)).collect();
    let asking = held.into_iter().map(|held| std::thread::spawn(|| held.let_go())).collect::<Vec<_>>();
    let answers: Vec<Answer> = asking.into_iter().map(|asked| asked.join().expect("an answer")).collect();
    let accepted: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 202).collect();
    assert_eq!(accepted.len(), 1, "{answers:#?}");
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        refused(answer, 400, "KCHVM0001E: ");
    }
    assert_eq!(ended(&world, &accepted[0].json())["status"], "finished");
    assert_eq!(machines(&world), ["web & co"]);
    let started = world.post(&format!("{WEB}/start"), &json!({}));
    assert_eq!(started.status, 200, "what today's QEMU offers makes a machine that runs: {started:#?}");
    // A volume becomes the disk of one machine.
    let named = |name: &str| json!({"name": name, "memory": 64, "disks": [old]});
    let first = begun(&world.post(VMS, &named("a")));
    refused(&world.post(VMS, &named("b")), 409, "KCHVM0007E: …is used by");
    assert_eq!(ended(&world, &first)["status"], "finished");
    refused(&world.post(VMS, &named("b")), 409, "KCHVM0007E: …is used by the virtual machine a");
}

#[test]
fn a_machine_whose_making_is_stopped_midway_leaves_nothing() {
    let world = world("kcreate4", Release::Bookworm);
    let host = world.host("kvm1");
    let there = || (listed(&host, IMAGES), listed(&host, "/srv/iso"));
    let before = there();
    let body = web(&[new_disk(), new_disk()]);
    let begin = || begun(&world.post(VMS, &body));
    let task = stopped_midway(&world, begin, || {
        assert_eq!(
            listed(&host, IMAGES).len(),
            before.0.len() + 1,
            "the first disk is made, the second is not"
        );
        refused(&world.post(VMS, &body), 400, "KCHVM0001E: ");
    });
    let told = (&task["status"], &task["message"]);
    assert_eq!(told, (&json!("killed"), &json!("Creation cancelled")), "{task:#}");
    let tasks: Vec<Task> = world.tasks();
    assert_eq!(tasks.iter().map(|task| task.state).collect::<Vec<_>>(), [TaskState::Cancelled], "{tasks:#?}");
    assert_eq!(there(), before, "the disk that was made is gone");
    assert_eq!(machines(&world), [""; 0]);
    refused(&world.get(WEB), 404, "KCHVM0002E: ");
    assert_no_pools(&world);

    let task = ended(&world, &begun(&world.post(VMS, &body)));
    assert_eq!(task["status"], "finished", "its name is free again: {task:#}");
    assert_eq!(machines(&world), ["web & co"]);
}
