//! `ferry migrate` without a terminal: exit codes, output, resuming, being interrupted.

use api::finding::Severity;
use api::problem::{Code, Problem};
use api::task::{Location, Task, TaskState};
use rustix::process::Signal;

use crate::sample::{ID, accepted, copying, done, ended, event, finding, needs_attention, queued, stream};
use crate::server::{Reply, Server};
use crate::support::{Running, ferry};

const MIGRATE: &str = "migrate web1 --to kvm2";
const POST: &str = "POST /api/v1/migrations";
const EVENTS: &str = "GET /api/v1/events";

#[test]
fn moved_is_0_with_one_summary() {
    let server = Server::start([accepted(), stream(&[queued(), copying(), copying(), done()])]);
    let options = "--from kvm1 --max-downtime 300ms --bandwidth 1GiB/s --secure";
    let output = ferry(&server, &format!("{MIGRATE} {options}"));
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(
        output.stdout,
        "\
web1: queued: Waiting for its turn.
web1: copy: Memory is copied to kvm2.
web1 runs on kvm2.
  web1: on kvm2
  total 2.31 s, downtime 23 ms, 268 MiB moved, 2 passes
"
    );
    let post = server.request();
    assert_eq!(post.header("content-type"), Some("application/json"));
    assert_eq!(
        post.json(),
        serde_json::json!({
            "vm": "web1", "source": "kvm1", "destination": "kvm2",
            "max_downtime_ms": 300, "bandwidth_mib_s": 1024, "secure": true
        })
    );
    let events = server.request();
    assert_eq!(events.line, format!("GET /api/v1/events?task={ID}&after=0"));
    assert_eq!(events.header("accept"), Some("text/event-stream"));
    assert_eq!(events.header("last-event-id"), None);
    assert_eq!(server.lines(), Vec::<String>::new());
}

#[test]
fn every_other_end_has_its_code_and_says_where_the_machine_is() {
    for (end, code, text) in [
        (ended(TaskState::Failed, Location::Source, "It failed."), 1, "  web1: on kvm1\n"),
        (ended(TaskState::Cancelled, Location::Source, "It was cancelled."), 4, "  web1: on kvm1\n"),
        (needs_attention(), 5, "Decide with one of:\n  ferry task resolve"),
    ] {
        let server = Server::start([
            accepted(),
            stream(&[queued(), end.clone()]),
            accepted(),
            stream(std::slice::from_ref(&end)),
        ]);
        let output = ferry(&server, MIGRATE);
        assert_eq!(output.code, code);
        assert!(output.stderr.starts_with(&format!("ferry: {}\n", end.message)), "{}", output.stderr);
        assert!(output.stderr.contains(text), "{}", output.stderr);
        let output = ferry(&server, &format!("{MIGRATE} --json"));
        assert_eq!(output.code, code);
        assert_eq!(serde_json::from_value::<Task>(output.json()).unwrap(), end);
    }
}

#[test]
fn refused_by_the_checks_is_3_with_everything_they_found() {
    let mut problem = Problem::new(Code::RefusedByChecks, "web1 cannot move to kvm2.");
    problem.findings = vec![finding(Severity::Note), finding(Severity::Blocker)];
    let server = Server::start([(POST, Reply::problem(&problem)), (POST, Reply::problem(&problem))]);
    let output = ferry(&server, MIGRATE);
    assert_eq!((output.code, output.stdout.as_str()), (3, ""));
    let block = |severity: &str| {
        format!(
            "\
{severity}: host kvm2: It has a virtual machine of the same UUID. [uuid-taken]
  seen: 00000000-0000-0000-0000-000000000007 is old1 there
  remedy: Remove the old one.
    on kvm2: virsh undefine old1
"
        )
    };
    let first = "ferry: web1 cannot move to kvm2. [refused-by-checks]\n";
    assert_eq!(output.stderr, format!("{first}{}{}", block("blocker"), block("note")));
    let output = ferry(&server, &format!("{MIGRATE} --json"));
    assert_eq!(output.code, 3);
    assert_eq!(output.json(), serde_json::to_value(&problem).unwrap());
}

#[test]
fn a_machine_that_is_moving_already_is_3_with_the_task() {
    let mut problem = Problem::new(Code::AlreadyMigrating, "web1 is being moved already.");
    problem.task = ID.parse().ok();
    let server = Server::start([(POST, Reply::problem(&problem))]);
    let output = ferry(&server, MIGRATE);
    assert_eq!(output.code, 3);
    assert!(output.stderr.contains(&format!("ferry task watch {ID}")), "{}", output.stderr);
}

