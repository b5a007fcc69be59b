//! The ways that memory travels: encrypted, over several connections, compressed, by a network of its own, with ferryd in between; and a
//! limit of the bandwidth that changes meanwhile.

mod support;

use api::plan::PlanReport;
use api::task::{Location, Task, TaskState};
use lab::{Expect, Release};
use support::guest::{Guest, TOO_SLOW, busy, quiet};
use support::images::sh;
use support::tasks::{is_copying, is_midway};
use support::{SOON, World, releases, uri};

/// More than a busy guest rewrites.
const ENOUGH: &str = "400MiB/s";
/// Addresses of the hosts in a network of its own.
const OWN: [(&str, &str); 2] = [("kvm1", "10.9.0.1"), ("kvm2", "10.9.0.2")];
const OWN_NETWORK: &str = "10.9.0.0/24";

/// Gives both hosts a second address.
fn with_own_network(world: &World) {
    for (host, address) in OWN {
        sh(&world.host(host), &format!("ip addr add {address}/24 dev br0"));
    }
}

/// Makes certificates on ferryd's machine, and copies them as they tell to. `authority` is where they are made.
fn certify(world: &World, authority: &str, hosts: &[&str]) {
    let line = [&["ferryd", "tls", "init", "--dir", authority], hosts].concat();
    let told = world.machine().run(&line).expect("certificates");
    let commands: Vec<&str> = told.lines().filter(|line| line.starts_with("  scp ")).collect();
    assert_eq!(commands.len(), hosts.len(), "{told}");
    for command in commands {
        sh(world.machine(), command);
    }
}

/// Connections of QEMU's on kvm1 to the ports that migrations are received on: where they lead.
fn streams(world: &World) -> Vec<String> {
    let filter = "ss -Htn state established '( dport >= :49152 and dport <= :49215 and sport != :22 )'";
    let told = sh(&world.host("kvm1"), filter);
    let peers = told.lines().filter_map(|line| line.split_whitespace().nth(3));
    peers.map(|peer| peer.trim_start_matches("[::ffff:").replace(']', "")).collect()
}

fn plan(world: &World, options: &[&str]) -> PlanReport {
    world.ferry_json(&[&["migrate", "g1", "--to", "kvm2", "--plan"], options].concat())
}

#[track_caller]
fn assert_planned(plan: &PlanReport, flags: &[&str], parameters: &[(&str, &str)]) {
    for flag in flags {
        assert!(plan.libvirt_flags.iter().any(|planned| planned == flag), "{flag}: {plan:#?}");
    }
    for (name, value) in parameters {
        let planned = (String::from(*name), String::from(*value));
        assert!(plan.libvirt_parameters.contains(&planned), "{planned:?}: {plan:#?}");
    }
}

/// Begins to move a busy guest, too slowly to end; what is seen meanwhile; then lets it end, and it is well on kvm2.
fn move_watched<T>(world: &World, guest: &Guest, options: &[&str], look: impl FnOnce() -> T) -> T {
    let line = [&["g1", "--to", "kvm2", "--bandwidth", TOO_SLOW], options].concat();
    let migrating = world.begin_migrate(&line);
    world.wait_task(migrating.task, "it copies", is_copying);
    let seen = look();
    world.ferry(&["task", "set", &migrating.task.to_string(), "--bandwidth", ENOUGH]).succeeded();
    migrating.end().succeeded();
    world.assert_well(guest, Expect::Running, "kvm2");
    seen
}

