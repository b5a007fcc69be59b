//! The criterion of the cells in which the domain does not run: it is whole on one host, bit for bit, and nothing of it is on the other.

use api::task::Task;
use lab::Expect;

use super::cell::{Cell, owner_of};
use super::subject::{BOOTS_WITHIN, Subject};
use super::{DESTINATION, GUEST, SOURCE, again, sides};
use crate::support::World;
use crate::support::images::assert_no_pools;

/// The task says what the oracle finds. Returns the host that has the domain.
#[track_caller]
pub(super) fn judge(world: &World, subject: &Subject, task: &Task, cell: Cell) -> &'static str {
    let owner = owner_of(task, SOURCE, DESTINATION);
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
    let other = again::moves_on(world, subject, owner);
    assert_whole(world, subject, other);
    world.host(other).virsh(&["start", GUEST]).expect("it starts where it is defined");
    subject.log.wait_ready(other, BOOTS_WITHIN).expect("it boots");
    subject.assert_well(world, Expect::Running, Some(other));
    again::assert_none_hangs(world);
}
