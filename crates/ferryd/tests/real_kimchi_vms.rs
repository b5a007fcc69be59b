//! The inherited `vms` on a real host, `ferryd` on that host itself as the original was; `virsh` is the judge.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use lab::DiskSpec;
use serde_json::{Value, json};
use support::guest::{Guest, TOO_SLOW, busy, quiet};
use support::http::{Answer, json_request, request};
use support::images::sh;
use support::kimchi::{
    DESTINATION, name_destination, replay, replay_to_its_end, two_at_home, virsh, with_destination,
};
use support::recorded::{self, Exchange};
use support::tasks::{MOVES_WITHIN, is_midway};
use support::{SOON, World, until, until_seen};

const BOOTS_WITHIN: Duration = Duration::from_secs(120);
const VM1: &str = "/plugins/kimchi/vms/vm1";

fn act(world: &World, action: &str) -> Answer {
    world.post(&format!("{VM1}/{action}"), &json!({}))
}

/// It was done, and the answer and `virsh` say this state.
#[track_caller]
fn done(world: &World, action: &str, told: &str, state: &str) {
    let answer = act(world, action);
    assert_eq!(answer.status, 200, "{action}: {answer:#?}");
    let vm: Value = answer.json();
    assert_eq!(vm["state"], told, "{action}: {vm:#}");
    assert_eq!(virsh(world, &["domstate", "vm1"]), state, "{action}");
}

#[track_caller]
fn refused(answer: &Answer, status: u16, reason: &str) {
    let body: Value = answer.json();
    let said = body["reason"].as_str().unwrap_or_default();
    assert!(answer.status == status && said.starts_with(reason), "{status} {reason}: {answer:#?}");
}

fn guest(world: &World) -> Guest {
    let mut spec = quiet("vm1");
    let disk = DiskSpec::in_pool("vm1", 16);
    spec.disk = Some(disk);
    world.boot(spec, "kvm1")
}

#[test]
fn a_machine_is_told_changed_and_obeys() {
    let world = two_at_home("kvms");
    let all = recorded::all();
    let guest = guest(&world);
    let listed = replay(&world, &all["01-vms-list"]).json::<Value>();
    replay(&world, &all["30i-cookie-get"]);
    replay(&world, &all["28g-vm-absent"]);
    replay(&world, &all["32d-filter"]);
    tells_what_the_host_offers(&world, &replay(&world, &all["33-config-capabilities"]).json());
    replay(&world, &all["32f-no-content-type"]);
    goes_nowhere(&world, &all);
    assert_eq!(listed[0]["uuid"], virsh(&world, &["domuuid", "vm1"]));
    figures_come(&world);
    changes_made_by_others_show(&world);
    changes(&world, &all);
    obeys(&world, &guest, &all);
    stopped(&world, &guest);
}

/// By what its kernel and its libvirt say.
fn tells_what_the_host_offers(world: &World, told: &Value) {
    let host = world.host("kvm1");
    let is = |script: &str| sh(&host, script).trim() != "0";
    let screens = "virsh domcapabilities | sed -n '/<graphics/,/<.graphics>/p' | grep -c '>spice<' || true";
    let expected = json!({
        "libvirt_stream_protocols": ["http", "https", "ftp", "ftps"],
        "qemu_spice": is(screens),
        "qemu_stream": false,
        "screenshot": true,
        "kernel_vfio": is("ls /sys/kernel/iommu_groups 2>/dev/null | wc -l"),
        "nm_running": false,
        "mem_hotplug_support": false,
        "libvirtd_running": true,
    });
    assert_eq!(told, &expected);
    assert_eq!(virsh(world, &["list", "--all", "--name"]), "vm1", "nothing was defined to see");
}

/// What was refused of a migration: to this machine itself, to what is no machine, and to one that lets nobody in.
fn goes_nowhere(world: &World, all: &BTreeMap<String, Exchange>) {
    name_destination(world);
    for name in [
        "20a-localhost",
        "20b-127001",
        "21a-unknown-host",
        "21c-no-such-address",
        "22a-no-login",
        "60e-password-wrong",
        "60f-user-nonroot-local-home",
    ] {
        replay(world, &all[name]);
    }
    assert!(world.tasks().is_empty());
}