#[test]
fn warnings_come_first() {
    let mut task = queued();
    task.findings = vec![finding(Severity::Warning)];
    let server = Server::start([(POST, Reply::json(202, &task)), stream(&[done()])]);
    let output = ferry(&server, MIGRATE);
    assert_eq!(output.code, 0);
    assert!(output.stderr.starts_with("warning: host kvm2: "), "{}", output.stderr);
}

#[test]
fn detached_is_0_at_once() {
    let server = Server::start([accepted(), accepted()]);
    let output = ferry(&server, &format!("{MIGRATE} --detach"));
    assert_eq!(output.code, 0);
    assert!(output.stdout.contains(&format!("ferry task watch {ID}")), "{}", output.stdout);
    let output = ferry(&server, &format!("{MIGRATE} --detach --json"));
    assert_eq!(serde_json::from_value::<Task>(output.json()).unwrap(), queued());
    assert_eq!(server.lines().len(), 2);
}

#[test]
fn a_broken_stream_goes_on_after_the_last_event() {
    let first = Reply::events([event(5, &queued()), event(6, &copying()), "id: 7\ndata: {\"ha".to_owned()]);
    // One break without any event, and one answer that starts over with what was seen.
    let second = Reply::events([": keep-alive\n\n".to_owned()]);
    let third = Reply::events([event(6, &copying()), event(9, &done())]);
    let server = Server::start([
        accepted(),
        (EVENTS, first),
        (EVENTS, second),
        (EVENTS, Reply::Nothing),
        (EVENTS, third),
    ]);
    let output = ferry(&server, MIGRATE);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(output.stdout.matches("web1: copy:").count(), 1, "{}", output.stdout);
    assert!(output.stderr.contains("trying again"), "{}", output.stderr);
    server.assert_used_up();
    server.request();
    assert_eq!(server.request().header("last-event-id"), None);
    for _ in 0..3 {
        let resumed = server.request();
        assert_eq!(resumed.line, format!("GET /api/v1/events?task={ID}&after=6"));
        assert_eq!(resumed.header("last-event-id"), Some("6"));
    }
}

#[test]
fn a_stream_that_is_refused_says_how_to_go_on() {
    // As of an event of another database: a wrong value, but not one that the person gave.
    let problem = Problem::new(Code::BadRequest, "There is no event 7.");
    let server = Server::start([accepted(), (EVENTS, Reply::problem(&problem))]);
    let output = ferry(&server, MIGRATE);
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("There is no event 7."), "{}", output.stderr);
    assert!(output.stderr.contains(&format!("ferry task watch {ID}")), "{}", output.stderr);
}

#[test]
fn an_answer_that_never_came_leaves_it_open() {
    let server = Server::start([(POST, Reply::Nothing)]);
    let output = ferry(&server, MIGRATE);
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("may have begun all the same: ferry task list"), "{}", output.stderr);
}

#[test]
fn a_signal_without_a_terminal_leaves_it_running() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (_feed, reply) = Reply::feed();
        let server = Server::start([accepted(), (EVENTS, reply)]);
        let mut running = Running::start(&server, MIGRATE);
        assert_eq!(running.line(), "web1: queued: Waiting for its turn.\n");
        running.signal(signal);
        let output = running.finish();
        assert_eq!(output.code, code);
        for text in
            ["goes on in ferryd", &format!("ferry task watch {ID}"), &format!("ferry task cancel {ID}")]
        {
            assert!(output.stderr.contains(text), "{text} not in {}", output.stderr);
        }
        assert!(!server.lines().iter().any(|line| line.contains("cancel")));
    }
}

#[test]
fn a_signal_with_json_still_prints_the_task() {
    let (feed, reply) = Reply::feed();
    let server = Server::start([accepted(), (EVENTS, reply)]);
    let running = Running::start(&server, &format!("{MIGRATE} --json"));
    feed.send(event(1, &copying())).unwrap();
    assert!(server.request().line.starts_with(POST));
    assert!(server.request().line.starts_with(EVENTS));
    running.signal(Signal::INT);
    let output = running.finish();
    assert_eq!(output.code, 130);
    assert_eq!(output.json()["id"], ID);
}

#[test]
fn a_signal_while_the_checks_run_says_what_is_open() {
    let (_feed, reply) = Reply::feed();
    let server = Server::start([(POST, reply)]);
    let running = Running::start(&server, MIGRATE);
    server.request();
    running.signal(Signal::TERM);
    let output = running.finish();
    assert_eq!(output.code, 143);
    assert!(output.stderr.contains("ferry task list"), "{}", output.stderr);
}
