//! Bringing a migration to a moment, the same every time, and keeping it there until the fault is struck.
//!
//! | moment | how |
//! |---|---|
//! | P | post-copy, with a copy limited to 8 MiB/s: what follows the switch takes seconds |
//! | S | the disks of a domain that does not run are carried over 64 Mbit: the second one is on its way for seconds |
//! | D | a disk is copied along, limited to 8 MiB/s: that takes seconds, and no memory has gone yet |
//! | T1, T2 | the guest rewrites 20 MiB/s, the copy is limited to 16 MiB/s: it never ends; libvirt's job tells the pass |
//! | T3 | 120 Mbit and 8 s of pause allowed: the last data takes seconds; the source is `paused` |
//! | T4 | T3 on a link that is slower still, and the destination's libvirtd frozen; then the limit is lifted, and the data connection ends |
//! | T5 | T3 as for T4, and what the destination answers the source held; then the limit is lifted |
//! | T6 | T5, and the source's libvirtd frozen, and what was held let go |
//! | T7 | T3 as for T4, and ferryd frozen; then the limit is lifted, and libvirt finishes by itself |

use std::cell::Cell;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use api::task::Task;
use lab::{Daemon, GuestSpec};
use rustix::process::Signal;
use uuid::Uuid;

use super::sides::{self, Sides};
use super::subject::BALLAST;
use super::{DESTINATION, GUEST, SOURCE};
use crate::support::{World, until};

/// How long any moment may take to come, on a machine that does other things meanwhile.
const COMES_WITHIN: Duration = Duration::from_secs(120);
/// A slow link, on which the last data takes seconds. Within the allowed pause it carries most of the guest, so that the pause
/// begins after a few seconds.
const SLOW_LINK_MBIT: u32 = 120;
/// A link on which carrying the disks takes seconds.
const CARRYING_LINK_MBIT: u32 = 64;
/// A link on which the last data stands all but still while the moments after the stop-and-copy are prepared, however long that takes.
const TRICKLE_MBIT: u32 = 4;
/// The stop-and-copy lasts several seconds: a strike within this time of its beginning is in it.
const WINDOW: Duration = Duration::from_millis(2500);

/// So much of an image has arrived: something can be harmed, and much is still to come.
const CARRIED_BYTES: u64 = 12 << 20;

/// A moment of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    /// The domain does not run, and a part of its disks has been carried.
    S,
    /// Of post-copy: the guest runs on the destination, and a part of its memory is still on the source.
    P,
    /// With disks that are copied along: one is on its way.
    D,
    /// Prepare: the request has not been made yet, or its task has just begun.
    T0,
    /// The first pass over the memory.
    T1,
    /// A later pass.
    T2,
    /// Stop-and-copy: the guest is paused, the last data flows.
    T3,
    /// The source has sent everything, the destination has not finished.
    T4,
    /// The destination has finished, the source does not know yet.
    T5,
    /// The source knows, and has not confirmed.
    T6,
    /// The source is gone, the destination waits, paused.
    T7,
}

/// A migration at its moment.
pub(crate) struct AtMoment {
    pub(crate) moment: Moment,
    pub(crate) task: Uuid,
    pub(crate) sides: Sides,
    reached: Instant,
}

impl Moment {
    /// A guest with which this moment can be reached.
    pub(crate) fn guest(self) -> GuestSpec {
        let mut spec = GuestSpec::new(GUEST).expect("a spec");
        spec.memory_mib = 192;
        // A slow link must carry the first pass in a few seconds, and never as fast as the rest is rewritten.
        spec.work_mib = if self <= Self::T2 { 64 } else { 24 };
        (spec.dirty_mib_s, spec.autostart, spec.every_page_counts) = (20, true, true);
        spec
    }

    fn request(self) -> &'static [&'static str] {
        match self {
            Self::S | Self::T0 => &[],
            Self::P | Self::D => &["--bandwidth", "8MiB/s"],
            Self::T1 | Self::T2 => &["--bandwidth", "16MiB/s"],
            _ => &["--max-downtime", "8s"],
        }
    }

    /// Whether both sides are as they must be at this moment.
    fn shows_in(self, sides: &Sides) -> bool {
        let (source, destination) = (sides.source.as_str(), sides.destination.as_str());
        match self {
            Self::S => source.starts_with("shut off") && destination == "absent",
            Self::P => source == "paused (post-copy)" && destination == "running (post-copy)",
            Self::T0 => source.starts_with("running"),
            Self::D | Self::T1 | Self::T2 => {
                source.starts_with("running") && destination == "paused (migrating)"
            }
            Self::T3 => source == "paused (migrating)" && destination == "paused (migrating)",
            Self::T4 => source == "paused (migrating)" && destination == "no answer",
            Self::T5 => source == "paused (migrating)" && destination == "paused (user)",
            Self::T6 => source == "no answer" && destination == "paused (user)",
            Self::T7 => source == "absent" && destination == "paused (user)",
        }
    }
}

