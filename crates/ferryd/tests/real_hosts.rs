//! Hosts that do not answer: each way of it is told apart, in time, and costs only the request that asked for the host.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use api::host::{Host, HostState};
use api::problem::{Code, Problem};
use lab::{Daemon, GuestSpec, Release};
use serde_json::json;
use support::http::{Answer, json_request};
use support::{SOON, World, until, uri};

/// The limit of connecting, and a little for a machine that does other things meanwhile.
const REGISTERED_WITHIN: Duration = Duration::from_secs(8);
/// The limit of the checks, likewise.
const CHECKED_WITHIN: Duration = Duration::from_secs(5);
/// What others may notice of requests that wait for a silent host. (50 ms are promised, on a machine that is not busy.)
const OTHERS_WITHIN: Duration = Duration::from_millis(500);
/// An address of the lab's network that no machine has.
const NOBODY: &str = "10.77.0.99";
/// A lost connection is noticed after four probes of three seconds; then come the pauses between tries.
const NOTICED_WITHIN: Duration = Duration::from_secs(40);

/// Asks to register a host that cannot be reached; gives the problem.
#[track_caller]
fn not_registered(world: &World, host: &str) -> Problem {
    let asked = Instant::now();
    let problem: Problem = world.ferry(&["--json", "host", "add", "new", &uri(host)]).ended(1).json();
    assert!(asked.elapsed() < REGISTERED_WITHIN, "answered after {:?}: {problem:#?}", asked.elapsed());
    problem
}

#[test]
fn every_way_of_not_answering_is_told_apart_in_time() {
    let world = World::of("silent").host("kvm1", Release::Bookworm).up();
    let kvm1 = world.host("kvm1");
    let told = |host: &str, code: &str| {
        let problem = not_registered(&world, host);
        assert_eq!(problem.code, Code::HostUnreachable, "{problem:#?}");
        assert!(problem.detail.contains(&format!("({code})")), "{code}: {problem:#?}");
    };
    told("nowhere", "host-name-unknown");
    told(NOBODY, "host-no-route");

    kvm1.freeze(Daemon::Sshd).expect("SIGSTOP");
    told("kvm1", "host-timed-out");
    kvm1.thaw(Daemon::Sshd).expect("SIGCONT");
    kvm1.stop_daemon(Daemon::Sshd).expect("it ends");
    told("kvm1", "host-refused");
    kvm1.start_daemon(Daemon::Sshd).expect("it starts");

    kvm1.freeze(Daemon::Libvirtd).expect("SIGSTOP");
    told("kvm1", "host-not-answering");
    kvm1.thaw(Daemon::Libvirtd).expect("SIGCONT");
    kvm1.stop_daemon(Daemon::Libvirtd).expect("it ends");
    told("kvm1", "host-no-libvirt");
    kvm1.start_daemon(Daemon::Libvirtd).expect("it starts");

    assert!(hosts(&world).is_empty(), "what is refused registers nothing");
    world.register("kvm1");
}

#[test]
fn of_two_names_for_one_machine_at_once_one_is_refused() {
    let world = World::of("names").host("kvm1", Release::Bookworm).up();
    let address = world.host("kvm1").address().expect("an address");
    for round in 0..3 {
        let held = [("one", "kvm1"), ("other", address.as_str())].map(|(name, host)| {
            let body = json!({ "name": name, "uri": uri(host) }).to_string();
            world.hold(&json_request("POST", "/api/v1/hosts", &body))
        });
        let threads = held.map(|held| thread::spawn(move || held.let_go()));
        let mut answers = threads.map(|thread| thread.join().expect("an answer"));
        answers.sort_by_key(|answer| answer.status);
        let [registered, refused] = &answers;
        assert_eq!((registered.status, refused.status), (201, 409), "round {round}: {answers:#?}");
        let (host, problem): (Host, Problem) = (registered.json(), refused.problem());
        assert_eq!(problem.code, Code::HostExists, "{problem:#?}");
        assert!(problem.detail.contains(&format!("registered as {}", host.name)), "{problem:#?}");
        world.ferry(&["host", "remove", &host.name]).succeeded();
    }
}

