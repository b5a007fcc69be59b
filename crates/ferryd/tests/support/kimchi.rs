//! What the tests of the inherited interface on real hosts share.

use std::time::Duration;

use serde_json::Value;

use super::http::{Answer, request};
use super::images::HeldImage;
use super::{Plan, SOON, World, until};

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
