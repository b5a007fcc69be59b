//! What the tests of the inherited interface on real hosts share.

use std::time::Duration;

use lab::Release;
use serde_json::{Value, json};
use uuid::Uuid;

use super::guest::{Guest, busy};
use super::http::{Answer, json_request, request};
use super::images::HeldImage;
use super::recorded::{Exchange, Given, NO_TASK, Recorded};
use super::tasks::is_copying;
use super::{Plan, SOON, World, until, uri};

/// What the destination was called when the exchanges were recorded.
pub(crate) const DESTINATION: &str = "kim-h2";

/// A link on which a busy guest never arrives.
pub(crate) const SLOW_LINK_MBIT: u32 = 128;

/// A host does what these tests ask of it in seconds; one that does other things meanwhile takes longer.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// A world whose `ferryd` runs on its host kvm1, as Kimchi did on its own.
pub(crate) fn at_home(plan: Plan) -> World {
    let world = plan.ferryd_on("kvm1").up();
    until(SOON, "its own machine is not registered by itself", || {
        world.ferry(&["host", "list"]).stdout.contains("kvm1").then_some(())
    });
    world
}

/// Such a world with two hosts; `ferryd` knows kvm1 alone, as Kimchi knew its own machine alone.
pub(crate) fn two_at_home(test: &'static str) -> World {
    at_home(World::of(test).host("kvm1", Release::Bookworm).host("kvm2", Release::Bookworm))
}

/// The same; kvm2 is registered as the destination was called.
pub(crate) fn with_destination(test: &'static str) -> World {
    let world = two_at_home(test);
    world.ferry(&["host", "add", DESTINATION, &uri("kvm2")]).succeeded();
    world
}

/// Gives kvm2 the destination's name on kvm1, and has root there trust it under that.
pub(crate) fn name_destination(world: &World) {
    let (here, there) = (world.host("kvm1"), world.host("kvm2"));
    let append = |file: &str, more: &str| {
        here.write(file, format!("{}{more}\n", here.read(file).expect(file)).as_bytes()).expect(file);
    };
    append("/etc/hosts", &format!("{} {DESTINATION}", there.address().expect("an address")));
    let key = there.read("/etc/ssh/ssh_host_ed25519_key.pub").expect("its key");
    append("/root/.ssh/known_hosts", &format!("{DESTINATION} {}", key.trim()));
}

/// The bytes of a request as it was recorded, but for who asks: at the socket that is root.
pub(crate) fn as_recorded(exchange: &Exchange) -> Vec<u8> {
    let (method, path) = (&exchange.method, &exchange.path);
    match (&exchange.body, &exchange.content_type) {
        (Some(body), _) if exchange.name == "32f-no-content-type" => {
            request(method, path, "", body.as_bytes())
        }
        (Some(body), Some(of)) => request(method, path, &format!("Content-Type: {of}\r\n"), body.as_bytes()),
        (Some(body), None) => json_request(method, path, body),
        (None, _) if exchange.name == "27d-no-body" => {
            format!("{method} {path} HTTP/1.1\r\nHost: ferry\r\nConnection: close\r\n\r\n").into_bytes()
        }
        (None, _) => request(method, path, "", b""),
    }
}

/// The answer is as it was recorded, or as the listed difference says.
#[track_caller]
pub(crate) fn assert_kept(exchange: &Exchange, answer: &Answer) {
    let header = |name: &str| answer.header(name);
    exchange.assert_kept(&Given { status: answer.status, header: &header, body: answer.body.as_bytes() });
}

/// Sends what was recorded; the answer is as it was recorded, or as the listed difference says.
#[track_caller]
pub(crate) fn replay(world: &World, exchange: &Exchange) -> Answer {
    let answer = world.send(&as_recorded(exchange));
    assert_kept(exchange, &answer);
    answer
}

/// The same of an exchange about a task, of this one.
#[track_caller]
pub(crate) fn replay_of(world: &World, exchange: &Exchange, task: &Value) -> Answer {
    let path = format!("/plugins/kimchi/tasks/{}", task["id"].as_str().expect("an id"));
    replay(world, &Exchange { path, ..exchange.clone() })
}

/// Begins what was recorded and waits for its end, which is as `end` tells it, or as the listed difference says.
#[track_caller]
pub(crate) fn replay_to_its_end(world: &World, begin: &Exchange, end: &Exchange) {
    let task: Value = replay(world, begin).json();
    end.assert_ended(&ended(world, &task));
}

