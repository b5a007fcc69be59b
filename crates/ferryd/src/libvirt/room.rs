//! Whether what comes still fits where a file is written.
//!
//! libvirtd is not given what would not: 11.3 was seen to end by a fault in its memory as soon as what it takes from a stream finds no
//! space left (plain `virsh vol-upload` does it as well), and a service manager that starts it again and again gives up in the end.
//! It may come to that once, when somebody else takes all there is between two looks; the next look finds it.

use std::sync::Arc;
use std::time::Duration;

use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt_sys as sys;

use super::error::LibvirtError;
use crate::ssh::Session;
use crate::ssh::scripts;

/// So much is left to others: what is on its way is not counted where it arrives yet.
const RESERVE_BYTES: u64 = 16 << 20;
/// Of what is free, the part after which it is looked again.
const LOOKED_AFTER_PART: u64 = 8;
/// How much is written at least between two looks.
const LOOKED_AFTER_BYTES: u64 = 4 << 20;

const MIB: f64 = 1_048_576.0;

/// The room beside a file that is written.
pub(super) struct Room {
    session: Option<Arc<Session>>,
    path: String,
    limit: Duration,
    /// What was free at the last look; `None` where that could not be told, or cannot become short.
    free_bytes: Option<u64>,
    /// What was written since.
    taken_bytes: u64,
}

impl Room {
    /// The room beside this file, which is asked for within the limit.
    pub(super) fn of(session: Option<Arc<Session>>, path: &str, limit: Duration) -> Self {
        Self { session, path: path.to_owned(), limit, free_bytes: None, taken_bytes: 0 }
    }

    /// Looks how much there is: over the shell, and without one as libvirt saw it when it last looked through the pool, which it does
    /// after each stream.
    pub(super) fn look(&mut self, pool: &StoragePool, volume: &StorageVol) {
        self.taken_bytes = 0;
        // A device is as large as it is.
        let is_file = volume.info().is_ok_and(|info| info.kind == sys::VIR_STORAGE_VOL_FILE);
        self.free_bytes = match &self.session {
            _ if !is_file => None,
            Some(session) => {
                let script = scripts::free_beside(&self.path);
                let told = tokio::runtime::Handle::current().block_on(session.run(&script, self.limit));
                told.ok().and_then(|output| scripts::parse_free(&output.stdout))
            }
            None => pool.info().ok().map(|info| info.available),
        };
    }

    /// Makes sure that so many bytes fit, the next of `left_bytes` that are still to come, as far as that can be known.
    ///
    /// # Errors
    /// The system's own "no space left" where they do not.
    pub(super) fn take(
        &mut self,
        bytes: u64,
        left_bytes: u64,
        pool: &StoragePool,
        volume: &StorageVol,
    ) -> Result<(), LibvirtError> {
        if self.is_to_be_looked_at() {
            self.look(pool, volume);
        }
        match self.free_bytes {
            Some(free_bytes) if !fits(free_bytes, left_bytes) => Err(LibvirtError::no_space(&format!(
                "{:.1} MiB are free where {} lies",
                free_bytes as f64 / MIB,
                self.path
            ))),
            _ => {
                self.taken_bytes += bytes;
                Ok(())
            }
        }
    }

    fn is_to_be_looked_at(&self) -> bool {
        let after = self.free_bytes.map(|free| (free / LOOKED_AFTER_PART).max(LOOKED_AFTER_BYTES));
        after.is_some_and(|after| self.taken_bytes >= after)
    }
}

/// Whether what is still to come surely fits, or enough is free that it may go on.
fn fits(free_bytes: u64, left_bytes: u64) -> bool {
    free_bytes >= left_bytes.min(RESERVE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_needs_no_more_than_itself() {
        assert!(fits(1 << 20, 1 << 20) && !fits((1 << 20) - 1, 1 << 20));
        assert!(fits(RESERVE_BYTES, 1 << 30) && !fits(RESERVE_BYTES - 1, 1 << 30));
    }

    #[test]
    fn it_is_looked_again_sooner_where_little_is_free() {
        let of = |free_bytes, taken_bytes| {
            let limit = Duration::from_secs(1);
            Room { free_bytes, taken_bytes, ..Room::of(None, "/a", limit) }.is_to_be_looked_at()
        };
        assert!(of(Some(0), LOOKED_AFTER_BYTES) && !of(Some(0), LOOKED_AFTER_BYTES - 1));
        assert!(of(Some(8 << 30), 1 << 30) && !of(Some(8 << 30), (1 << 30) - 1));
        assert!(!of(None, u64::MAX), "what cannot be told is not asked for again");
    }
}
