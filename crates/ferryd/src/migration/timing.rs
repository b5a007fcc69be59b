//! The time limits of a migration.

use std::time::Duration;

/// Time limits of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two looks at the job's figures.
    pub poll: Duration,
    /// Between two stored progress events.
    pub report: Duration,
    /// How long a frozen guest waits for a destination that does not answer, or for data that does not move.
    pub freeze: Duration,
    /// How long a running guest's migration waits for a destination that does not answer.
    pub silence: Duration,
    /// How long an answer may be missing before the task ends without it, where that is safe.
    pub waited: Duration,
    /// How long an answer may be missing before a person is asked.
    pub patience: Duration,
    /// How long after a restart a call of the controller that died may still take effect.
    pub linger: Duration,
    /// Longest pause between two looks.
    pub look: Duration,
    /// How much longer than one host the other may take to answer until a decision is made without it.
    pub glance: Duration,
    /// How old what was seen may be when it is acted upon, from the question on; more than an answer may take.
    pub stale: Duration,
    /// How much of a file is carried before it is read again where it arrived; less is gone back after a break.
    pub span_bytes: u64,
    /// How long the source may be out of sight around the hand-over until libvirt there may have let its copy run on by itself: less
    /// than its own keep-alive takes (30 s by default: `keepalive_interval` and `keepalive_count` in qemu.conf) to give the
    /// destination up.
    pub out_of_sight: Duration,
}

impl Timing {
    /// The limits that keep a guest from being frozen for longer than `bound` when its destination is gone: two fifths of it to
    /// notice, the rest to break off, to be believed by libvirt, and to resume.
    #[must_use]
    pub fn with_bound(bound: Duration) -> Self {
        Self {
            poll: Duration::from_millis(250),
            report: Duration::from_millis(500),
            freeze: bound * 2 / 5,
            silence: bound * 4 / 3,
            waited: Duration::from_secs(10),
            patience: Duration::from_secs(120),
            linger: Duration::from_secs(3),
            look: Duration::from_secs(2),
            glance: Duration::from_secs(1),
            stale: Duration::from_secs(7),
            span_bytes: 128 << 20,
            out_of_sight: Duration::from_secs(20),
        }
    }
}
