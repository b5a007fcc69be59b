//! The doors of a `ferryd` among real hosts: what comes in wrong, who else comes in, and what changes behind its back.

mod support;

use std::time::{Duration, Instant};

use api::problem::Code;
use api::vm::{Vm, VmState};
use lab::{GuestSpec, Release};
use support::http::request;
use support::process::spawn;
use support::{World, until};

/// Events are told at once; the figures that no event tells are read every 5 s. All of the changes of the test within this time
/// each cannot be luck.
const BY_AN_EVENT: Duration = Duration::from_millis(2500);
const JSON: &str = "Content-Type: application/json\r\n";

/// A request that is wrong: method, address, headers, body, and the code and the field it is refused with.
type Wrong<'a> = (&'a str, &'a str, &'a str, &'a [u8], Code, Option<&'a str>);

const MIGRATIONS: &str = "/api/v1/migrations";
const HOSTS: &str = "/api/v1/hosts";
const NO_TASK: &str = "/api/v1/tasks/00000000-0000-0000-0000-000000000007/cancel";
const PLAIN: &str = "Content-Type: text/plain\r\n";
const GOOD: &[u8] = br#"{"vm":"a","destination":"kvm2"}"#;

const WRONG_BODIES: &[Wrong<'_>] = &[
    ("POST", MIGRATIONS, JSON, b"{", Code::BadRequest, None),
    ("POST", MIGRATIONS, JSON, b"", Code::BadRequest, None),
    ("POST", MIGRATIONS, JSON, b"[]", Code::BadRequest, None),
    ("POST", MIGRATIONS, JSON, b"\xff\xfe{}", Code::BadRequest, None),
    ("POST", MIGRATIONS, JSON, b"{}", Code::BadRequest, Some("vm")),
    ("POST", MIGRATIONS, JSON, br#"{"vm":7,"destination":"kvm2"}"#, Code::BadRequest, Some("vm")),
    ("POST", MIGRATIONS, JSON, br#"{"vm":"a","destination":"b","fast":1}"#, Code::BadRequest, Some("fast")),
    ("POST", MIGRATIONS, JSON, br#"{"vm":"","destination":"kvm2"}"#, Code::BadValue, Some("vm")),
    (
        "POST",
        MIGRATIONS,
        JSON,
        br#"{"vm":"a","destination":"kvm2","bandwidth_mib_s":0}"#,
        Code::BadValue,
        Some("bandwidth_mib_s"),
    ),
    ("POST", HOSTS, JSON, br#"{"name":"-x","uri":"qemu:///system"}"#, Code::BadValue, Some("name")),
    (
        "POST",
        HOSTS,
        JSON,
        br#"{"name":"x","uri":"qemu+ssh://-oProxyCommand=x/system"}"#,
        Code::BadValue,
        Some("uri"),
    ),
];

const WRONG_OTHERWISE: &[Wrong<'_>] = &[
    ("POST", MIGRATIONS, PLAIN, GOOD, Code::UnsupportedMediaType, None),
    ("PUT", MIGRATIONS, JSON, GOOD, Code::MethodNotAllowed, None),
    ("POST", MIGRATIONS, JSON, GOOD, Code::UnknownVm, None),
    ("GET", "/api/v1/vms?state=flying", "", b"", Code::BadRequest, Some("state")),
    ("GET", "/api/v1/tasks/7", "", b"", Code::BadRequest, Some("id")),
    ("POST", NO_TASK, "", b"", Code::UnknownTask, None),
    ("DELETE", "/api/v1/hosts/kvm9", "", b"", Code::UnknownHost, None),
    ("GET", "/api/v1/nothing", "", b"", Code::NoSuchRoute, None),
];

#[test]
fn bad_input_is_refused_with_a_reason_and_at_once() {
    let world = World::pair("doors");
    let huge = format!("{{\"vm\":\"{}\"}}", "x".repeat(4 << 20));
    let deep = "[".repeat(60_000);
    let large: [Wrong<'_>; 2] = [
        ("POST", MIGRATIONS, JSON, huge.as_bytes(), Code::TooLarge, None),
        ("POST", MIGRATIONS, JSON, deep.as_bytes(), Code::BadRequest, None),
    ];
    for (method, path, headers, body, code, field) in WRONG_BODIES.iter().chain(WRONG_OTHERWISE).chain(&large)
    {
        let asked = Instant::now();
        let answer = world.send(&request(method, path, headers, body));
        let (begins, problem) = (String::from_utf8_lossy(&body[..body.len().min(80)]), answer.problem());
        let what = format!("{method} {path} {begins}");
        assert_eq!((problem.code, problem.field.as_deref()), (*code, *field), "{what}: {problem:#?}");
        assert!((400..500).contains(&answer.status) && !problem.detail.is_empty(), "{answer:#?}");
        assert!(asked.elapsed() < Duration::from_secs(1), "{what} took {:?}", asked.elapsed());
    }
    let hosts: Vec<api::host::Host> = world.ferry_json(&["host", "list"]);
    assert_eq!(hosts.len(), 2, "what is refused registers nothing");
}

#[test]
fn a_second_ferryd_is_refused_and_the_first_goes_on() {
    let world = World::of("second").host("kvm1", Release::Bookworm).up();
    let first = world.pid_of_ferryd();
    let second = ["timeout", "20", "ferryd", "--socket", "/run/ferry/other.sock"];
    let output = spawn(world.machine(), &second).wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("another ferryd") && told.contains("/var/lib/ferry"), "{told}");
    world.register("kvm1");
    assert_eq!(world.pid_of_ferryd(), first);
}

#[test]
fn what_virsh_changes_shows_by_itself() {
    let world = World::of("events").host("kvm1", Release::Bookworm).up();
    let kvm1 = world.host("kvm1");
    let (before, late) = (GuestSpec::new("before").expect("a spec"), GuestSpec::new("late").expect("a spec"));
    let define = |spec: &GuestSpec| {
        let virsh = ["virsh", "-q", "-c", "qemu:///system", "define", "/dev/stdin"];
        kvm1.run_with_input(&virsh, spec.to_xml().as_bytes()).expect("it is defined");
    };
    define(&before);
    world.register("kvm1");
    // What was there before the host was registered is there with it.
    assert_eq!(state(&world, "before"), Some((VmState::Shutoff, true)));

    let shows = |what: &str, name: &str, wanted: Option<(VmState, bool)>| {
        until(BY_AN_EVENT, what, || (state(&world, name) == wanted).then_some(()));
    };
    define(&late);
    shows("the definition", "late", Some((VmState::Shutoff, true)));
    for (verb, wanted) in [
        ("start", Some((VmState::Running, true))),
        ("suspend", Some((VmState::Paused, true))),
        ("resume", Some((VmState::Running, true))),
        ("undefine", Some((VmState::Running, false))),
        ("destroy", None),
    ] {
        kvm1.virsh(&[verb, "late"]).expect(verb);
        shows(verb, "late", wanted);
    }
    kvm1.virsh(&["undefine", "before"]).expect("it goes");
    shows("the end of the definition", "before", None);
}

/// State and persistence of a virtual machine, as `ferry vm list` shows them.
fn state(world: &World, name: &str) -> Option<(VmState, bool)> {
    let vms: Vec<Vm> = world.ferry_json(&["vm", "list", "--host", "kvm1"]);
    vms.into_iter().find(|vm| vm.name == name).map(|vm| (vm.state, vm.persistent))
}
