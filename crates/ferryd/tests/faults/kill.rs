//! ferryd killed with SIGKILL at the boundaries of its steps, and at random moments; started again, it brings the migration to
//! its end. One lab serves many kills: the guest goes to and fro.

use std::time::Duration;

use api::task::Task;
use uuid::Uuid;

use super::cell::{Cell, judge, judge_moved, wait_final, wait_whole, world};
use super::subject::Subject;
use super::{DESTINATION, GUEST, Moment, SOURCE, again, moment};
use crate::support::tasks::POINTS;
use crate::support::{SOON, World, until};

/// How long it may take until ferryd comes to the point.
pub(super) const DIES_WITHIN: Duration = Duration::from_secs(90);

/// A guest on its way to and fro.
pub(crate) struct Shuttle {
    pub(crate) world: World,
    subject: Subject,
    at: &'static str,
}

impl Shuttle {
    /// A world with a guest on the source; its memory changes as fast as at this moment's cells.
    pub(crate) fn up(moment: Moment) -> Self {
        let world = world();
        let subject = Subject::started(&world, moment.guest());
        Self { world, subject, at: SOURCE }
    }

    fn other(&self) -> &'static str {
        if self.at == SOURCE { DESTINATION } else { SOURCE }
    }

    /// For each boundary of the step: a migration in which ferryd dies there. `during` makes the migration come to the step.
    pub(crate) fn dies_around(&mut self, step: &str, flags: &[&str], during: impl Fn(&Self)) {
        for point in POINTS {
            let boundary = format!("{step}:{point}");
            println!("-- {boundary}, from {}", self.at);
            will_die(&self.world, &self.subject, &boundary);
            let line = [&["migrate", GUEST, "--to", self.other(), "--detach"], flags].concat();
            // It may die before it has answered.
            self.world.ferry(&line);
            during(self);
            self.world.wait_ferryd_ends(DIES_WITHIN);
            self.world.start_ferryd();
            let task = self.newest();
            self.ends_well(task);
        }
    }

    /// A migration in which ferryd is killed after this time.
    pub(crate) fn dies_after(&mut self, delay: Duration) {
        println!("-- after {} ms, from {}", delay.as_millis(), self.at);
        let task: Task = self.world.ferry_json(&["migrate", GUEST, "--to", self.other(), "--detach"]);
        // The moment is what is drawn by lot here; nothing is waited for.
        std::thread::sleep(delay);
        self.world.kill_ferryd();
        self.world.start_ferryd();
        self.ends_well(task.id);
    }

    /// The task that was begun last.
    pub(crate) fn newest(&self) -> Uuid {
        let tasks: Vec<Task> = self.world.ferry_json(&["task", "list", "--all"]);
        tasks.first().expect("it was begun").id
    }

    fn ends_well(&mut self, task: Uuid) {
        let task = wait_final(&self.world, task);
        println!("   {:?}: {}", task.state, task.message);
        wait_whole(&self.world, &self.subject);
        let (from, to) = (self.at, self.other());
        self.at = judge_moved(&self.world, &self.subject, &task, from, to);
    }
}

/// Has ferryd start again, to die at this boundary, and waits until it knows the guest.
pub(super) fn will_die(world: &World, subject: &Subject, boundary: &str) {
    world.restart_ferryd_with(&[("FERRYD_DIE_AT", boundary)]);
    wait_whole(world, subject);
    let listed = || (world.ferry(&["vm", "show", GUEST]).code == Some(0)).then_some(());
    until(SOON, "the guest is listed", listed);
}

/// A cell in which ferryd dies at each boundary of a step that the fault brings about: a lab for each.
pub(crate) fn dies_in(cell: Cell, step: &str) {
    for point in POINTS {
        let boundary = format!("{step}:{point}");
        println!("-- {boundary}, {:?} at {:?}", cell.fault, cell.moment);
        let world = world();
        let mut spec = cell.moment.guest();
        spec.autostart = cell.fault.keeps_autostart();
        let subject = Subject::started(&world, spec);
        will_die(&world, &subject, &boundary);
        let at = moment::reach(&world, cell.moment, cell.mode.flags());
        cell.fault.strike(&world, &at, &subject.spec);
        cell.fault.heal(&world, || {});
        world.wait_ferryd_ends(DIES_WITHIN);
        world.start_ferryd();
        let task = wait_final(&world, at.task);
        println!("   {:?}: {}", task.state, task.message);
        wait_whole(&world, &subject);
        let owner = judge(&world, &subject, &task, cell);
        again::migrates(&world, &subject, &owner);
    }
}

/// Numbers drawn by lot, the same for the same seed (splitmix64).
pub(crate) struct Lot(pub(crate) u64);

impl Lot {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
