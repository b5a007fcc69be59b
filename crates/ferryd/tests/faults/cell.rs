//! One cell of the matrix, and the criterion that all cells share.

use std::time::{Duration, Instant};

use api::host::{Host as ApiHost, HostState};
use api::task::{Location, Task, TaskState};
use lab::{Expect, Release};
use uuid::Uuid;

use super::moment::{self, Moment};
use super::strike::Fault;
use super::subject::Subject;
use super::table::Record;
use super::{DESTINATION, GUEST, SOURCE, again, sides, stopped, twin};
use crate::support::{SOON, World, until, until_seen};

/// Files are carried on as soon as a host is back, for which there is patience for two minutes.
const ENDS_WITHIN: Duration = Duration::from_secs(180);
/// The guest is back 15 s after a cut; the rest is what this machine's own noise may take.
const BACK_WITHIN: Duration = Duration::from_secs(20);

/// How the domain is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// From QEMU to QEMU.
    Live,
    /// Through libvirt's own connection.
    Secure,
    /// From QEMU to QEMU, switched to post-copy after the first pass.
    PostCopy,
    /// From QEMU to QEMU, with disks that only the source has.
    Disks,
    /// It does not run: ferryd carries its disks, which only the source has.
    Stopped,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Secure => "secure",
            Self::PostCopy => "post-copy",
            Self::Disks => "disks copied",
            Self::Stopped => "stopped",
        }
    }

    pub(super) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Live | Self::Disks | Self::Stopped => &[],
            Self::Secure => &["--secure"],
            Self::PostCopy => &["--post-copy", "now"],
        }
    }
}

/// A fault at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) fault: Fault,
    pub(crate) moment: Moment,
    pub(crate) mode: Mode,
}

impl Cell {
    pub(crate) fn new(fault: Fault, moment: Moment) -> Self {
        Self { fault, moment, mode: Mode::Live }
    }

    pub(crate) fn secure(fault: Fault, moment: Moment) -> Self {
        Self { fault, moment, mode: Mode::Secure }
    }

    pub(crate) fn post_copy(fault: Fault, moment: Moment) -> Self {
        Self { fault, moment, mode: Mode::PostCopy }
    }

    pub(crate) fn disks(fault: Fault, moment: Moment) -> Self {
        Self { fault, moment, mode: Mode::Disks }
    }

    pub(crate) fn stopped(fault: Fault, moment: Moment) -> Self {
        Self { fault, moment, mode: Mode::Stopped }
    }

    /// The guest of this cell, where it begins.
    fn subject(self, world: &World) -> Subject {
        let mut spec = self.moment.guest();
        spec.autostart = self.fault.keeps_autostart();
        match self.mode {
            Mode::Disks => Subject::started_with_disks(world, spec, self.fault.cache()),
            Mode::Stopped => Subject::stopped_with_disks(world, spec),
            Mode::Live | Mode::Secure | Mode::PostCopy => Subject::started(world, spec),
        }
    }
}

/// Two hosts of two releases, known to ferryd.
pub(crate) fn world() -> World {
    let plan = World::of("f").host(SOURCE, Release::Bookworm).host(DESTINATION, Release::Trixie);
    let world = plan.up();
    world.register(SOURCE);
    world.register(DESTINATION);
    world
}

/// Runs one cell.
pub(crate) fn run(cell: Cell) {
    let mut record = Record::begin(cell);
    let world = world();
    cell.fault.prepare(&world);
    let subject = cell.subject(&world);
    let at = moment::reach(&world, cell.moment, cell.mode.flags());
    record.saw(&at.sides);
    println!("{:?} at {:?}: {}", cell.fault, cell.moment, at.sides);
    let struck = Instant::now();
    cell.fault.strike(&world, &at, &subject.spec);
    if cell.fault.is_bounded(cell.moment) {
        let tick =
            subject.log.wait_next_tick(SOURCE, BACK_WITHIN).expect("the guest is back at the source in time");
        println!("the guest is back after {:.1} s", (tick.at - struck).as_secs_f64());
    }
    cell.fault.heal(&world, || drop(world.supervised(|| wait_final(&world, at.task))));
    let task = world.supervised(|| wait_final(&world, at.task));
    println!("{:.1} s after the fault: {:?}, {}", struck.elapsed().as_secs_f64(), task.state, task.message);
    wait_whole(&world, &subject);
    if cell.mode == Mode::Stopped {
        let owner = stopped::judge(&world, &subject, &task, cell);
        stopped::migrates_again(&world, &subject, owner);
    } else {
        let owner = judge(&world, &subject, &task, cell);
        twin::agrees(cell, &at.sides, &task);
        again::migrates(&world, &subject, &owner);
    }
    record.held();
}

