//! What a controller passes on its way to anything outside it: open, or shut because it is frozen or dead.
//!
//! A controller whose gate is shut for good has no effect on anything any more, which is what death is; its tasks stand where
//! they are until the history is over. One whose gate opens again goes on as a process does that was stopped: what was
//! answered meanwhile it learns now.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::watch;

/// The state of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Open.
    Open,
    /// Shut for a while.
    Frozen,
    /// Shut for ever.
    Dead,
}

/// One controller's gate.
#[derive(Debug)]
pub struct Gate {
    passage: watch::Sender<Passage>,
    /// Dies when so many have passed; 0 for never.
    fuse: AtomicU32,
}

impl Default for Gate {
    fn default() -> Self {
        Self { passage: watch::Sender::new(Passage::Open), fuse: AtomicU32::new(0) }
    }
}

impl Gate {
    /// Waits until the gate is open; for ever, if it never is again.
    pub async fn pass(&self) {
        if *self.passage.borrow() == Passage::Open {
            self.burn();
        }
        let mut passage = self.passage.subscribe();
        // The sender lives as long as the gate.
        let _ = passage.wait_for(|passage| *passage == Passage::Open).await;
    }

    fn burn(&self) {
        let left = self.fuse.load(Ordering::Relaxed);
        if left > 0 {
            self.fuse.store(left - 1, Ordering::Relaxed);
            if left == 1 {
                self.set(Passage::Dead);
            }
        }
    }

    /// Dies at the `passes`-th passing from now.
    pub fn set_fuse(&self, passes: u32) {
        self.fuse.store(passes, Ordering::Relaxed);
    }

    /// Opens or shuts it; one that is dead stays so.
    pub fn set(&self, to: Passage) {
        self.passage.send_if_modified(|passage| {
            let changes = *passage != Passage::Dead && *passage != to;
            if changes {
                *passage = to;
            }
            changes
        });
    }

    /// Whether the controller is dead.
    pub fn is_dead(&self) -> bool {
        *self.passage.borrow() == Passage::Dead
    }

    /// Whether it works.
    pub fn is_open(&self) -> bool {
        *self.passage.borrow() == Passage::Open
    }
}
