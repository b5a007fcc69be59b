//! ferryd killed with SIGKILL right before and after every write of its log, in migrations that succeed, that are cancelled and
//! that break, and at random moments: `./test --all-faults`.

mod faults;
mod support;

use std::time::Duration;

use faults::Moment::{self, *};
use faults::cell::Cell;
use faults::kill::{Lot, Shuttle, dies_in};
use faults::strike::Fault;
use faults::two;

/// A migration of the guest used here takes about this long.
const WHOLE_MIGRATION_MS: u64 = 4000;
const RANDOM_KILLS: u32 = 10;

fn succeeds(step: &str) {
    Shuttle::up(T3).dies_around(step, &[], |_| {});
}

#[test]
fn around_prepare() {
    succeeds("prepare");
}

#[test]
fn around_perform() {
    succeeds("perform");
}

#[test]
fn around_the_resume_of_the_destination() {
    succeeds("resume-destination");
}

#[test]
fn around_the_autostart_of_the_destination() {
    succeeds("autostart-destination");
}

#[test]
fn around_the_limit_of_the_bandwidth() {
    Shuttle::up(T3).dies_around("limit-bandwidth", &["--bandwidth", "200MiB/s"], |_| {});
}

#[test]
fn around_the_switch_to_post_copy() {
    Shuttle::up(P).dies_around("start-post-copy", &["--post-copy", "now"], |_| {});
}

#[test]
fn around_giving_way_to_post_copy() {
    let flags = ["--post-copy", "when-stuck", "--bandwidth", "16MiB/s"];
    Shuttle::up(T2).dies_around("give-way", &flags, |_| {});
}

fn cancelled(step: &str) {
    let cancel = |shuttle: &Shuttle| {
        let task = shuttle.newest();
        shuttle.world.wait_task(task, "the copy", support::tasks::is_copying);
        // It may die before it has answered.
        shuttle.world.ferry(&["task", "cancel", &task.to_string()]);
    };
    Shuttle::up(T2).dies_around(step, &["--bandwidth", "16MiB/s"], cancel);
}

#[test]
fn around_the_abort() {
    cancelled("abort-job");
}

#[test]
fn around_the_autostart_of_the_source() {
    cancelled("autostart-source");
}

fn breaks(fault: Fault, moment: Moment, step: &str) {
    dies_in(Cell::new(fault, moment), step);
}

#[test]
fn around_the_closing_of_connections() {
    breaks(Fault::CableOut50s, T3, "close-sockets");
}

#[test]
fn around_the_resume_of_the_source() {
    breaks(Fault::SourceDaemonAndDestinationQemuKilled, T4, "resume-source");
}

#[test]
fn around_the_end_of_the_source() {
    breaks(Fault::SourceDaemonKilled, T5, "destroy-source");
}

#[test]
fn around_the_removal_from_the_source() {
    breaks(Fault::SourceDaemonKilled, T5, "undefine-source");
}

#[test]
fn around_the_end_of_the_destination() {
    breaks(Fault::LinkBetweenDropped, T5, "destroy-destination");
}

#[test]
fn around_the_removal_from_the_destination() {
    breaks(Fault::LinkBetweenDropped, T5, "undefine-destination");
}

#[test]
fn around_the_definition_on_the_source() {
    breaks(Fault::RemovedFromDestination, T7, "define-source");
}

#[test]
fn around_joining_post_copy_again() {
    dies_in(Cell::post_copy(Fault::CableOut50s, P), "recover-post-copy");
}

#[test]
fn around_the_suspension_of_both() {
    two::dies_around("suspend-both");
}

fn at_random_moments(seed: u64) {
    println!("seed {seed}");
    let mut lot = Lot(seed);
    let mut shuttle = Shuttle::up(T3);
    for _ in 0..RANDOM_KILLS {
        shuttle.dies_after(Duration::from_millis(lot.below(WHOLE_MIGRATION_MS)));
    }
}

#[test]
fn at_random_moments_one_to_ten() {
    at_random_moments(1);
}

#[test]
fn at_random_moments_eleven_to_twenty() {
    at_random_moments(2);
}
