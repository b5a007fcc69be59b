//! What speaks against a migration is found before anything moves, all of it is told, and nothing is touched.

mod support;

use api::finding::{Finding, Severity};
use api::problem::{Code, Problem};
use lab::{DiskSpec, Expect, GuestSpec, Host};
use support::guest::{Guest, busy, quiet};
use support::process::spawn;
use support::{SOON, World, until};

/// A device of the host, given to a guest.
/// Defines a guest without starting it.
fn define(host: &Host, spec: &GuestSpec) {
    let virsh = ["virsh", "-q", "-c", "qemu:///system", "define", "/dev/stdin"];
    host.run_with_input(&virsh, spec.to_xml().as_bytes()).expect("it is defined");
}

/// Asks for a migration that the checks refuse; gives the problem, whose findings are all blockers that help.
#[track_caller]
fn refused(world: &World, arguments: &[&str]) -> Problem {
    let said = world.ferry(&[&["--json", "migrate"], arguments].concat()).ended(3);
    let problem: Problem = said.json();
    assert_eq!(problem.code, Code::RefusedByChecks, "{problem:#?}");
    let helps = |finding: &Finding| {
        finding.severity == Severity::Blocker && !finding.evidence.is_empty() && finding.remedy.is_some()
    };
    assert!(problem.findings.iter().all(helps), "{problem:#?}");
    problem
}

#[track_caller]
fn assert_findings(world: &World, arguments: &[&str], codes: &[&str]) {
    let problem = refused(world, arguments);
    let mut found: Vec<&str> = problem.findings.iter().map(|finding| finding.code.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, codes, "{problem:#?}");
}

#[test]
fn every_reason_is_told_and_nothing_is_touched() {
    let world = World::pair("refuse");
    let (kvm1, kvm2) = (world.host("kvm1"), world.host("kvm2"));
    let guest = world.boot(quiet("g1"), "kvm1");

    said_plainly(&world);
    assert_findings(&world, &["g1", "--to", "kvm1"], &["same-host"]);

    let mut stopped = GuestSpec::new("stopped").expect("a spec");
    // Defined, and never made.
    stopped.disk = Some(DiskSpec::in_pool("stopped", 16));
    define(&kvm1, &stopped);
    define(&kvm2, &GuestSpec::new("stopped").expect("another of that name"));
    let all = ["disk-not-shared", "disk-source-missing", "name-taken"];
    until(SOON, "the stopped one does not show", || known(&world, &stopped.uuid).then_some(()));
    assert_findings(&world, &[&stopped.uuid, "--to", "kvm2"], &all);

    define(&kvm2, &GuestSpec::new("g1").expect("another g1"));
    assert_findings(&world, &["g1", "--from", "kvm1", "--to", "kvm2"], &["name-taken"]);
    kvm2.virsh(&["undefine", "g1"]).expect("it goes");
    let twin = GuestSpec { name: "twin".to_owned(), ..guest.spec.clone() };
    define(&kvm2, &twin);
    assert_findings(&world, &["g1", "--to", "kvm2"], &["uuid-taken"]);
    kvm2.virsh(&["undefine", "twin"]).expect("it goes");

    assert!(world.tasks().is_empty(), "what is refused becomes no task");
    kvm1.virsh(&["undefine", "stopped"]).expect("it is there as before");
    kvm2.virsh(&["undefine", "stopped"]).expect("the other one, too");
    world.assert_well(&guest, Expect::Running, "kvm1");
    world.ferry(&["migrate", "g1", "--to", "kvm2"]).succeeded();
    world.assert_well(&guest, Expect::Running, "kvm2");
}

/// What is wrong with the words of the request, by its exit code.
fn said_plainly(world: &World) {
    for (arguments, code) in [
        (&["migrate", "nobody", "--to", "kvm2"][..], Code::UnknownVm),
        (&["migrate", "g1", "--to", "kvm9"], Code::UnknownHost),
        (&["migrate", "g1", "--from", "kvm9", "--to", "kvm2"], Code::UnknownHost),
        (&["migrate", "g1", "--from", "kvm2", "--to", "kvm1"], Code::UnknownVm),
    ] {
        let problem: Problem = world.ferry(&[&["--json"], arguments].concat()).ended(2).json();
        assert_eq!(problem.code, code, "{problem:#?}");
    }
    for wrong in [
        &["migrate", "g1"][..],
        &["migrate", "--to", "kvm2"],
        &["migrate", "-oProxyCommand=touch /tmp/x", "--to", "kvm2"],
        &["migrate", "g1", "--to", "-oProxyCommand=touch /tmp/x"],
        &["migrate", "g1", "--to", "kvm2", "--bandwidth", "0MiB/s"],
        &["migrate", "g1", "--to", "kvm2", "--max-downtime", "soon"],
        &["host", "add", "a b", "qemu:///system"],
        &["host", "add", "x", "qemu+ssh://-oProxyCommand=x/system"],
    ] {
        world.ferry(wrong).ended(2);
    }
}

fn known(world: &World, uuid: &str) -> bool {
    let vms: Vec<api::vm::Vm> = world.ferry_json(&["vm", "list"]);
    vms.iter().any(|vm| vm.uuid.to_string() == uuid)
}

#[test]
fn a_guest_with_a_job_is_left_alone() {
    let world = World::pair("job");
    let mut spec = busy("g1");
    // Of its arguments for QEMU the checks would warn, too; and one pass is all that it comes to.
    spec.every_page_counts = false;
    let guest = world.boot(spec, "kvm1");
    let kvm1 = world.host("kvm1");

    let virsh =
        ["virsh", "-q", "-c", "qemu:///system", "migrate", "--live", "--p2p", "--bandwidth", "2", "g1"];
    let mut moving = spawn(&kvm1, &[&virsh[..], &["qemu+ssh://kvm2/system"]].concat());
    until(SOON, "virsh does not begin", || running_job(&kvm1).then_some(()));
    // libvirt has made the copy on the destination: that is found, too.
    assert_findings(&world, &["g1", "--from", "kvm1", "--to", "kvm2"], &["job-active", "uuid-taken"]);
    kvm1.virsh(&["domjobabort", "g1"]).expect("it stops");
    moving.wait().expect("virsh ends");
    assert_unmoved(&world, &guest);

    world.ferry(&["migrate", "g1", "--to", "kvm2"]).succeeded();
    world.assert_well(&guest, Expect::Running, "kvm2");
}

fn running_job(host: &Host) -> bool {
    host.virsh(&["domjobinfo", "g1"]).is_ok_and(|info| info.contains("Memory processed:"))
}

fn assert_unmoved(world: &World, guest: &Guest) {
    world.assert_well(guest, Expect::Running, "kvm1");
    assert!(world.tasks().is_empty(), "what is refused becomes no task");
}