/// Begins a migration and brings it to the moment.
pub(crate) fn reach(world: &World, moment: Moment, mode: &[&str]) -> AtMoment {
    // (Without a limit that ferryd keeps to: then it has the ways of two spans open at once.)
    let link_mbit = match moment {
        Moment::S => Some(CARRYING_LINK_MBIT),
        _ => (moment >= Moment::T3).then_some(SLOW_LINK_MBIT),
    };
    if link_mbit.is_some() {
        world.host(DESTINATION).rate(link_mbit).expect("a slow link");
    }
    if matches!(moment, Moment::T5 | Moment::T6) {
        world.host(SOURCE).prepare_hold(DESTINATION).expect("replies can be held");
    }
    let line = [&["migrate", GUEST, "--to", DESTINATION, "--detach"], moment.request(), mode].concat();
    let task: Task = world.ferry_json(&line);
    match moment {
        Moment::T0 => {}
        Moment::S => wait_carried(world, task.id),
        Moment::P => wait_switched(world, task.id),
        Moment::D => wait_disk(world, task.id),
        Moment::T1 => wait_pass(world, task.id, |pass| pass == 1),
        Moment::T2 => wait_pass(world, task.id, |pass| pass >= 2),
        _ => wait_frozen(world, task.id),
    }
    let reached = Instant::now();
    if moment >= Moment::T4 {
        world.host(DESTINATION).rate(Some(TRICKLE_MBIT)).expect("a slower link");
    }
    match moment {
        Moment::T4 => world.host(DESTINATION).freeze(Daemon::Libvirtd).expect("frozen"),
        Moment::T5 | Moment::T6 => world.host(SOURCE).hold().expect("a hold"),
        Moment::T7 => sides::signal(world.pid_of_ferryd(), Signal::STOP),
        _ => {}
    }
    if moment >= Moment::T4 {
        let sides = Sides::of(world);
        let still = sides.source == "paused (migrating)" && sides.destination != "paused (user)";
        assert!(still, "the last data went too fast for {moment:?}: {sides}");
        world.host(DESTINATION).rate(None).expect("a fast link");
        wait_finish(world, moment);
    }
    let sides = Sides::of(world);
    assert!(moment.shows_in(&sides), "missed {moment:?}: {sides}");
    AtMoment { moment, task: task.id, sides, reached }
}

fn wait_pass(world: &World, task: Uuid, wanted: impl Fn(u64) -> bool) {
    let source = world.host(SOURCE);
    wait_under_way(world, task, "the pass", || wanted(sides::pass(&source)));
}

fn wait_switched(world: &World, task: Uuid) {
    wait_under_way(world, task, "the switch", || Moment::P.shows_in(&Sides::of(world)));
}

fn wait_disk(world: &World, task: Uuid) {
    let source = world.host(SOURCE);
    wait_under_way(world, task, "the disk", || sides::disk_is_on_its_way(&source));
}

fn wait_carried(world: &World, task: Uuid) {
    let ballast = world.host(DESTINATION).path(BALLAST).expect("it has power");
    let some = || std::fs::metadata(&ballast).is_ok_and(|file| file.blocks() * 512 >= CARRIED_BYTES);
    wait_under_way(world, task, "a part of the disk", some);
}

fn wait_frozen(world: &World, task: Uuid) {
    let source = world.host(SOURCE);
    wait_under_way(world, task, "the stop-and-copy", || sides::state(&source) == "paused (migrating)");
}

/// Waits for something of a migration; one that has ended will not come to it any more.
fn wait_under_way(world: &World, task: Uuid, what: &str, there: impl Fn() -> bool) {
    let checked = Cell::new(Instant::now());
    let look = || {
        if there() {
            return Some(());
        }
        if checked.get().elapsed() > Duration::from_secs(1) {
            checked.set(Instant::now());
            let task = world.task(task);
            assert!(!task.state.is_final(), "it ended before {what}: {task:#?}");
        }
        None
    };
    until(COMES_WITHIN, what, look);
}

fn wait_finish(world: &World, moment: Moment) {
    let (source, destination) = (world.host(SOURCE), world.host(DESTINATION));
    let has = |host, wanted| (sides::state(host) == wanted).then_some(());
    match moment {
        Moment::T4 => {
            until(COMES_WITHIN, "the end of the data", || (!sides::data_flows(&source)).then_some(()))
        }
        Moment::T7 => {
            until(COMES_WITHIN, "the source lets go", || has(&source, "absent"));
            until(COMES_WITHIN, "the destination waits", || has(&destination, "paused (user)"));
        }
        _ => until(COMES_WITHIN, "Finish", || has(&destination, "paused (user)")),
    }
    if moment == Moment::T6 {
        source.freeze(Daemon::Libvirtd).expect("frozen");
        source.let_go().expect("the reply arrives");
    }
}

impl AtMoment {
    /// Fails if the moment may have passed before the fault was struck. All but the stop-and-copy wait for as long as it takes.
    pub(crate) fn struck(&self) {
        let took = self.reached.elapsed();
        assert!(
            self.moment != Moment::T3 || took < WINDOW,
            "struck {took:?} after the stop-and-copy began: too late"
        );
    }

    /// Stops keeping the migration at its moment, but for what the fault itself does.
    pub(crate) fn let_go_on(&self, world: &World, daemons: &super::strike::Down) {
        if self.moment == Moment::T4 && !daemons.destination {
            world.host(DESTINATION).thaw(Daemon::Libvirtd).expect("thawed");
        }
        if self.moment == Moment::T5 && world.host(SOURCE).is_running() {
            world.host(SOURCE).let_go().expect("let go");
        }
        if self.moment == Moment::T6 && !daemons.source {
            world.host(SOURCE).thaw(Daemon::Libvirtd).expect("thawed");
        }
        if self.moment == Moment::T7 && !daemons.ferryd {
            sides::signal(world.pid_of_ferryd(), Signal::CONT);
        }
    }
}
