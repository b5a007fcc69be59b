//! The source is gone for good in the middle of a migration: whoever vouches for that gets the domain back on the destination, and what
//! the source still has of it goes should it come back after all.

use std::time::Duration;

use api::task::{Location, TaskState};

use super::cell::{wait_final, world};
use super::moment::{self, Moment};
use super::subject::Subject;
use super::{DESTINATION, GUEST, SOURCE, sides};
use crate::support::{SOON, until};

/// How long the source is asked before a person is, and how long libvirt on the destination waits for the rest of the memory.
const ASKED_WITHIN: Duration = Duration::from_secs(200);

/// Its memory is lost; its definition is not.
pub(crate) fn started_anew() {
    let world = world();
    // It would start with its host; on the one that it leaves, that is cleared first.
    let subject = Subject::started(&world, Moment::T1.guest());
    let at = moment::reach(&world, Moment::T1, &[]);
    let (source, destination) = (world.host(SOURCE), world.host(DESTINATION));
    source.kill().expect("no power");
    let command = format!("ferry task resolve {} --keep destination --fenced", at.task);
    let asked = until(ASKED_WITHIN, "a person is asked", || {
        Some(world.task(at.task)).filter(|task| task.choices.contains(&command))
    });
    assert!(
        asked.message.contains("g1 can be defined on kvm2 and started anew from its disks"),
        "{asked:#?}"
    );
    // Nothing is done on anybody's bare word that it may be so.
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let unvouched = world.ferry(&words[..words.len() - 1]);
    assert!(unvouched.stderr.contains("--fenced"), "{unvouched:#?}");
    assert!(!sides::has_definition(&destination), "nothing was done");

    world.ferry(&words).succeeded();
    let task = wait_final(&world, at.task);
    let outcome = task.outcome.as_ref().expect("an outcome");
    assert_eq!((task.state, outcome.location), (TaskState::Failed, Location::Destination), "{task:#?}");
    assert!(outcome.memory_lost && task.message.contains("went with kvm1"), "{task:#?}");
    destination.virsh(&["start", GUEST]).expect("it starts there");
    subject.log.wait_next_tick(DESTINATION, SOON).expect("it runs there");

    source.boot().expect("boots");
    until(ASKED_WITHIN, "its old definition is gone", || (!sides::has_definition(&source)).then_some(()));
    assert_eq!(source.pid_of_qemu(&subject.spec.uuid), None, "nothing runs on kvm1");
    assert!(sides::has_definition(&destination) && destination.pid_of_qemu(&subject.spec.uuid).is_some());
    assert!(sides::autostarts(&destination), "its autostart is as it was");
}