#[test]
fn encrypted_over_several_connections_by_its_own_network() {
    let world = World::pair("tls");
    let guest = world.boot(busy("g1"), "kvm1");
    with_own_network(&world);
    let options = ["--tls", "--parallel", "3", "--via", OWN_NETWORK];
    let asked = [&["migrate", "g1", "--to", "kvm2"][..], &options].concat();
    world.ferry(&asked).ended(3).says("tls-certificates-missing").says("ferryd tls init");

    // Two authorities: neither trusts the other.
    certify(&world, "/root/one", &["kvm1"]);
    certify(&world, "/root/other", &["kvm2"]);
    world.ferry(&asked).ended(3).says("tls-other-authority");
    // Made out to somebody else.
    certify(&world, "/root/one", &["kvm2,10.9.0.2"]);
    sh(&world.host("kvm2"), "cp -r /etc/pki /etc/pki.right");
    sh(
        world.machine(),
        "ferryd tls init --dir /root/one kvm9 >/dev/null; scp -rpq /root/one/hosts/kvm9/etc/pki root@kvm2:/etc/",
    );
    world.ferry(&asked).ended(3).says("tls-name-mismatch");
    sh(&world.host("kvm2"), "cp -r /etc/pki.right/. /etc/pki/");

    let flags = ["VIR_MIGRATE_TLS", "VIR_MIGRATE_PARALLEL", "VIR_MIGRATE_PEER2PEER"];
    let uri = ("migrate_uri", "tcp://10.9.0.2");
    assert_planned(
        &plan(&world, &options),
        &flags,
        &[uri, ("listen_address", "10.9.0.2"), ("tls.destination", "kvm2"), ("parallel.connections", "3")],
    );
    let peers = move_watched(&world, &guest, &options, || streams(&world));
    assert_eq!(peers.len(), 4, "one, and three for the memory: {peers:?}");
    assert!(peers.iter().all(|peer| peer.starts_with("10.9.0.2:")), "{peers:?}");
}

#[test]
fn over_several_connections_and_nothing_else() {
    let world = World::pair("parallel");
    let guest = world.boot(busy("g1"), "kvm1");
    assert_planned(
        &plan(&world, &["--parallel", "2"]),
        &["VIR_MIGRATE_PARALLEL"],
        &[("parallel.connections", "2")],
    );
    let peers = move_watched(&world, &guest, &["--parallel", "2"], || streams(&world));
    assert_eq!(peers.len(), 3, "{peers:?}");
}

#[test]
fn compressed() {
    let world = World::pair("compress");
    let guest = world.boot(quiet("g1"), "kvm1");
    // libvirt 9.0 does not know it.
    if releases([Release::Bookworm, Release::Bookworm]).contains(&Release::Bookworm) {
        world
            .ferry(&["migrate", "g1", "--to", "kvm2", "--parallel", "2", "--compress", "zstd"])
            .ended(3)
            .says("transport-unsupported");
    }
    let planned = plan(&world, &["--compress", "xbzrle"]);
    assert_planned(&planned, &["VIR_MIGRATE_COMPRESSED"], &[("compression", "xbzrle")]);
    world.ferry(&["migrate", "g1", "--to", "kvm2", "--compress", "xbzrle"]).succeeded();
    world.assert_well(&guest, Expect::Running, "kvm2");
    let told = world.host("kvm2").virsh(&["domjobinfo", "g1", "--completed"]).expect("figures");
    assert!(told.contains("Compression cache"), "{told}");
}

#[test]
fn compressed_over_several_connections_where_both_are_new() {
    let world = World::of("zstd").host("kvm1", Release::Trixie).host("kvm2", Release::Trixie).up();
    world.register("kvm1");
    world.register("kvm2");
    let guest = world.boot(quiet("g1"), "kvm1");
    let options = ["--parallel", "2", "--compress", "zstd"];
    assert_planned(&plan(&world, &options), &["VIR_MIGRATE_COMPRESSED"], &[("compression", "zstd")]);
    world.ferry(&[&["migrate", "g1", "--to", "kvm2"], &options[..]].concat()).succeeded();
    world.assert_well(&guest, Expect::Running, "kvm2");
    // QEMU has forgotten it, and says so itself.
    world
        .ferry(&["migrate", "g1", "--to", "kvm1", "--compress", "mt"])
        .ended(3)
        .says("transport-unsupported")
        .says("/usr/bin/qemu-system-x86_64 does not have the migration capability compress");
    // One that was built without Zstandard, whatever its version: what a host's QEMU says counts.
    let kvm1 = world.host("kvm1");
    sh(
        &kvm1,
        r#"mv /usr/bin/qemu-system-x86_64 /usr/bin/qemu-system-x86_64.real
           printf '#!/bin/sh\n/usr/bin/qemu-system-x86_64.real "$@" | sed "s/, \\"zstd\\"//g"\n' >/usr/bin/qemu-system-x86_64
           chmod 755 /usr/bin/qemu-system-x86_64"#,
    );
    let without = [&["check", "g1", "--to", "kvm1"], &options[..]].concat();
    world.ferry(&without).ended(3).says("does not have multifd-compression=zstd");
    sh(&kvm1, "mv /usr/bin/qemu-system-x86_64.real /usr/bin/qemu-system-x86_64");
    world.ferry(&without).ended(0);
}