/// A guest that works uses its processor and memory.
fn figures_come(world: &World) {
    until_seen(SOON, "no figures", || {
        let stats = world.get(VM1).json::<Value>()["stats"].clone();
        let above = |key: &str| stats[key].as_f64().is_some_and(|value| value > 0.0);
        if above("cpu_utilization") && above("mem_utilization") { Ok(()) } else { Err(stats) }
    });
}

fn changes_made_by_others_show(world: &World) {
    virsh(world, &["desc", "vm1", "--title", "--live", "--config", "Shop front"]);
    until(SOON, "a title that virsh gave", || {
        (world.get(VM1).json::<Value>()["title"] == "Shop front").then_some(())
    });
    let cleared = world.send(&json_request("PUT", VM1, r#"{"title":""}"#));
    assert_eq!(cleared.json::<Value>()["title"], "", "{cleared:#?}");
    assert!(!virsh(world, &["dumpxml", "vm1"]).contains("Shop front"));
}

/// libvirt sends no event for these.
fn changes_without_an_event_show(world: &World) {
    virsh(world, &["setmaxmem", "vm1", "384MiB", "--config"]);
    virsh(world, &["setvcpus", "vm1", "3", "--maximum", "--config"]);
    virsh(world, &["autostart", "vm1"]);
    until_seen(SOON, "other numbers than virsh gave", || {
        let vm = world.get(VM1).json::<Value>();
        let told = (&vm["memory"]["maxmemory"], &vm["cpu_info"]["maxvcpus"], &vm["autostart"]);
        if told == (&json!(384), &json!(3), &json!(1)) { Ok(()) } else { Err(vm) }
    });
    virsh(world, &["autostart", "vm1", "--disable"]);
}

fn changes(world: &World, all: &BTreeMap<String, Exchange>) {
    replay(world, &all["60a-grant-joe"]);
    let metadata = ["metadata", "vm1", "https://github.com/kimchi-project/kimchi", "--config"];
    assert!(virsh(world, &metadata).contains("<user>joe</user>"), "libvirt has it");
    let change = |body: Value| world.send(&json_request("PUT", VM1, &body.to_string()));
    let changed = change(json!({
        "title": "Shop <1>", "description": "two\nlines", "users": [], "autostart": true, "memory": { "current": 200 },
    }));
    assert_eq!(changed.status, 200, "{changed:#?}");
    let vm: Value = changed.json();
    assert_eq!((&vm["title"], &vm["description"]), (&json!("Shop <1>"), &json!("two\nlines")));
    assert_eq!((&vm["users"], &vm["autostart"]), (&json!([]), &json!(1)));
    assert_eq!(virsh(world, &["desc", "vm1", "--title", "--config"]), "Shop <1>");
    assert_eq!(virsh(world, &["desc", "vm1", "--title", "--live"]), "Shop <1>");
    assert!(virsh(world, &["dominfo", "vm1"]).contains("Autostart:      enable"));
    assert!(virsh(world, &["dumpxml", "--inactive", "vm1"]).contains("<currentMemory unit='KiB'>204800<"));
    // A body of no byte is an object of no key.
    let nothing = |method: &str, address: &str| world.send(&json_request(method, address, ""));
    assert_eq!(nothing("PUT", VM1).status, 200);
    refused(&nothing("POST", &format!("{VM1}/migrate")), 400, "WOKAPI0008E: ");
    let renamed = change(json!({ "name": "vm2", "title": "not this one either" }));
    refused(&renamed, 400, "KCHVM0074E: ");
    assert!(renamed.body.contains("name"), "{renamed:#?}");
    assert_eq!(virsh(world, &["desc", "vm1", "--title", "--config"]), "Shop <1>", "nothing was changed");
    change(json!({ "title": "", "description": "", "autostart": false }));
}

fn obeys(world: &World, guest: &Guest, all: &BTreeMap<String, Exchange>) {
    replay(world, &all["15-start-source-copy-while-running-on-dest"]);
    refused(&act(world, "start"), 400, "KCHVM0048E: Cannot start vm1. Virtual machine is already running.");
    refused(&act(world, "resume"), 400, "KCHVM0039E: ");
    done(world, "suspend", "paused", "paused");
    refused(&act(world, "suspend"), 400, "KCHVM0037E: ");
    refused(&act(world, "start"), 409, "KCHVM0019E: ");
    done(world, "resume", "running", "running");
    guest.log.wait_next_tick("kvm1", SOON).expect("it goes on");
    assert_eq!(guest.log.boots().len(), 1, "and was not booted again");
    done(world, "reset", "running", "running");
    until(BOOTS_WITHIN, "it does not boot again", || (guest.log.boots().len() == 2).then_some(()));
    guest.log.wait_next_tick("kvm1", BOOTS_WITHIN).expect("it ticks");
}

fn stopped(world: &World, guest: &Guest) {
    // A guest hears its power button only once it has come far enough in its boot.
    until(BOOTS_WITHIN, "it does not shut down", || {
        let answer = act(world, "shutdown");
        let off = virsh(world, &["domstate", "vm1"]) == "shut off";
        assert!(matches!(answer.status, 200 | 400 | 409), "{answer:#?}");
        off.then_some(())
    });
    assert!(guest.log.lines().iter().any(|line| line.text.contains("S poweroff")), "the guest itself did it");
    refused(&act(world, "shutdown"), 400, "KCHVM0050E: ");
    refused(&act(world, "reset"), 400, "KCHVM0051E: ");
    refused(&act(world, "poweroff"), 400, "KCHVM0049E: ");
    let change = |body: Value| world.send(&json_request("PUT", VM1, &body.to_string()));
    let more_than_there_is = 1_u64 << 30;
    refused(&change(json!({ "memory": { "maxmemory": more_than_there_is } })), 400, "KCHVM0041E: ");
    let changed = change(json!({
        "memory": { "current": 256, "maxmemory": 320 }, "cpu_info": { "vcpus": 1, "maxvcpus": 2 },
    }));
    let vm: Value = changed.json();
    assert_eq!(vm["memory"], json!({ "current": 256, "maxmemory": 320 }), "{vm:#}");
    assert_eq!(vm["cpu_info"], json!({ "vcpus": 1, "maxvcpus": 2, "topology": {} }), "{vm:#}");
    // Kimchi's page gives one number of a machine whose memory grows only while it is stopped, and a topology that is none.
    let grown = change(json!({ "memory": { "current": 352 }, "cpu_info": { "vcpus": 2, "topology": {} } }));
    assert_eq!(grown.json::<Value>()["memory"], json!({ "current": 352, "maxmemory": 352 }), "{grown:#?}");
    changes_without_an_event_show(world);
    let renamed = change(json!({ "name": "web 1" }));
    assert_eq!(renamed.status, 303, "{renamed:#?}");
    let location = renamed.header("location").expect("where it is");
    assert!(
        location.starts_with("http://") && location.ends_with("/plugins/kimchi/vms/web%201"),
        "{location}"
    );
    let renamed: Value = world.get("/plugins/kimchi/vms/web%201").json();
    assert_eq!(renamed["uuid"], virsh(world, &["domuuid", "web 1"]));
    refused(&world.get(VM1), 404, "KCHVM0002E: ");
    assert_eq!(world.post("/vms/web%201/start", &json!({})).status, 200);
    assert_eq!(virsh(world, &["domstate", "web 1"]), "running");
    virsh(world, &["setvcpus", "web 1", "3", "--live"]);
    until_seen(SOON, "another number of processors than virsh gave it while it runs", || {
        let vm = world.get("/plugins/kimchi/vms/web%201").json::<Value>();
        if vm["cpu_info"]["vcpus"] == 3 { Ok(()) } else { Err(vm) }
    });
    let removed = world.send(&request("DELETE", "/plugins/kimchi/vms/web%201", "", b""));
    assert_eq!((removed.status, removed.body.as_str()), (204, ""), "{removed:#?}");
    assert_eq!(virsh(world, &["list", "--all", "--name"]), "", "it was ended and is gone");
    assert_eq!(world.get("/plugins/kimchi/vms").json::<Value>(), json!([]));
    let disk = guest.spec.disk.as_ref().map(|disk| disk.path.clone()).expect("a disk");
    assert!(world.host("kvm1").disk_path(&disk).exists(), "its disk stays");
}

#[test]
fn what_moves_is_left_alone_and_what_was_moved_is_not_removed_by_the_way() {
    let world = with_destination("kmoves");
    let all = recorded::all();
    let guest = world.boot(busy("vm1"), "kvm1");
    let migrating = world.begin_migrate(&["vm1", "--to", DESTINATION, "--bandwidth", TOO_SLOW]);
    world.wait_task(migrating.task, "a later pass", is_midway);

    replay(&world, &all["51c-vm-list-during"]);
    replay(&world, &all["51d-poweroff-during"]);
    replay(&world, &all["51e-delete-vm-during"]);
    replay(&world, &all["50b-simultaneous-second-post"]);
    for (action, id) in [("poweroff", "KCHVM0020E"), ("shutdown", "KCHVM0029E"), ("reset", "KCHVM0022E")] {
        refused(&act(&world, action), 409, id);
    }
    refused(&world.send(&json_request("PUT", VM1, r#"{"title":"x"}"#)), 409, "KCHVM0008E: ");
    guest.log.wait_next_tick("kvm1", SOON).expect("it runs on");

    let task = format!("/plugins/kimchi/tasks/{}", migrating.task);
    let stop = world.send(&request("DELETE", &task, "", b""));
    assert_eq!((stop.status, stop.body.as_str()), (204, ""), "{stop:#?}");
    let killed: Value = until(MOVES_WITHIN, "it does not stop", || {
        let now: Value = world.get(&task).json();
        (now["status"] != "running").then_some(now)
    });
    assert_eq!((&killed["status"], &killed["message"]), (&json!("killed"), &json!("Migrate cancelled")));
    assert_ne!(migrating.end().code, Some(0));

    replay_to_its_end(&world, &all["11-migrate"], &all["13-task-finished"]);
    moved(&world, &guest, &all);
}

/// It is on kvm2 now.
fn moved(world: &World, guest: &Guest, all: &BTreeMap<String, Exchange>) {
    // What the original told of the source's copy is told of the machine itself.
    let vm: Value = until(SOON, "it does not show", || {
        let vm: Value = world.get(VM1).json();
        (vm["state"] == "running").then_some(vm)
    });
    assert_eq!(vm["uuid"], guest.spec.uuid.as_str());
    replay(world, &all["15-start-source-copy-while-running-on-dest"]);
    for query in ["", "?host=kvm1"] {
        let removed = world.send(&request("DELETE", &format!("{VM1}{query}"), "", b""));
        assert!(matches!(removed.status, 404 | 409), "{removed:#?}");
    }
    let by_the_way = world.send(&request("DELETE", VM1, "", b""));
    refused(&by_the_way, 409, "KCHVM0021E: ");
    assert!(by_the_way.body.contains("?host=kim-h2"), "{by_the_way:#?}");
    guest.log.wait_next_tick("kvm2", SOON).expect("it runs on");
    let removed = world.send(&request("DELETE", &format!("{VM1}?host={DESTINATION}"), "", b""));
    assert_eq!(removed.status, 204, "{removed:#?}");
    let left = world.host("kvm2").virsh(&["list", "--all", "--name"]).expect("virsh");
    assert_eq!(left.trim(), "", "by its host's name it is removed");
}