/// What came of requests that were recorded one after another is that there is no task but these: they were refused.
#[track_caller]
pub(crate) fn assert_no_task_of(world: &World, exchanges: &[&str], but: &[&Value]) {
    for name in exchanges {
        assert!(NO_TASK.contains(name), "{name} tells of a task that Ferry has, too");
    }
    let mut are: Vec<String> = world.tasks().iter().map(|task| task.id.to_string()).collect();
    are.sort_unstable();
    let mut known: Vec<&str> = but.iter().map(|task| task["id"].as_str().expect("an id")).collect();
    known.sort_unstable();
    assert_eq!(are, known, "what is refused becomes no task: {exchanges:?}");
}

/// Begins what was recorded as `51a-post`, which goes on for as long as the link is slow; the guest that moves, and the task.
pub(crate) fn moving(world: &World, all: &Recorded) -> (Guest, Value) {
    let guest = world.boot(busy("vm1"), "kvm1");
    let task = moves_on(world, all);
    (guest, task)
}

/// The same of a guest that is there.
pub(crate) fn moves_on(world: &World, all: &Recorded) -> Value {
    world.host("kvm2").rate(Some(SLOW_LINK_MBIT)).expect("a slow link");
    let task: Value = replay(world, &all["51a-post"]).json();
    world.wait_task(id(&task), "nothing is copied", is_copying);
    task
}

/// Which task that is.
#[track_caller]
pub(crate) fn id(task: &Value) -> Uuid {
    task["id"].as_str().and_then(|id| id.parse().ok()).expect("an id")
}

/// It is refused with this status and this reason, which goes on after that; `…` in it stands for anything.
#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, reason: &str) {
    let body: Value = answer.json();
    let said = body["reason"].as_str().unwrap_or_default();
    let (begins, says) = reason.split_once('…').unwrap_or((reason, ""));
    let is_told = said.strip_prefix(begins).is_some_and(|rest| rest.contains(says));
    assert!(answer.status == status && is_told, "{status} {reason}: {answer:#?}");
}

/// The task that a request was answered with.
#[track_caller]
pub(crate) fn begun(answer: &Answer) -> Value {
    assert_eq!(answer.status, 202, "{answer:#?}");
    answer.json()
}

/// Asks for a task at which ferryd dies, perhaps before it has answered, and starts that again. `meanwhile` is called while ferryd is
/// away.
#[track_caller]
pub(crate) fn begun_with_a_death(
    world: &World,
    request: &[u8],
    within: Duration,
    meanwhile: impl FnOnce(),
) -> Value {
    world.send_to_dying(request);
    world.wait_ferryd_ends(within);
    meanwhile();
    world.start_ferryd();
    let newest = world.tasks().first().expect("a task").id;
    json!({ "id": newest.to_string() })
}

/// The task once it has ended.
#[track_caller]
pub(crate) fn ended(world: &World, task: &Value) -> Value {
    let address = format!("/plugins/kimchi/tasks/{}", task["id"].as_str().expect("an id"));
    until(ENDS_WITHIN, "the task does not end", || {
        let now: Value = world.get(&address).json();
        (now["status"] != "running").then_some(now)
    })
}

/// What `virsh` says on kvm1.
#[track_caller]
pub(crate) fn virsh(world: &World, arguments: &[&str]) -> String {
    world.host("kvm1").virsh(arguments).expect("virsh").trim().to_owned()
}

/// Asks for a task to be stopped while its host is in the middle of making its first image, and gives how it ended. `meanwhile` is
/// called in between.
#[track_caller]
pub(crate) fn stopped_midway(
    world: &World,
    begin: impl FnOnce() -> Value,
    meanwhile: impl FnOnce(),
) -> Value {
    let host = world.host("kvm1");
    let held = HeldImage::on(&host);
    let task = begin();
    held.wait();
    meanwhile();
    let address = format!("/plugins/kimchi/tasks/{}", task["id"].as_str().expect("an id"));
    let asked = world.send(&request("DELETE", &address, "", b""));
    assert_eq!((asked.status, asked.body.as_str()), (204, ""), "{asked:#?}");
    assert_eq!(world.get(&address).json::<Value>()["status"], "running", "an image is still being made");
    held.let_go();
    ended(world, &task)
}
