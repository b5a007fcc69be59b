//! The inherited contract, with `ferryd` on the source itself, as the original was.

mod support;

use lab::{Expect, Release};
use serde_json::{Value, json};
use support::guest::quiet;
use support::http::Answer;
use support::tasks::MOVES_WITHIN;
use support::{SOON, World, until};

/// Another name of kvm1, which it was not registered under.
const ALIAS: &str = "also-kvm1";

fn migrate(world: &World, body: &Value) -> Answer {
    world.post("/plugins/kimchi/vms/g1/migrate", body)
}

/// An error of the inherited form, with this status and id.
#[track_caller]
fn assert_error(answer: &Answer, status: u16, id: &str) {
    let body: Value = answer.json();
    let keys: Vec<&String> = body.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["code", "reason"], "{answer:#?}");
    let reason = body["reason"].as_str().expect("a reason");
    assert!(answer.status == status && reason.starts_with(&format!("{id}: ")), "{status} {id}: {answer:#?}");
    assert!(body["code"].as_str().is_some_and(|code| code.starts_with(&status.to_string())), "{answer:#?}");
}

fn hosts(world: &World) -> Vec<String> {
    let hosts: Vec<api::host::Host> = world.ferry_json(&["host", "list"]);
    hosts.into_iter().map(|host| host.name).collect()
}

#[test]
fn this_machine_is_recognised_by_whatever_name_and_a_move_is_told_as_it_was() {
    let plan = World::of("inherit").host("kvm1", Release::Bookworm).host("kvm2", Release::Bookworm);
    let world = plan.ferryd_on("kvm1").up();
    until(SOON, "its own machine is not registered by itself", || (hosts(&world) == ["kvm1"]).then_some(()));
    let kvm1 = world.host("kvm1");
    let names = format!(
        "{}{} {ALIAS}\n",
        kvm1.read("/etc/hosts").expect("names"),
        kvm1.address().expect("an address")
    );
    kvm1.write("/etc/hosts", names.as_bytes()).expect("one more name");
    let guest = world.boot(quiet("g1"), "kvm1");

    let address = kvm1.address().expect("an address");
    for here in ["kvm1", address.as_str(), "127.0.0.1", "127.0.0.2", "localhost", "::1", ALIAS] {
        let body = json!({ "remoteHost": here, "user": "root", "passwd": "lab" });
        assert_error(&migrate(&world, &body), 409, "KCHVM0055E");
    }
    refusals(&world);
    registering_twice(&world, &address);
    assert_eq!(hosts(&world), ["kvm1"], "what is refused registers nothing");
    assert!(world.tasks().is_empty(), "and becomes no task");
    world.assert_well(&guest, Expect::Running, "kvm1");

    moves(&world);
    world.assert_well(&guest, Expect::Running, "kvm2");
    // By its address now: the machine is known under its name, and that one is meant.
    let body = json!({ "remote_host": world.host("kvm2").address().expect("an address") });
    assert_error(&migrate(&world, &body), 409, "KCHVM0055E");
    assert_eq!(hosts(&world), ["kvm1", "kvm2"]);
}

/// What is wrong with a request; nothing of it may be run.
fn refusals(world: &World) {
    let dashed = json!({ "remoteHost": "kvm2", "user": "-oProxyCommand=touch /tmp/owned" });
    assert_error(&migrate(world, &dashed), 400, "KCHVM0059E");
    let dashed = json!({ "remoteHost": "-oProxyCommand=touch /tmp/owned" });
    assert_error(&migrate(world, &dashed), 400, "KCHVM0060E");
    assert!(!world.host("kvm1").path("/tmp/owned").expect("it is on").exists());
    assert_error(&migrate(world, &json!({ "remoteHost": "kvm2", "rdma": 1 })), 400, "WOKAPI0008E");
    assert_error(&migrate(world, &json!({ "remote_host": "nowhere" })), 409, "KCHVM0066E");
    let nobody = world.post("/plugins/kimchi/vms/nobody/migrate", &json!({ "remoteHost": "kvm2" }));
    assert_error(&nobody, 404, "KCHVM0002E");
}

fn registering_twice(world: &World, address: &str) {
    for host in [address, "127.0.0.1", "kvm1"] {
        let uri = format!("qemu+ssh://root@{host}/system");
        let said = world.ferry(&["--json", "host", "add", "other", &uri]).ended(1);
        let problem: api::problem::Problem = said.json();
        assert_eq!(problem.code, api::problem::Code::HostExists, "{problem:#?}");
        assert!(problem.detail.contains("registered as kvm1"), "{problem:#?}");
    }
}

/// A move, from the answer to the end of its task, in the original's words.
fn moves(world: &World) {
    let answer = migrate(world, &json!({ "remoteHost": "kvm2", "user": "root" }));
    assert_eq!(answer.status, 202, "{answer:#?}");
    let task: Value = answer.json();
    let path = format!("/plugins/kimchi/tasks/{}", task["id"].as_str().expect("an id"));
    assert_eq!(
        task,
        json!({
            "id": task["id"],
            "status": "running",
            "message": "starting a migration",
            "target_uri": "/plugins/kimchi/vms/g1/migrate",
        })
    );
    let ended: Value = until(MOVES_WITHIN, "it does not end", || {
        let now: Value = world.get(&path).json();
        (now["status"] != "running").then_some(now)
    });
    assert_eq!((&ended["status"], &ended["message"]), (&json!("finished"), &json!("Migrate finished")));
}