#[test]
fn by_a_network_of_its_own_that_the_host_was_registered_with() {
    let [source, destination] = releases([Release::Bookworm, Release::Bookworm]);
    let world = World::of("via").host("kvm1", source).host("kvm2", destination).up();
    world.register("kvm1");
    world.ferry(&["host", "add", "kvm2", &uri("kvm2"), "--migrate-via", OWN_NETWORK]).succeeded();
    world.ferry(&["host", "show", "kvm2"]).succeeded().says(OWN_NETWORK);
    let guest = world.boot(busy("g1"), "kvm1");
    world.ferry(&["migrate", "g1", "--to", "kvm2"]).ended(3).says("via-missing");
    with_own_network(&world);
    world.ferry(&["migrate", "g1", "--to", "kvm2", "--via", "10.8.0.0/24"]).ended(3).says("via-missing");
    assert_planned(&plan(&world, &[]), &[], &[("migrate_uri", "tcp://10.9.0.2")]);
    let peers = move_watched(&world, &guest, &[], || streams(&world));
    assert!(!peers.is_empty() && peers.iter().all(|peer| peer.starts_with("10.9.0.2:")), "{peers:?}");
}

/// The source's root gets in nowhere any more.
fn without_key(world: &World) {
    sh(&world.host("kvm1"), "mv /root/.ssh/id_ed25519 /root/.ssh/was");
}

#[test]
fn with_ferryd_in_between_where_the_source_gets_in_nowhere() {
    let world = World::pair("direct");
    let guest = world.boot(quiet("g1"), "kvm1");
    without_key(&world);
    world.ferry(&["migrate", "g1", "--to", "kvm2"]).ended(3).says("peer-login-denied");
    let planned = plan(&world, &["--direct"]);
    assert!(!planned.libvirt_flags.iter().any(|flag| flag == "VIR_MIGRATE_PEER2PEER"), "{planned:#?}");
    assert_planned(&planned, &["VIR_MIGRATE_PAUSED"], &[]);
    let task: Task = world.ferry_json(&["migrate", "g1", "--to", "kvm2", "--direct"]);
    let outcome = task.outcome.expect("it ended");
    assert_eq!((task.state, outcome.location), (TaskState::Done, Location::Destination));
    assert!(outcome.downtime_ms.is_some(), "{outcome:?}");
    guest.log.wait_next_tick("kvm2", SOON).expect("it runs on");
    world.assert_well(&guest, Expect::Running, "kvm2");
}

#[test]
fn with_ferryd_in_between_a_cancelled_one_stays() {
    let world = World::pair("directoff");
    let guest = world.boot(busy("g1"), "kvm1");
    let migrating = world.begin_migrate(&["g1", "--to", "kvm2", "--direct", "--bandwidth", TOO_SLOW]);
    world.wait_task(migrating.task, "a later pass", is_midway);
    world.ferry(&["task", "cancel", &migrating.task.to_string()]).succeeded();
    migrating.end().ended(4);
    world.assert_well(&guest, Expect::Running, "kvm1");
}

#[test]
fn with_ferryd_in_between_its_death_costs_no_machine() {
    let world = World::pair("directdies");
    let guest = world.boot(busy("g1"), "kvm1");
    // In the middle of the copy: libvirt gives it up.
    let line = ["migrate", "g1", "--to", "kvm2", "--direct", "--bandwidth", TOO_SLOW, "--detach"];
    let task: Task = world.ferry_json(&line);
    world.wait_task(task.id, "a later pass", is_midway);
    world.kill_ferryd();
    world.start_ferryd();
    let task = world.wait_settled(task.id);
    let location = task.outcome.as_ref().map(|outcome| outcome.location);
    assert_eq!((task.state, location), (TaskState::Failed, Some(Location::Source)), "{task:#?}");
    assert!(task.cause.as_deref().is_some_and(|cause| cause.contains("--direct")), "{task:#?}");
    world.assert_well(&guest, Expect::Running, "kvm1");
}

