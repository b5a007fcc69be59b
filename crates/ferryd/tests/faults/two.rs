//! Two copies run, because somebody started the domain on the source again, right when it had moved or when its task had ended long
//! ago: both are suspended, and a person decides.

use std::time::Duration;

use api::task::{Location, Side, Task, TaskState};
use lab::Daemon;

use super::cell::{wait_final, world};
use super::kill::{DIES_WITHIN, will_die};
use super::moment::{self, Moment};
use super::strike::Down;
use super::subject::Subject;
use super::{DESTINATION, GUEST, SOURCE, sides};
use crate::support::tasks::POINTS;
use crate::support::{SOON, World, until, until_seen};

/// Two running copies are the worst there is: this is a matter of a look and two calls.
const SUSPENDED_WITHIN: Duration = Duration::from_secs(5);

/// How the task tells of two copies.
struct Told {
    question: &'static str,
    /// Its state when the source's is kept.
    source_is_kept: TaskState,
}

/// In the middle of a migration, which comes to nothing if the source's is kept.
const HANDED_OVER: Told = Told { question: "started g1 anew on kvm1", source_is_kept: TaskState::Failed };
/// After it: the task has nothing else to do than what is decided.
const LEFT_OVER: Told =
    Told { question: "g1 was found running on both kvm1 and kvm2", source_is_kept: TaskState::Done };

/// Two copies, and a person who keeps one of them.
pub(crate) fn found(keep: Side) {
    let world = world();
    let subject = Subject::started(&world, Moment::T7.guest());
    let task = both_run(&world, &subject);
    until_seen(SUSPENDED_WITHIN, "both are suspended", || both_paused(&world));
    decided(&world, &subject, &task, keep, &HANDED_OVER);
}

/// The task has ended without the source, whose libvirtd was killed. While ferryd is away somebody starts what was left over there.
pub(crate) fn leftover_is_started(keep: Side) {
    let world = world();
    let subject = Subject::started(&world, Moment::T7.guest());
    let at = moment::reach(&world, Moment::T7, &[]);
    world.host(SOURCE).kill_daemon(Daemon::Libvirtd).expect("killed");
    at.let_go_on(&world, &Down { source: true, ..Down::default() });
    let task = wait_final(&world, at.task);
    assert!(task.state == TaskState::Done && task.message.contains("does not answer"), "{task:#?}");
    world.kill_ferryd();
    world.host(SOURCE).start_daemon(Daemon::Libvirtd).expect("started");
    start_on_source(&world, &subject);
    world.start_ferryd();
    until_seen(SUSPENDED_WITHIN + SOON, "both are suspended", || both_paused(&world));
    let of_a_person = |task: &Task| task.state == TaskState::NeedsAttention;
    let asked = until(SOON, "a person is asked", || world.tasks().into_iter().find(of_a_person));
    assert_ne!(asked.id, task.id, "the one that has ended stays so");
    decided(&world, &subject, &asked, keep, &LEFT_OVER);
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
        decided(&world, &subject, &task, Side::Destination, &HANDED_OVER);
    }
}

/// Brings a migration to where its source is gone, starts the domain there again, and lets ferryd go on.
fn both_run(world: &World, subject: &Subject) -> Task {
    let at = moment::reach(world, Moment::T7, &[]);
    start_on_source(world, subject);
    at.let_go_on(world, &Down::default());
    world.task(at.task)
}

fn start_on_source(world: &World, subject: &Subject) {
    let source = world.host(SOURCE);
    let create = ["virsh", "-q", "-c", "qemu:///system", "define", "/dev/stdin"];
    source.run_with_input(&create, subject.spec.to_xml().as_bytes()).expect("defined");
    source.virsh(&["start", GUEST]).expect("started");
}

fn both_paused(world: &World) -> Result<(), sides::Sides> {
    let sides = sides::Sides::of(world);
    let both = sides.source == "paused (user)" && sides.destination == "paused (user)";
    if both { Ok(()) } else { Err(sides) }
}

/// A person is asked, with both sides described and two commands; one copy stays and runs, the other is gone.
fn decided(world: &World, subject: &Subject, task: &Task, keep: Side, told: &Told) {
    let asked = world.wait_task(task.id, "a person is asked", |task| task.state == TaskState::NeedsAttention);
    assert!(asked.message.contains(told.question), "{asked:#?}");
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
        Side::Source => (told.source_is_kept, Location::Source),
        Side::Destination => (TaskState::Done, Location::Destination),
    };
    assert_eq!((task.state, location), (state, Some(there)), "{task:#?}");
    assert!(world.host(kept).pid_of_qemu(&subject.spec.uuid).is_some(), "it runs on {kept}");
    assert_eq!(world.host(other).pid_of_qemu(&subject.spec.uuid), None, "nothing runs on {other}");
    assert!(sides::has_definition(&world.host(kept)) && !sides::has_definition(&world.host(other)));
    subject.log.wait_next_tick(kept, SOON).expect("it runs on");
}
