//! The simulated twin of a cell of the matrix of faults: the same fault at the same moment of a migration, played with many
//! seeds. What real hosts were seen to do in that cell must be among what comes of it here; otherwise the simulation is wrong
//! about libvirt, and what the histories prove is worth less.
//!
//! | moment | how it is held here |
//! |---|---|
//! | T0 | the task has just been made, and its first steps are done |
//! | T1, T2 | the copy lasts some seconds |
//! | T3 | so does the stop-and-copy |
//! | T4 | the destination's daemon stands still from the stop-and-copy on |
//! | T5 | the destination's answer takes long |
//! | T6 | the source's daemon stands still when the answer comes |
//! | T7 | the controller stands still from the stop-and-copy on |

use std::collections::BTreeSet;

use api::task::{Location, TaskState};

use crate::history::play_scenario;
use crate::scenario::{Fault, Noise, Scenario, Trigger, What};
use crate::world::migration::Phase;
use crate::world::{DESTINATION, Ms, SOURCE};

/// How long what holds a moment goes on after the fault was struck.
const HELD_ON: Ms = 300;
/// The longest pause that is asked for where the stop-and-copy is stretched.
const MAX_DOWNTIME: Ms = 8_000;

/// A moment of a migration, as in the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Its task has just been made.
    T0,
    /// The first pass over the memory.
    T1,
    /// A later pass.
    T2,
    /// Stop-and-copy.
    T3,
    /// Everything is sent, the destination has not finished.
    T4,
    /// The destination has finished, the source does not know.
    T5,
    /// The source could know, and has not confirmed.
    T6,
    /// The source is gone, the destination waits.
    T7,
}

/// What came of a cell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// What source and destination said right before the fault was struck, in libvirt's words.
    pub sides: [String; 2],
    /// The task's last state.
    pub state: String,
    /// Where the guest is, by the task.
    pub location: String,
    /// Whether the task says that its memory is lost.
    pub memory_lost: bool,
}

impl Outcome {
    /// An outcome, in words that can be compared.
    #[must_use]
    pub fn new(sides: [String; 2], state: TaskState, location: Location, memory_lost: bool) -> Self {
        Self { sides, state: format!("{state:?}"), location: format!("{location:?}"), memory_lost }
    }
}

/// Everything that comes of these faults at that moment, with the seeds from 1 to `seeds`.
///
/// # Errors
/// A history violated what must always hold, or could not be played.
pub fn outcomes(
    moment: Moment,
    faults: &[What],
    autostart: bool,
    seeds: u64,
) -> anyhow::Result<BTreeSet<Outcome>> {
    let mut found = BTreeSet::new();
    for seed in 1..=seeds {
        let report = play_scenario(scenario(moment, faults, autostart, seed), seed, None, false)?;
        if let Some(violation) = report.violation {
            anyhow::bail!("{faults:?} at {moment:?}, seed {seed}: {violation}");
        }
        // A history in which the moment did not come is none of this cell.
        if let (Some(sides), Some(state), Some(outcome)) = (report.looked, report.state, report.outcome) {
            found.insert(Outcome::new(sides, state, outcome.location, outcome.memory_lost));
        }
    }
    Ok(found)
}

fn scenario(moment: Moment, faults: &[What], autostart: bool, seed: u64) -> Scenario {
    let (hold, trigger) = moment.held(faults, seed);
    let strike = |what: &What| Fault { trigger, what: *what };
    let stretched = moment >= Moment::T3;
    Scenario {
        shell: true,
        persistent: true,
        autostart,
        wants_running: true,
        cold: false,
        files: false,
        copy: false,
        deletes: false,
        direct: false,
        post_copy: None,
        follow_ms: 0,
        copy_ms: if stretched { 2_000 } else { 6_000 },
        switch_ms: match moment {
            Moment::T3 => 6_000,
            _ if stretched => 1_000,
            _ => 100,
        },
        windows_ms: [20, 20, if moment == Moment::T5 { 500 + HELD_ON } else { 20 }],
        max_downtime_ms: stretched.then_some(MAX_DOWNTIME),
        controllers: 1,
        noise: Noise::default(),
        faults: hold.into_iter().chain([strike(&What::Look)]).chain(faults.iter().map(strike)).collect(),
        person_after: None,
        person_keeps_source: false,
        again: false,
        hasty: false,
    }
}

impl Moment {
    /// What holds a migration at this moment, and when the fault is struck.
    fn held(self, faults: &[What], seed: u64) -> (Option<Fault>, Trigger) {
        // A daemon that the fault freezes stands still already: it goes on to do so.
        let frozen = |host: usize| {
            let lasts = faults.iter().find_map(|what| match what {
                What::DaemonFreeze(at, lasts) if *at == host => Some(*lasts),
                _ => None,
            });
            lasts.unwrap_or(HELD_ON)
        };
        let hold = |phase, delay, what| Some(Fault { trigger: Trigger::Phase(phase, delay), what });
        match self {
            // Its first steps take some milliseconds.
            Self::T0 => (None, Trigger::At(1 + seed % 16)),
            Self::T1 => (None, Trigger::Phase(Phase::Copy, 300)),
            Self::T2 => (None, Trigger::Phase(Phase::Copy, 3_000)),
            Self::T3 => (None, Trigger::Phase(Phase::SwitchOver, 1_000)),
            Self::T4 => {
                let freeze = What::DaemonFreeze(DESTINATION, 1_200 + frozen(DESTINATION));
                (hold(Phase::SwitchOver, 100, freeze), Trigger::Phase(Phase::Sent, 300))
            }
            Self::T5 => (None, Trigger::Phase(Phase::Answer, 500)),
            Self::T6 => {
                let freeze = What::DaemonFreeze(SOURCE, 500 + frozen(SOURCE));
                (hold(Phase::Answer, 0, freeze), Trigger::Phase(Phase::Answer, 500))
            }
            Self::T7 => {
                let freeze = What::ControllerFreeze(0, 1_800 + HELD_ON);
                (hold(Phase::SwitchOver, 50, freeze), Trigger::Phase(Phase::Dying, 300))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_that_dies_at_the_first_steps_either_begins_or_gives_up() {
        let found = outcomes(Moment::T0, &[What::ControllerKill(0, 500)], true, 64).expect("histories hold");
        let states: BTreeSet<&str> = found.iter().map(|outcome| outcome.state.as_str()).collect();
        assert_eq!(states, BTreeSet::from(["Done", "Failed"]), "{found:#?}");
    }

    #[test]
    fn every_moment_shows_on_both_sides() {
        for (moment, source, destination) in [
            (Moment::T0, "running (booted)", "absent"),
            (Moment::T1, "running (booted)", "paused (migrating)"),
            (Moment::T2, "running (booted)", "paused (migrating)"),
            (Moment::T3, "paused (migrating)", "paused (migrating)"),
            (Moment::T4, "paused (migrating)", "no answer"),
            (Moment::T5, "paused (migrating)", "paused (user)"),
            (Moment::T6, "no answer", "paused (user)"),
            (Moment::T7, "absent", "paused (user)"),
        ] {
            let found = outcomes(moment, &[], true, 20).expect("histories hold");
            let sides = [source.to_owned(), destination.to_owned()];
            let moved = Outcome::new(sides, TaskState::Done, Location::Destination, false);
            assert_eq!(found, BTreeSet::from([moved]), "{moment:?}");
        }
    }
}
