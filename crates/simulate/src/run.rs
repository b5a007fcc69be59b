//! Many histories, on all cores.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use serde::Serialize;

use crate::history::{Report, play};
use crate::plant::Plant;

/// What came of many histories.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Histories played.
    pub histories: u64,
    /// Those in which something happened that must never be.
    pub violations: u64,
    /// The smallest seed among them.
    pub first_failing_seed: Option<u64>,
    /// What happened there.
    pub first_violation: Option<String>,
    /// The smallest failing seed of each kind of violation, with how many there were, most first.
    pub kinds: Vec<Kind>,
    /// Histories a minute.
    pub per_minute: u64,
    /// Faults that came about.
    pub faults: u64,
    /// Simulated time.
    pub simulated_hours: u64,
    /// Tasks that ended done, failed, cancelled, or were left to a person.
    pub ended: Ended,
}

/// Violations that differ only in their numbers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Kind {
    /// The smallest seed.
    pub seed: u64,
    /// How many.
    pub count: u64,
    /// What happened there.
    pub violation: String,
}

/// How tasks ended.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Ended {
    /// On the destination.
    pub done: u64,
    /// Otherwise than wished.
    pub failed: u64,
    /// Called off.
    pub cancelled: u64,
    /// Waiting for a person.
    pub needs_attention: u64,
    /// None of these.
    pub other: u64,
}

#[derive(Default)]
struct Sum {
    summary: Summary,
    simulated_ms: u64,
}

impl Sum {
    fn add(&mut self, seed: u64, report: Report) {
        use api::task::TaskState as S;
        let summary = &mut self.summary;
        summary.histories += 1;
        summary.faults += u64::from(report.faults);
        self.simulated_ms += report.lasted_ms;
        let ended = &mut summary.ended;
        *match report.state {
            Some(S::Done) => &mut ended.done,
            Some(S::Failed) => &mut ended.failed,
            Some(S::Cancelled) => &mut ended.cancelled,
            Some(S::NeedsAttention) => &mut ended.needs_attention,
            _ => &mut ended.other,
        } += 1;
        let Some(violation) = report.violation else { return };
        summary.violations += 1;
        if summary.first_failing_seed.is_none_or(|first| seed < first) {
            summary.first_failing_seed = Some(seed);
            summary.first_violation = Some(violation.clone());
        }
        let words = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
        let known = summary.kinds.iter_mut().find(|kind| words(&kind.violation) == words(&violation));
        match known {
            None => summary.kinds.push(Kind { seed, count: 1, violation }),
            Some(kind) => {
                kind.count += 1;
                if seed < kind.seed {
                    (kind.seed, kind.violation) = (seed, violation);
                }
            }
        }
        summary.kinds.sort_by_key(|kind| (std::cmp::Reverse(kind.count), kind.seed));
    }
}

/// Plays the histories of `count` seeds from `first` on; with `until_found` only until one fails.
///
/// # Errors
/// A runtime cannot be made.
pub fn run(first: u64, count: u64, plant: Option<Plant>, until_found: bool) -> anyhow::Result<Summary> {
    let (next, found) = (AtomicU64::new(first), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let began = Instant::now();
    let work = || -> std::io::Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first.saturating_add(count) || (until_found && found.load(Ordering::Relaxed)) {
                return Ok(());
            }
            let report = play(seed, plant, false)?;
            found.fetch_or(report.violation.is_some(), Ordering::Relaxed);
            sum.lock().unwrap_or_else(PoisonError::into_inner).add(seed, report);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("a history could not be played to its end"))??;
        }
        anyhow::Ok(())
    })?;
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut summary = sum.summary;
    summary.simulated_hours = sum.simulated_ms / 3_600_000;
    let millis = began.elapsed().as_millis().max(1);
    summary.per_minute = u64::try_from(u128::from(summary.histories) * 60_000 / millis).unwrap_or(u64::MAX);
    Ok(summary)
}
