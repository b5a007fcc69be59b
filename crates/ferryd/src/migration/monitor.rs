//! What is seen of a migration under way: figures, the pause, and whether anything still moves. Pure but for the clock.

use std::time::Duration;

use api::task::Progress;
use tokio::time::Instant;

use crate::model::domain::{Answer, DomainEvent, JobFigures};

/// From this pass on a copy can be said not to converge: the first sends everything, the second what was rewritten meanwhile.
const STUCK_FROM_PASS: u64 = 4;

/// Eyes on one migration.
#[derive(Clone, Debug)]
pub(super) struct Monitor {
    began: Instant,
    figures: Option<JobFigures>,
    completed: Option<JobFigures>,
    suspended_at: Option<Instant>,
    resumed_at: Option<Instant>,
    /// When the figures last changed.
    moved_at: Instant,
    /// When the destination last answered.
    answered_at: Instant,
    reported_at: Option<Instant>,
    broke_off_at: Option<Instant>,
    /// It was broken off since the guest stands.
    broke_off_frozen: bool,
    /// Since when the source has said that no job is at work.
    idle_since: Option<Instant>,
    /// What was left when the pass before this one began, and when this one did.
    passes: Passes,
}

/// How much memory each pass over it had to send.
#[derive(Clone, Copy, Debug, Default)]
struct Passes {
    number: u64,
    before_bytes: u64,
    now_bytes: u64,
}

