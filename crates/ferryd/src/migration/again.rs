//! Post-copy in a migration under way: beginning anew by it, the switch, and joining again what broke.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api::task::{Location, Phase, PostCopy};
use tokio::time::Instant;

use super::contact::Contact;
use super::held::Held;
use super::knowledge::Came;
use super::outcome::{Action, Ending, Knowledge};
use super::steps::{Acted, Work};
use crate::task::Stop;

/// Name of the step that gives a copy up which does not converge.
pub(super) const GIVE_WAY: &str = "give-way";

/// The pass over the memory from which on the switch is made: by then everything was sent once, and little is missing on the
/// destination.
const SWITCH_IN_PASS: u64 = 2;
/// Until a switch that was refused is tried again.
const SWITCH_AGAIN: Duration = Duration::from_secs(1);
/// Until a broken link is tried again, the first time and at most.
const RECOVER_AGAIN: Duration = Duration::from_secs(3);
const RECOVER_AGAIN_AT_MOST: Duration = Duration::from_secs(60);
/// For how long neither side has called it broken when it counts as joined.
const JOINED_AFTER: Duration = Duration::from_secs(5);
/// With post-copy the pause is the switch's: the copy shall not end by itself before that, because then nobody proves that the
/// source is gone before the destination runs (libvirt does not take `VIR_MIGRATE_PAUSED` with `VIR_MIGRATE_POSTCOPY`).
const SHORTEST_PAUSE_MS: u64 = 1;

/// The tries to join again what broke.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    at_work: Arc<AtomicBool>,
    /// When the first of them was made, since it broke.
    since: Option<Instant>,
    /// Since when neither side has called it broken.
    whole_since: Option<Instant>,
    again_at: Option<Instant>,
    pause: Option<Duration>,
}

impl Recovery {
    /// A try is under way, or was a moment ago.
    pub(super) fn is_busy(&self) -> bool {
        self.at_work.load(Ordering::Relaxed) || self.again_at.is_some_and(|at| Instant::now() < at)
    }

    /// For how long the tries have come to nothing.
    pub(super) fn failing_for(&self) -> Duration {
        self.since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Takes what both sides say: once neither has called it broken for a while, it is joined, and the next break is a new one. (The
    /// call that joined it lasts until all memory is over.)
    pub(super) fn looked(&mut self, is_broken: bool) {
        if is_broken {
            self.whole_since = None;
        } else if self.whole_since.get_or_insert_with(Instant::now).elapsed() > JOINED_AFTER {
            (self.since, self.pause) = (None, None);
        }
    }

    /// Notes a try; the flag is to be cleared when it has ended.
    fn begin(&mut self) -> Arc<AtomicBool> {
        let pause = self.pause.map_or(RECOVER_AGAIN, |pause| (pause * 2).min(RECOVER_AGAIN_AT_MOST));
        self.pause = Some(pause);
        self.since.get_or_insert_with(Instant::now);
        self.again_at = Some(Instant::now() + pause);
        self.at_work.store(true, Ordering::Relaxed);
        self.at_work.clone()
    }
}

impl Work {
    /// The longest pause that QEMU is told to allow.
    pub(super) fn longest_pause_ms(&self) -> Option<u64> {
        if self.know.post_copy { Some(SHORTEST_PAUSE_MS) } else { self.plan.max_downtime_ms }
    }

    /// Switches to post-copy when it is time.
    pub(super) async fn switch_if_due(&mut self) -> Result<(), Stop> {
        let called_off = self.know.cancel && !self.know.switch_intended;
        let in_time = self.monitor.iterations().is_some_and(|pass| pass >= SWITCH_IN_PASS);
        let tried = self.switch_tried.is_some_and(|at| at.elapsed() < SWITCH_AGAIN);
        if !self.know.post_copy || self.know.switched || called_off || !in_time || tried {
            return Ok(());
        }
        self.switch_tried = Some(Instant::now());
        if !matches!(self.act(Action::StartPostCopy, Instant::now()).await?, Acted::Done) {
            return Ok(());
        }
        let (from, to) = (self.plan.source.clone(), self.plan.destination.clone());
        self.handle
            .update(|task| {
                task.phase = Phase::SwitchOver;
                task.message = format!("the guest runs on {to}; the rest of its memory follows from {from}");
            })
            .await
    }

    /// A copy that does not converge gives way to post-copy, where that is allowed.
    pub(super) async fn give_way_if_due(&mut self) -> Result<(), Stop> {
        let wanted = self.plan.post_copy == Some(PostCopy::WhenStuck) && !self.know.post_copy;
        if !wanted || self.know.giving_way || self.know.cancel || !self.monitor.does_not_converge() {
            return Ok(());
        }
        let seq = self.handle.intend(GIVE_WAY, &serde_json::json!({})).await?;
        self.know.giving_way = true;
        self.abort_beside();
        self.handle.came_to(GIVE_WAY, seq, &Came::Done).await?;
        self.handle
            .update(|task| {
                task.message =
                    "the guest rewrites its memory faster than it is sent: beginning anew by post-copy"
                        .to_owned();
            })
            .await
    }

    /// Whether this end is the beginning of a second try: the copy was given up for that, and the guest runs at the source.
    pub(super) fn is_to_begin_again(&self, ending: &Ending) -> bool {
        let unharmed = ending.location == Location::Source && !ending.memory_lost && ending.owed.is_none();
        self.know.giving_way && !self.know.post_copy && !self.know.cancel && unharmed
    }

    /// Begins anew, by post-copy. False where a host does not answer: then it has ended as it stands.
    pub(super) async fn begin_by_post_copy(&mut self) -> Result<(), Stop> {
        self.know.giving_way = false;
        if !self.await_hosts().await {
            return Ok(());
        }
        self.know = Knowledge {
            wants_running: self.know.wants_running,
            persistent: self.know.persistent,
            autostart: self.know.autostart,
            needs_no_source: self.know.needs_no_source,
            post_copy: true,
            // What the copy that was given up had made there is gone: that was seen.
            not_begun: true,
            source_touched: true,
            ..Knowledge::default()
        };
        self.know.wish(self.handle.wish());
        // What came to nothing then was seen to be done since.
        self.held = Held::default();
        (self.contact, self.stood, self.run_stopped, self.cause) = (Contact::default(), None, false, None);
        if self.know.cancel {
            return Ok(());
        }
        match self.prepare().await? {
            Ok(()) => self.perform().await,
            Err(error) => {
                self.note_failure("prepare", &error);
                Ok(())
            }
        }
    }

    /// Has libvirt join both halves again, without waiting for the end: that comes when all memory is over.
    pub(super) fn recover_beside(&mut self) {
        let (source, domain, id) = (self.source.clone(), self.plan.domain, self.handle.id());
        let (call, at_work) = (self.plan.recovery_call(), self.recovery.begin());
        tokio::spawn(async move {
            if let Err(error) = source.migrate(domain, &call).await {
                tracing::info!(migration.id = %id, error = %error.cause(), "post-copy was not joined again");
            }
            at_work.store(false, Ordering::Relaxed);
        });
    }
}
