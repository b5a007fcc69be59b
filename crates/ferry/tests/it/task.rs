//! `ferry task`

use api::problem::{Code, Problem};
use api::task::{Task, TaskState};

use crate::sample::{ID, copying, done, event, needs_attention, queued, stream};
use crate::server::{Reply, Server};
use crate::support::ferry;

const TASKS: &str = "GET /api/v1/tasks";
const TASK: &str = "GET /api/v1/tasks/0198c0a1-b2c3-7000-8000-000000000001";
const EVENTS: &str = "GET /api/v1/events";

fn other() -> Task {
    let id = "0198c0a1-b2c4-7000-8000-000000000001".parse().unwrap();
    Task { id, vm: "db".to_owned(), ..done() }
}

#[test]
fn only_those_under_way_are_listed_unless_all_are_asked_for() {
    let list = [copying(), other()];
    let server = Server::start([
        (TASKS, Reply::json(200, &list[..1])),
        (TASKS, Reply::json(200, &list)),
        (TASKS, Reply::json(200, &list)),
        (TASKS, Reply::json(200, &Vec::<Task>::new())),
    ]);
    let output = ferry(&server, "task list");
    assert!(
        output.stdout.contains("\n0198c0a1-b2c3  web1  kvm1  kvm2  running  copy   44 MiB"),
        "{}",
        output.stdout
    );
    assert_eq!(ferry(&server, "task list --all").stdout.lines().count(), 3);
    assert_eq!(ferry(&server, "task list --all --json").json(), serde_json::to_value(&list).unwrap());
    assert!(ferry(&server, "task list").stdout.starts_with("No task is under way"));
    assert_eq!(server.lines()[..2], ["GET /api/v1/tasks?active=true", "GET /api/v1/tasks"]);
}

#[test]
fn ids_may_be_cut_as_long_as_they_are_unique() {
    let list = || (TASKS, Reply::json(200, &[queued(), other()]));
    let server = Server::start([list(), list(), list(), (TASK, Reply::json(200, &done()))]);
    let output = ferry(&server, "task show 0198c0a1-b2c3 --json");
    assert_eq!(output.json(), serde_json::to_value(queued()).unwrap());
    let output = ferry(&server, "task show 0198");
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("(web1)") && output.stderr.contains("(db)"), "{}", output.stderr);
    let output = ferry(&server, "task show 0199");
    assert_eq!(output.code, 2);
    assert_eq!(output.stderr, "ferry: no task's id begins with 0199; see ferry task list --all\n");
    let output = ferry(&server, &format!("task show {ID}"));
    assert_eq!(output.code, 0);
    assert!(output.stdout.contains("\nlocation  on kvm2\n"), "{}", output.stdout);
}

#[test]
fn cancel_and_resolve_say_how_to_see_the_end() {
    let cancel = "POST /api/v1/tasks/0198c0a1-b2c3-7000-8000-000000000001/cancel";
    let resolve = "POST /api/v1/tasks/0198c0a1-b2c3-7000-8000-000000000001/resolve";
    let server = Server::start([
        (cancel, Reply::json(202, &copying())),
        (cancel, Reply::problem(&Problem::new(Code::TooLate, "It has ended."))),
        (resolve, Reply::json(202, &needs_attention())),
    ]);
    let output = ferry(&server, &format!("task cancel {ID}"));
    assert_eq!(output.code, 0);
    assert!(output.stdout.contains(&format!("ferry task watch {ID}")), "{}", output.stdout);
    let output = ferry(&server, &format!("task cancel {ID}"));
    assert_eq!((output.code, output.stderr.as_str()), (1, "ferry: It has ended. [too-late]\n"));
    let output = ferry(&server, &format!("task resolve {ID} --keep destination --fenced --json"));
    assert_eq!(output.json(), serde_json::to_value(needs_attention()).unwrap());
    assert_eq!(server.request().body, "");
    server.request();
    assert_eq!(server.request().json(), serde_json::json!({"keep": "destination", "fenced": true}));
}