#[test]
fn with_ferryd_in_between_its_death_at_the_hand_over_is_gone_on_from() {
    let world = World::pair("directhand");
    let mut guest = world.boot(quiet("g1"), "kvm1");
    let mut at = "kvm1";
    for moment in
        ["resume-destination:BeforeIntent", "resume-destination:AfterIntent", "perform:BeforeResult"]
    {
        let to = if at == "kvm1" { "kvm2" } else { "kvm1" };
        world.restart_ferryd_with(&[("FERRYD_DIE_AT", moment)]);
        world.wait_listed("it is not known", |listed| listed.name == "g1" && listed.host == at);
        let task: Task = world.ferry_json(&["migrate", "g1", "--to", to, "--direct", "--detach"]);
        world.wait_ferryd_ends(support::tasks::MOVES_WITHIN);
        world.start_ferryd();
        let task = world.wait_settled(task.id);
        assert_eq!(task.state, TaskState::Done, "{moment}: {task:#?}");
        world.assert_well(&guest, Expect::Running, to);
        world.look_anew(&mut guest);
        at = to;
    }
}

#[test]
fn by_rdma_only_where_there_is_a_device_for_it() {
    let world = World::pair("rdma");
    let guest = world.boot(quiet("g1"), "kvm1");
    let said = world.ferry(&["migrate", "g1", "--to", "kvm2", "--rdma"]).ended(3);
    let said = said.says("rdma-missing").says("/sys/class/infiniband");
    said.says("rdma-no-hard-limit");
    // What does not go together is told before any host is asked.
    for (options, why) in [
        (&["--secure", "--tls"][..], "tls and secure exclude each other"),
        (&["--secure", "--direct"], "direct and secure exclude each other"),
        (&["--rdma", "--parallel", "2"], "rdma and parallel exclude each other"),
        (&["--zerocopy"], "zerocopy needs parallel"),
    ] {
        world.ferry(&[&["migrate", "g1", "--to", "kvm2"], options].concat()).ended(2).says(why);
        world.ferry(&[&["check", "g1", "--to", "kvm2"], options].concat()).ended(2).says(why);
    }
    assert!(world.tasks().is_empty(), "what is refused becomes no task");
    world.assert_well(&guest, Expect::Running, "kvm1");
}

/// What libvirt on a host remembers as the limit of the guest's migrations.
fn limit(world: &World, host: &str) -> u64 {
    let told = world.host(host).virsh(&["migrate-getspeed", "g1"]).expect("a speed");
    told.trim().parse().expect("a number")
}

#[test]
fn a_limit_that_changes_meanwhile_holds_at_once() {
    let world = World::pair("limit");
    let mut guest = world.boot(busy("g1"), "kvm1");
    let before = limit(&world, "kvm1");
    let line = ["migrate", "g1", "--to", "kvm2", "--bandwidth", TOO_SLOW, "--detach"];

    // One that is cancelled leaves no limit behind.
    let task: Task = world.ferry_json(&line);
    let id = task.id.to_string();
    assert_eq!(task.bandwidth_mib_s, Some(16));
    world.wait_task(task.id, "a later pass", is_midway);
    let changed: Task = world.ferry_json(&["task", "set", &id, "--bandwidth", "17MiB/s"]);
    assert_eq!(changed.bandwidth_mib_s, Some(17), "{changed:#?}");
    assert_eq!(limit(&world, "kvm1"), 17);
    world.ferry(&["task", "cancel", &id]).succeeded();
    let task = world.wait_settled(task.id);
    assert_eq!(task.state, TaskState::Cancelled, "{task:#?}");
    let now = limit(&world, "kvm1");
    assert_eq!(now, before, "the old limit is back");
    world.ferry(&["task", "set", &id, "--bandwidth", "5MiB/s"]).ended(1).says("does not copy any more");
    world.look_anew(&mut guest);

    // One that could never end does.
    let task: Task = world.ferry_json(&line);
    world.wait_task(task.id, "a later pass", is_midway);
    // A ferryd that was started again goes on with it, and takes the new limit as well.
    world.kill_ferryd();
    world.start_ferryd();
    let said = world.ferry(&["task", "set", &task.id.to_string(), "--bandwidth", ENOUGH]).succeeded();
    said.says("400 MiB/s");
    let task = world.wait_settled(task.id);
    assert_eq!(task.state, TaskState::Done, "{task:#?}");
    world.assert_well(&guest, Expect::Running, "kvm2");
}