impl Monitor {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            figures: None,
            completed: None,
            suspended_at: None,
            resumed_at: None,
            moved_at: now,
            answered_at: now,
            reported_at: None,
            broke_off_at: None,
            broke_off_frozen: false,
            idle_since: None,
            passes: Passes::default(),
        }
    }

    /// Begins to measure the copy.
    pub(super) fn begin(&mut self) {
        *self = Self::new();
    }

    /// Takes an event of the source's.
    pub(super) fn source_told(&mut self, event: DomainEvent) {
        let now = Instant::now();
        self.moved_at = now;
        match event {
            DomainEvent::SuspendedMigrated => self.suspended_at = Some(now),
            // Running again: the switch-over did not take place.
            DomainEvent::Resumed => (self.suspended_at, self.broke_off_frozen) = (None, false),
            DomainEvent::JobCompleted(figures) => self.completed = Some(figures),
            DomainEvent::Iteration(iteration) => {
                self.figures.get_or_insert_default().iteration = iteration;
            }
            _ => {}
        }
    }

    /// Takes what a look at the source saw, for one whose events were missed.
    pub(super) fn source_seen(&mut self, frozen: bool, running: bool) {
        if frozen {
            self.suspended_at.get_or_insert_with(Instant::now);
        } else if running && self.resumed_at.is_none() {
            (self.suspended_at, self.broke_off_frozen) = (None, false);
        }
    }

    /// Takes the job's figures; true when they differ from the last ones.
    pub(super) fn job_told(&mut self, figures: JobFigures) -> bool {
        let moved = self.figures.is_none_or(|last| {
            (last.data_processed_bytes, last.memory_remaining_bytes, last.iteration)
                != (figures.data_processed_bytes, figures.memory_remaining_bytes, figures.iteration)
        });
        if moved {
            self.moved_at = Instant::now();
        }
        if figures.active {
            self.figures = Some(figures);
            if figures.iteration != self.passes.number {
                self.passes =
                    Passes { number: figures.iteration, before_bytes: self.passes.now_bytes, now_bytes: 0 };
            }
            self.passes.now_bytes = self.passes.now_bytes.max(figures.memory_remaining_bytes);
        }
        moved
    }

    /// Whether the guest rewrites its memory about as fast as it is sent: after the first passes, one has hardly less to send than the
    /// one before it.
    pub(super) fn does_not_converge(&self) -> bool {
        let Some(figures) = self.figures else { return false };
        let no_less = self.passes.now_bytes >= self.passes.before_bytes / 10 * 8;
        let as_fast = figures.dirty_bytes_s >= figures.memory_bytes_s / 10 * 8;
        let seen = self.passes.before_bytes > 0 && figures.memory_bytes_s > 0;
        !self.frozen() && figures.active && figures.iteration >= STUCK_FROM_PASS && seen && no_less && as_fast
    }

    /// Takes the source's word on whether a job is at work.
    pub(super) fn job_is(&mut self, at_work: bool) {
        self.idle_since = if at_work { None } else { self.idle_since.or_else(|| Some(Instant::now())) };
    }

    /// How long the source has said that no job is at work.
    pub(super) fn idle_for(&self) -> Duration {
        self.idle_since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Takes the destination's answer to "are you there".
    pub(super) fn destination_told(&mut self, answer: &Answer) {
        if !matches!(answer, Answer::Unknown(_)) {
            self.answered_at = Instant::now();
        }
    }

    /// Notes that the guest was resumed, on whichever side.
    pub(super) fn resumed(&mut self) {
        self.resumed_at.get_or_insert_with(Instant::now);
    }

    /// Whether the guest is paused for the switch-over now.
    pub(super) fn frozen(&self) -> bool {
        self.suspended_at.is_some() && self.resumed_at.is_none()
    }

    /// Whether the migration waits for something that does not come: `freeze` limits a frozen guest, `silence` a running one;
    /// `switch_over` is how long the last data may take by the request.
    pub(super) fn stuck(&self, freeze: Duration, silence: Duration, switch_over: Duration) -> bool {
        if !self.frozen() {
            return self.answered_at.elapsed() > silence;
        }
        let frozen_for = self.suspended_at.map(|at| at.elapsed()).unwrap_or_default();
        let silent = self.answered_at.elapsed() > freeze;
        let still = self.moved_at.elapsed() > freeze;
        frozen_for > freeze && (silent || (still && frozen_for > freeze + switch_over))
    }

    /// Whether a copy that had begun has not moved for so long. (Before it begins, the destination may take its time: to start a QEMU with
    /// much memory, perhaps.)
    pub(super) fn stands_still(&self, limit: Duration) -> bool {
        let begun = self.figures.is_some_and(|figures| figures.data_processed_bytes > 0);
        begun && !self.frozen() && self.moved_at.elapsed() > limit
    }

    /// Whether it is time to break off (again): closing connections may miss one that is just being made.
    pub(super) fn break_off_due(&mut self, every: Duration) -> bool {
        let due = self.broke_off_at.is_none_or(|at| at.elapsed() >= every);
        if due {
            self.broke_off_at = Some(Instant::now());
        }
        due
    }

    /// It is broken off now; whether it was before, since the guest stands.
    pub(super) fn broke_off(&mut self) -> bool {
        self.frozen() && std::mem::replace(&mut self.broke_off_frozen, true)
    }

    /// Whether it is time for another progress event.
    pub(super) fn report_due(&mut self, every: Duration) -> bool {
        let due = self.reported_at.is_none_or(|at| at.elapsed() >= every);
        if due {
            self.reported_at = Some(Instant::now());
        }
        due
    }

    /// The figures as clients see them.
    pub(super) fn progress(&self) -> Option<Progress> {
        let figures = self.figures?;
        Some(Progress {
            elapsed_ms: millis(self.began.elapsed()),
            memory_processed_bytes: figures.memory_processed_bytes,
            memory_remaining_bytes: figures.memory_remaining_bytes,
            memory_total_bytes: figures.memory_total_bytes,
            memory_bytes_s: figures.memory_bytes_s,
            dirty_bytes_s: figures.dirty_bytes_s,
            iteration: figures.iteration,
            storage_processed_bytes: figures.disk_total_bytes.and(Some(figures.disk_processed_bytes)),
            storage_total_bytes: figures.disk_total_bytes,
            expected_downtime_ms: figures.downtime_ms,
        })
    }

    /// How long the guest was paused: from the source's event to the answer of the resume, where both were seen; otherwise what
    /// libvirt measured.
    pub(super) fn downtime_ms(&self) -> Option<u64> {
        match (self.suspended_at, self.resumed_at) {
            (Some(suspended), Some(resumed)) => Some(millis(resumed.saturating_duration_since(suspended))),
            _ => self.completed.and_then(|figures| figures.downtime_ms),
        }
    }

    /// Data sent.
    pub(super) fn transferred_bytes(&self) -> Option<u64> {
        // Of some completed jobs libvirt tells times only.
        let told = |figures: &JobFigures| figures.data_processed_bytes > 0;
        self.completed.filter(told).or(self.figures).map(|figures| figures.data_processed_bytes)
    }

    /// Passes over the memory.
    pub(super) fn iterations(&self) -> Option<u64> {
        self.figures.map(|figures| figures.iteration).filter(|iteration| *iteration > 0)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREEZE: Duration = Duration::from_secs(6);
    const SILENCE: Duration = Duration::from_secs(20);
    const SWITCH: Duration = Duration::from_millis(300);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_break_off_was_in_vain_only_where_the_guest_stands_ever_since() {
        let mut monitor = Monitor::new();
        assert!(!monitor.broke_off() && !monitor.broke_off(), "it runs");
        monitor.source_seen(true, false);
        assert!(!monitor.broke_off(), "the first");
        assert!(monitor.broke_off() && monitor.broke_off());
        monitor.source_told(DomainEvent::Resumed);
        monitor.source_told(DomainEvent::SuspendedMigrated);
        assert!(!monitor.broke_off(), "the first of another freeze");
    }

    #[tokio::test(start_paused = true)]
    async fn a_frozen_guest_waits_less_long_than_a_running_one() {
        let mut monitor = Monitor::new();
        tokio::time::advance(seconds(10)).await;
        assert!(!monitor.stuck(FREEZE, SILENCE, SWITCH), "a running guest is in no hurry");
        monitor.source_told(DomainEvent::SuspendedMigrated);
        assert!(!monitor.stuck(FREEZE, SILENCE, SWITCH), "it has just been frozen");
        tokio::time::advance(seconds(7)).await;
        assert!(monitor.stuck(FREEZE, SILENCE, SWITCH), "frozen, and the destination is silent");
        monitor.resumed();
        monitor.destination_told(&Answer::Absent);
        assert!(!monitor.stuck(FREEZE, SILENCE, SWITCH));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_switch_over_that_moves_is_left_alone() {
        let mut monitor = Monitor::new();
        monitor.source_told(DomainEvent::SuspendedMigrated);
        for remaining in (0..30).rev() {
            tokio::time::advance(seconds(1)).await;
            monitor.destination_told(&Answer::Absent);
            monitor.job_told(JobFigures {
                active: true,
                memory_remaining_bytes: remaining,
                ..JobFigures::default()
            });
            assert!(!monitor.stuck(FREEZE, SILENCE, SWITCH));
        }
        for _ in 0..7 {
            tokio::time::advance(seconds(1)).await;
            monitor.destination_told(&Answer::Absent);
        }
        assert!(monitor.stuck(FREEZE, SILENCE, SWITCH), "nothing moves any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_that_had_begun_stands_still() {
        let mut monitor = Monitor::new();
        tokio::time::advance(seconds(60)).await;
        assert!(!monitor.stands_still(seconds(40)), "it has not begun");
        let figures = JobFigures { active: true, data_processed_bytes: 1, ..JobFigures::default() };
        monitor.job_told(figures);
        for _ in 0..60 {
            assert!(!monitor.stands_still(seconds(40)));
            tokio::time::advance(seconds(1)).await;
            monitor.job_told(JobFigures {
                data_processed_bytes: monitor.transferred_bytes().unwrap() + 1,
                ..figures
            });
        }
        tokio::time::advance(seconds(41)).await;
        monitor.job_told(monitor.figures.unwrap());
        assert!(monitor.stands_still(seconds(40)), "the same figures are no movement");
        monitor.source_told(DomainEvent::SuspendedMigrated);
        tokio::time::advance(seconds(41)).await;
        assert!(!monitor.stands_still(seconds(40)), "a frozen guest has limits of its own");
    }

    #[tokio::test(start_paused = true)]
    async fn downtime_is_from_pause_to_resume() {
        let mut monitor = Monitor::new();
        assert_eq!(monitor.downtime_ms(), None);
        monitor.source_told(DomainEvent::SuspendedMigrated);
        tokio::time::advance(Duration::from_millis(87)).await;
        monitor.resumed();
        tokio::time::advance(seconds(1)).await;
        monitor.resumed();
        assert_eq!(monitor.downtime_ms(), Some(87));
    }
}