#[test]
fn watching_goes_past_what_was_resolved_in_between() {
    let mut resolved = copying();
    resolved.updated_at_ms = 1_002_400;
    let mut end = done();
    end.updated_at_ms = 1_002_500;
    let history = [queued(), needs_attention(), resolved.clone(), end.clone()];
    let script = || {
        [
            (TASK, Reply::json(200, &resolved)),
            stream(&history),
            // Asked at each event that could be the last.
            (TASK, Reply::json(200, &resolved)),
            (TASK, Reply::json(200, &end)),
        ]
    };
    let server = Server::start(script());
    let output = ferry(&server, &format!("task watch {ID}"));
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert!(output.stdout.ends_with("2 passes\n"), "{}", output.stdout);
    // What was before is not told as if it happened now.
    assert!(!output.stdout.contains("queued"), "{}", output.stdout);
    let server = Server::start(script());
    let output = ferry(&server, &format!("task watch {ID} --json"));
    let ids: Vec<_> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].clone())
        .collect();
    assert_eq!(ids, [1, 2, 3, 4]);
    server.assert_used_up();
}

#[test]
fn a_task_that_has_ended_is_summed_up_at_once() {
    let server =
        Server::start([(TASK, Reply::json(200, &done())), (TASK, Reply::json(200, &needs_attention()))]);
    let output = ferry(&server, &format!("task watch {ID}"));
    assert_eq!(output.code, 0);
    assert!(output.stdout.starts_with("web1 runs on kvm2.\n"), "{}", output.stdout);
    let output = ferry(&server, &format!("task watch {ID}"));
    assert_eq!(output.code, 5);
    assert!(output.stderr.contains("--keep source"), "{}", output.stderr);
}

#[test]
fn the_history_of_a_task_that_has_ended_is_printed_to_its_end() {
    let (_feed, endless) = Reply::feed();
    let (feed, gone) = Reply::feed();
    drop(feed);
    for (reply, lines) in [
        (stream(&[queued(), copying(), done()]).1, 3),
        // Tidied away: the connection ends, or stays silent.
        (gone, 0),
        (endless, 0),
    ] {
        let server = Server::start([(TASK, Reply::json(200, &done())), (EVENTS, reply)]);
        let output = ferry(&server, &format!("task watch {ID} --json"));
        assert_eq!((output.code, output.stdout.lines().count()), (0, lines), "{output:?}");
    }
}

#[test]
fn a_failed_task_is_shown_with_0_and_watched_with_1() {
    let mut failed = done();
    failed.state = TaskState::Failed;
    failed.cause = Some("libvirt 38: no route".to_owned());
    let server = Server::start([
        (TASK, Reply::json(200, &failed)),
        (TASK, Reply::json(200, &copying())),
        (EVENTS, Reply::events([event(1, &failed)])),
        (TASK, Reply::json(200, &failed)),
    ]);
    let output = ferry(&server, &format!("task show {ID}"));
    assert_eq!(output.code, 0);
    assert!(output.stdout.contains("libvirt 38: no route"));
    let output = ferry(&server, &format!("task watch {ID}"));
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("  cause: libvirt 38: no route\n"), "{}", output.stderr);
}

#[test]
fn a_limit_is_told_as_it_holds() {
    let limited = Task { bandwidth_mib_s: Some(400), ..copying() };
    let server = Server::start([
        ("PATCH /api/v1/tasks/0198c0a1-b2c3-7000-8000-000000000001", Reply::json(200, &limited)),
        ("PATCH /api/v1/tasks/0198c0a1-b2c3-7000-8000-000000000001", Reply::json(200, &copying())),
    ]);
    let output = ferry(&server, &format!("task set {ID} --bandwidth 400MiB/s"));
    assert_eq!(output.stdout, "The migration of web1 uses at most 400 MiB/s from now on.\n");
    let output = ferry(&server, &format!("task set {ID} --bandwidth 400MiB/s"));
    assert!(output.stdout.contains("as soon as it copies"), "{}", output.stdout);
    assert_eq!(ferry(&server, &format!("task set {ID}")).code, 2, "there is nothing to set");
}
