//! One cell of the matrix, and the criterion that all cells share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use api::host::{Host as ApiHost, HostState};
use api::task::{Location, Task, TaskState};
use lab::{Daemon, DiskSpec, Expect, GuestLog, GuestSpec, Oracle, Release};
use uuid::Uuid;

use super::moment::{self, Moment};
use super::strike::Fault;
use super::table::Record;
use super::{DESTINATION, GUEST, SOURCE, again, sides, twin};
use crate::support::{SOON, World, until, until_seen};

/// How often it is looked whether a daemon has crashed.
const LOOKED_AFTER: Duration = Duration::from_secs(1);
const BOOTS_WITHIN: Duration = Duration::from_secs(120);
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
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Secure => "secure",
            Self::PostCopy => "post-copy",
            Self::Disks => "disks copied",
        }
    }

    pub(super) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Live | Self::Disks => &[],
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
}

/// The guest of a cell.
pub(crate) struct Subject {
    pub(crate) spec: GuestSpec,
    pub(crate) log: GuestLog,
    oracle: Oracle,
    /// Images that go along: on the destination they are new.
    images: &'static [&'static str],
    /// It was there, and has left them there when it moved on.
    were_there: std::cell::Cell<bool>,
}

/// The guest's own disk, and one beside it that takes long to copy.
const IMAGES: &[&str] = &["/var/lib/libvirt/images/g1.qcow2", "/var/lib/libvirt/images/ballast.raw"];
const BALLAST_MIB: u32 = 48;

impl Subject {
    /// Starts it on the source.
    pub(crate) fn started(world: &World, spec: GuestSpec) -> Self {
        let log = world.lab.watch_guest(&spec.name).expect("a log");
        world.lab.start_guest(&spec, SOURCE).expect("it starts");
        log.wait_ready(SOURCE, BOOTS_WITHIN).expect("it boots");
        let oracle = Oracle::before(&world.lab, &spec).expect("a look before");
        Self { spec, log, oracle, images: &[], were_there: false.into() }
    }

    /// The same for one with disks that only the source has.
    pub(crate) fn started_with_disks(world: &World, mut spec: GuestSpec) -> Self {
        let [_, ballast] = IMAGES else { unreachable!("there are two") };
        let make = format!("dd if=/dev/urandom of={ballast} bs=1M count={BALLAST_MIB} status=none");
        world.host(SOURCE).run(&["sh", "-ec", &make]).expect("a disk");
        spec.disk = Some(DiskSpec::in_pool(GUEST, 64));
        spec.extra_devices = format!(
            "<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/><source file='{ballast}'/>\
             <target dev='vdb' bus='virtio'/></disk>"
        );
        Self { images: IMAGES, ..Self::started(world, spec) }
    }

    /// Takes away the images that were left on a host, which bar the way back to it.
    pub(super) fn clear_the_way(&self, world: &World, to: &str) {
        self.were_there.set(to == SOURCE);
        for image in self.images {
            world.host(to).run(&["rm", "-f", image]).expect("it is removed");
        }
    }

    /// Images that were made for it on the destination, where it did not come. (Those of a host that it has left stay.)
    fn left_over(&self, world: &World) -> Option<String> {
        let host = world.host(DESTINATION);
        let left = self.images.iter().any(|image| host.disk_path(image).exists());
        (left && !self.were_there.get()).then(|| format!("{DESTINATION} (images)"))
    }

    /// The oracle finds nothing wrong; where it runs, it runs on `owner`.
    #[track_caller]
    pub(crate) fn assert_well(&self, world: &World, expect: Expect, owner: Option<&str>) {
        let mut oracle = self.oracle.clone();
        let there = owner == Some(DESTINATION) || self.were_there.get();
        if there || sides::has_definition(&world.host(DESTINATION)) {
            self.images.iter().for_each(|image| oracle.allow(DESTINATION, *image));
        }
        let verdict = oracle.verdict(&world.lab, &self.log, expect).expect("a verdict");
        let now = sides::Sides::of(world);
        assert_eq!((verdict.violations.as_slice(), verdict.owner.as_deref()), (&[][..], owner), "{now}");
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
    let mut spec = cell.moment.guest();
    spec.autostart = cell.fault.keeps_autostart();
    let subject = match cell.mode {
        Mode::Disks => Subject::started_with_disks(&world, spec),
        _ => Subject::started(&world, spec),
    };
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
    cell.fault.heal(&world, || drop(wait_final(&world, at.task)));
    let task = supervised(&world, || wait_final(&world, at.task));
    println!("{:.1} s after the fault: {:?}, {}", struck.elapsed().as_secs_f64(), task.state, task.message);
    wait_whole(&world, &subject);
    let owner = judge(&world, &subject, &task, cell);
    twin::agrees(cell, &at.sides, &task);
    again::migrates(&world, &subject, &owner);
    record.held();
}

/// Does something while libvirtd is looked after as systemd does it on a real host: one that crashed is started again. (libvirt 9.0's was
/// seen to, in its own code, when it was let go on after its client had been killed.)
fn supervised<T>(world: &World, work: impl FnOnce() -> T) -> T {
    /// Also where the work panics.
    struct Until<'a>(&'a AtomicBool);
    impl Drop for Until<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    let hosts = [world.host(SOURCE), world.host(DESTINATION)];
    thread::scope(|scope| {
        let _until = Until(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for host in
                    hosts.iter().filter(|host| host.is_running() && !host.has_daemon(Daemon::Libvirtd))
                {
                    let started = host.start_daemon(Daemon::Libvirtd);
                    println!(
                        "libvirtd of {} is gone by itself, and is started again: {started:?}",
                        host.name()
                    );
                }
                thread::sleep(LOOKED_AFTER);
            }
        });
        work()
    })
}

/// Waits for a task's end; the task as a person is told of it.
pub(crate) fn wait_final(world: &World, task: Uuid) -> Task {
    world.wait_task(task, "the migration does not end", |task| task.state.is_final());
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
    let cancelled = task.state == TaskState::Cancelled;
    assert_eq!(cancelled, cell.fault == Fault::Cancel && owner == SOURCE, "{task:#?}");
    assert!(cell.fault != Fault::None || owner == DESTINATION, "without a fault it moves: {task:#?}");
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
    let outcome = task.outcome.as_ref().expect("an ended task tells its outcome");
    assert!(!outcome.memory_lost, "nothing died that held the memory: {task:#?}");
    let owner = match outcome.location {
        Location::Source => from,
        Location::Destination => to,
        other => panic!("{GUEST} is said to be at {other:?}: {task:#?}"),
    };
    subject.assert_well(world, Expect::Running, Some(owner));
    assert_eq!(task.state == TaskState::Done, owner == to, "{task:#?}");
    owner
}