fn hosts(world: &World) -> Vec<Host> {
    world.ferry_json(&["host", "list"])
}

#[test]
fn a_silent_host_costs_only_who_asks_for_it() {
    let world = World::pair("ten");
    // Never booted: only the checks are asked.
    world.lab.start_guest(&GuestSpec::new("g1").expect("a spec"), "kvm1").expect("it starts");
    until(SOON, "it does not show", || world.get("/api/v1/vms").body.contains("\"g1\"").then_some(()));
    let kvm2 = world.host("kvm2");
    let migrate =
        json_request("POST", "/api/v1/migrations", &json!({"vm": "g1", "destination": "kvm2"}).to_string());
    let add = json!({"name": "again", "uri": uri("kvm2")}).to_string();
    let add = json_request("POST", "/api/v1/hosts", &add);

    kvm2.freeze(Daemon::Libvirtd).expect("SIGSTOP");
    for answer in ten_at_once(&world, &migrate, CHECKED_WITHIN) {
        assert_eq!(finding(&answer), "host-not-answering", "{answer:#?}");
    }
    kvm2.thaw(Daemon::Libvirtd).expect("SIGCONT");

    kvm2.cut().expect("the cable is out");
    for answer in ten_at_once(&world, &migrate, CHECKED_WITHIN) {
        assert_eq!(finding(&answer), "host-not-answering", "{answer:#?}");
    }
    for answer in ten_at_once(&world, &add, REGISTERED_WITHIN) {
        assert_eq!(answer.problem().code, Code::HostUnreachable, "{answer:#?}");
    }
    let lost = until(NOTICED_WITHIN, "the loss is not noticed", || in_state(&world, HostState::Unreachable));
    assert!(lost.problem.is_some(), "{lost:#?}");
    let asked = Instant::now();
    let code = finding(&world.send(&migrate));
    assert!(["host-no-route", "host-timed-out", "host-not-answering"].contains(&code.as_str()), "{code}");
    assert!(asked.elapsed() < CHECKED_WITHIN, "answered after {:?}", asked.elapsed());

    kvm2.join().expect("the cable is in");
    until(NOTICED_WITHIN, "it is not connected again by itself", || in_state(&world, HostState::Connected));
    assert!(world.tasks().is_empty(), "what is refused becomes no task");
}

/// kvm2, if it is in this state.
fn in_state(world: &World, state: HostState) -> Option<Host> {
    hosts(world).into_iter().find(|host| host.name == "kvm2" && host.state == state)
}

/// The code of the only finding of a refusal.
#[track_caller]
fn finding(answer: &Answer) -> String {
    let problem = answer.problem();
    let [finding] = problem.findings.as_slice() else { panic!("{problem:#?}") };
    finding.code.clone()
}

/// Sends a request ten times at once and reads the virtual machines over and over until all are answered, which has to be within
/// the limit.
fn ten_at_once(world: &World, request: &[u8], limit: Duration) -> Vec<Answer> {
    let held: Vec<_> = (0..10).map(|_| world.hold(request)).collect();
    let begun = Instant::now();
    let threads: Vec<_> =
        held.into_iter().map(|held| thread::spawn(move || (held.let_go(), begun.elapsed()))).collect();
    let (mut reads, mut slowest) = (0, Duration::ZERO);
    while !threads.iter().all(thread::JoinHandle::is_finished) {
        let asked = Instant::now();
        assert_eq!(world.get("/api/v1/vms").status, 200);
        slowest = slowest.max(asked.elapsed());
        reads += 1;
    }
    println!("{reads} reads meanwhile, the slowest after {slowest:?}");
    assert!(slowest < OTHERS_WITHIN, "others waited {slowest:?}");
    let ended: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("an answer")).collect();
    let last = ended.iter().map(|(_, after)| *after).max().unwrap_or_default();
    assert!(last < limit, "the last was answered after {last:?}");
    assert!(reads > 10, "there was something to wait for");
    ended.into_iter().map(|(answer, _)| answer).collect()
}
