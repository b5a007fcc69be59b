//! The criterion of the cells in which the domain does not run: it is whole on one host, bit for bit, and nothing of it is on the other.

use std::time::Duration;

use api::task::{Location, Task, TaskState};
use lab::Expect;

use super::cell::Cell;
use super::subject::Subject;
use super::{DESTINATION, GUEST, SOURCE, sides};
use crate::support::World;
use crate::support::images::assert_no_pools;

/// A guest boots under TCG in seconds, on a machine that does other things meanwhile in more.
const BOOTS_WITHIN: Duration = Duration::from_secs(120);

/// The task says what the oracle finds. Returns the host that has the domain.
#[track_caller]
pub(super) fn judge(world: &World, subject: &Subject, task: &Task, cell: Cell) -> &'static str {
    let outcome = task.outcome.as_ref().expect("an ended task tells its outcome");
    assert!(!outcome.memory_lost, "it has no memory to lose: {task:#?}");
    let owner = match outcome.location {
        Location::Source => SOURCE,
        Location::Destination => DESTINATION,
        other => panic!("{GUEST} is said to be at {other:?}: {task:#?}"),
    };
    assert_eq!(task.state == TaskState::Done, owner == DESTINATION, "{task:#?}");
    cell.fault.assert_told(cell.moment, task, owner);
    if cell.fault.changes_its_disk() {
        subject.take_sum_of_its_disk(world);
    }
    assert_whole(world, subject, owner);
    owner
}

/// It is defined on `owner` and nowhere else, with its images; it runs nowhere, and nothing is left over.
#[track_caller]
fn assert_whole(world: &World, subject: &Subject, owner: &str) {
    subject.assert_well(world, Expect::Stopped, None);
    assert!(sides::has_definition(&world.host(owner)), "it is not on {owner}");
    subject.assert_images(&world.host(owner));
    assert_no_pools(world);
}

/// After the fault the same domain moves as if nothing had been; and then it starts.
pub(super) fn migrates_again(world: &World, subject: &Subject, owner: &str) {
    let other = if owner == SOURCE { DESTINATION } else { SOURCE };
    subject.clear_the_way(world, other);
    let task: Task = world.ferry_json(&["migrate", GUEST, "--to", other]);
    assert_eq!(task.state, TaskState::Done, "{task:#?}");
    assert_whole(world, subject, other);
    world.host(other).virsh(&["start", GUEST]).expect("it starts where it is defined");
    subject.log.wait_ready(other, BOOTS_WITHIN).expect("it boots");
    subject.assert_well(world, Expect::Running, Some(other));
    let active: Vec<Task> = world.ferry_json(&["task", "list"]);
    assert!(active.is_empty(), "hung tasks: {active:#?}");
}