/// Waits for a task's end; the task as a person is told of it.
pub(crate) fn wait_final(world: &World, task: Uuid) -> Task {
    world.wait_task_within(ENDS_WITHIN, task, "the migration does not end", |task| task.state.is_final());
    world.ferry_json(&["task", "show", &task.to_string()])
}

/// Waits until ferryd reaches both hosts again, and what a host that did not answer still had is removed from it.
pub(crate) fn wait_whole(world: &World, subject: &Subject) {
    let reached = || {
        let hosts: Vec<ApiHost> = world.ferry_json(&["host", "list"]);
        hosts.iter().all(|host| host.state == HostState::Connected).then_some(())
    };
    until(SOON, "ferryd reaches the hosts", reached);
    let traces = |name: &&str| {
        let host = world.host(name);
        let runs = host.pid_of_qemu(&subject.spec.uuid).is_some();
        let traces = [runs, sides::has_definition(&host), sides::has_live_state(&host)];
        traces.contains(&true).then(|| format!("{name} (QEMU, definition, live state: {traces:?})"))
    };
    let one = || {
        let mut have: Vec<String> = [SOURCE, DESTINATION].iter().filter_map(traces).collect();
        if !have.iter().any(|traces| traces.starts_with(DESTINATION)) {
            have.extend(subject.left_over(world));
        }
        if have.len() <= 1 {
            Ok(())
        } else {
            Err(format!("{}; {}", have.join(", "), sides::Sides::of(world)))
        }
    };
    until_seen(SOON, "only one host has anything of it", one);
}

/// The task says what the oracle finds. Returns the host that has the domain, running (started afresh where its memory was
/// lost).
#[track_caller]
pub(super) fn judge(world: &World, subject: &Subject, task: &Task, cell: Cell) -> String {
    let outcome = task.outcome.as_ref().expect("an ended task tells its outcome");
    if outcome.memory_lost {
        let may = cell.fault.may_lose_memory(cell.moment) || failed_by_itself(world);
        assert!(may, "nothing died that held the memory: {task:#?}");
        assert_eq!(task.state, TaskState::Failed, "a loss is no success: {task:#?}");
        again::do_as_told(world, task);
        subject.assert_well(world, Expect::Lost, None);
        let owner = if outcome.location == Location::Source { SOURCE } else { DESTINATION };
        assert!(sides::has_definition(&world.host(owner)), "it is not on {owner}: {task:#?}");
        return again::start_afresh(world, subject);
    }
    let owner = judge_moved(world, subject, task, SOURCE, DESTINATION);
    cell.fault.assert_told(cell.moment, task, owner);
    owner.to_owned()
}

/// Whether the source's QEMU ended by an assertion of its own. Where a migration with disks is called off in its switch-over, by whomever,
/// QEMU 7.2 may let the guest run on before it has taken its disks back: one in ten times, when libvirt calls it off because the connection
/// of the two daemons broke. Nobody can keep it from that, and it must be told as the loss that it is.
fn failed_by_itself(world: &World) -> bool {
    const ASSERTION: &str = "Assertion `!(bs->open_flags & BDRV_O_INACTIVE)' failed";
    let log = format!("/var/log/libvirt/qemu/{GUEST}.log");
    let failed =
        std::fs::read_to_string(world.host(SOURCE).disk_path(log)).is_ok_and(|text| text.contains(ASSERTION));
    if failed {
        println!("the source's QEMU ended by itself: {ASSERTION}");
    }
    failed
}

/// The same where nothing died that held the memory: it runs where the task says.
#[track_caller]
pub(crate) fn judge_moved(
    world: &World,
    subject: &Subject,
    task: &Task,
    from: &'static str,
    to: &'static str,
) -> &'static str {
    let owner = owner_of(task, from, to);
    subject.assert_well(world, Expect::Running, Some(owner));
    owner
}

/// The host that an ended task says has the domain: the other one, where and only where it is done. No memory was lost.
#[track_caller]
pub(super) fn owner_of(task: &Task, from: &'static str, to: &'static str) -> &'static str {
    let outcome = task.outcome.as_ref().expect("an ended task tells its outcome");
    assert!(!outcome.memory_lost, "nothing died that held memory: {task:#?}");
    let owner = match outcome.location {
        Location::Source => from,
        Location::Destination => to,
        other => panic!("{GUEST} is said to be at {other:?}: {task:#?}"),
    };
    assert_eq!(task.state == TaskState::Done, owner == to, "{task:#?}");
    owner
}
