//! What a controller passes on its way to anything outside it: open, or shut because it is frozen or dead.
//!
//! A controller whose gate is shut for good has no effect on anything any more, which is what death is; its tasks stand where
//! they are until the history is over. One whose gate opens again goes on as a process does that was stopped: what was
//! answered meanwhile it learns now.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use tokio::sync::Notify;

/// The state of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Open.
    Open = 0,
    /// Shut for a while.
    Frozen = 1,
    /// Shut for ever.
    Dead = 2,
}

/// One controller's gate. Those who wait at it go on in the order in which they came: tokio's own watch channel wakes its
/// receivers in an order of chance, by which a history could not be played again.
#[derive(Debug, Default)]
pub struct Gate {
    passage: AtomicU8,
    opened: Notify,
    /// Dies when so many have passed; 0 for never.
    fuse: AtomicU32,
}

impl Gate {
    /// Waits until the gate is open; for ever, if it never is again.
    pub async fn pass(&self) {
        if self.is_open() {
            self.burn();
        }
        while !self.is_open() {
            self.opened.notified().await;
        }
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
        if !self.is_dead() {
            self.passage.store(to as u8, Ordering::Relaxed);
            if to == Passage::Open {
                self.opened.notify_waiters();
            }
        }
    }

    /// Whether the controller is dead.
    pub fn is_dead(&self) -> bool {
        self.passage.load(Ordering::Relaxed) == Passage::Dead as u8
    }

    /// Whether it works.
    pub fn is_open(&self) -> bool {
        self.passage.load(Ordering::Relaxed) == Passage::Open as u8
    }
}
