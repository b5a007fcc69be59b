//! Two copies run, because somebody started the domain on the source again right when it had moved: both are suspended, and a
//! person decides.

use std::time::Duration;

use api::task::{Location, Side, Task, TaskState};

use super::cell::{Subject, wait_final, world};
use super::kill::{DIES_WITHIN, POINTS, will_die};
use super::moment::{self, Moment};
use super::strike::Down;
use super::{DESTINATION, GUEST, SOURCE, sides};
use crate::support::{SOON, World, until_seen};

/// Two running copies are the worst there is: this is a matter of a look and two calls.
const SUSPENDED_WITHIN: Duration = Duration::from_secs(5);

/// Two copies, and a person who keeps one of them.
pub(crate) fn found(keep: Side) {
    let world = world();
    let subject = Subject::started(&world, Moment::T7.guest());
    let task = both_run(&world, &subject);
    until_seen(SUSPENDED_WITHIN, "both are suspended", || both_paused(&world));
    decided(&world, &subject, &task, keep);
}

/// The same with a ferryd that dies at each boundary of a step.
pub(crate) fn dies_around(step: &str) {
    for point in POINTS {
        println!("-- {step}:{point}");
        let world = world();
        let subject = Subject::started(&world, Moment::T7.guest());
        will_die(&world, &subject, &format!("{step}:{point}"));
        let task = both_run(&world, &subject);
        world.wait_ferryd_ends(DIES_WITHIN);
        world.start_ferryd();
        until_seen(SOON, "both are suspended", || both_paused(&world));
        decided(&world, &subject, &task, Side::Destination);
    }
}

/// Brings a migration to where its source is gone, starts the domain there again, and lets ferryd go on.
fn both_run(world: &World, subject: &Subject) -> Task {
    let at = moment::reach(world, Moment::T7, &[]);
    let source = world.host(SOURCE);
    let create = ["virsh", "-q", "-c", "qemu:///system", "define", "/dev/stdin"];
    source.run_with_input(&create, subject.spec.to_xml().as_bytes()).expect("defined");
    source.virsh(&["start", GUEST]).expect("started");
    at.let_go_on(world, &Down::default());
    world.task(at.task)
}

fn both_paused(world: &World) -> Result<(), sides::Sides> {
    let sides = sides::Sides::of(world);
    let both = sides.source == "paused (user)" && sides.destination == "paused (user)";
    if both { Ok(()) } else { Err(sides) }
}

/// A person is asked, with both sides described and two commands; one copy stays and runs, the other is gone.
fn decided(world: &World, subject: &Subject, task: &Task, keep: Side) {
    let asked = world.wait_task(task.id, "a person is asked", |task| task.state == TaskState::NeedsAttention);
    assert!(asked.message.contains("started g1 anew on kvm1"), "{asked:#?}");
    let (kept, other, side) = match keep {
        Side::Source => (SOURCE, DESTINATION, "source"),
        Side::Destination => (DESTINATION, SOURCE, "destination"),
    };
    let command = format!("ferry task resolve {} --keep {side}", task.id);
    assert!(asked.choices.contains(&command), "{command}: {asked:#?}");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    world.ferry(&words).succeeded();
    let task = wait_final(world, task.id);
    let location = task.outcome.as_ref().map(|outcome| outcome.location);
    let (state, there) = match keep {
        Side::Source => (TaskState::Failed, Location::Source),
        Side::Destination => (TaskState::Done, Location::Destination),
    };
    assert_eq!((task.state, location), (state, Some(there)), "{task:#?}");
    assert!(world.host(kept).pid_of_qemu(&subject.spec.uuid).is_some(), "it runs on {kept}");
    assert_eq!(world.host(other).pid_of_qemu(&subject.spec.uuid), None, "nothing runs on {other}");
    assert!(sides::has_definition(&world.host(kept)) && !sides::has_definition(&world.host(other)));
    subject.log.wait_next_tick(kept, SOON).expect("it runs on");
}
