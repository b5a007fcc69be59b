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
use crate::hypervisor::SPARE_BYTES;
use crate::ssh::Session;
use crate::ssh::scripts;

/// Of what is free, the part after which it is looked again.
const LOOKED_AFTER_PART: u64 = 8;
/// How much is written at least between two looks: less than [`SPARE_BYTES`].
const LOOKED_AFTER_BYTES: u64 = 4 << 20;

const MIB: f64 = 1_048_576.0;

/// The room beside a file that is written.
pub(super) struct Room {
    session: Option<Arc<Session>>,
    path: String,
    limit: Duration,
    seen: Seen,
    /// What was written since.
    taken_bytes: u64,
}

/// What was seen at the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// There was none yet. Whoever is to write waits for its turn with the stream open, while others still write.
    NotYet,
    /// So much was free.
    Free(u64),
    /// That cannot be told, or cannot become short.
    Unknown,
}

impl Room {
    /// The room beside this file, which is asked for within the limit.
    pub(super) fn of(session: Option<Arc<Session>>, path: &str, limit: Duration) -> Self {
        Self { session, path: path.to_owned(), limit, seen: Seen::NotYet, taken_bytes: 0 }
    }

    /// Looks how much there is: over the shell, and without one by having libvirt look through the pool.
    fn look(&mut self, pool: &StoragePool, volume: &StorageVol) {
        self.taken_bytes = 0;
        // A device is as large as it is.
        let is_file = volume.info().is_ok_and(|info| info.kind == sys::VIR_STORAGE_VOL_FILE);
        let free_bytes = match &self.session {
            _ if !is_file => None,
            Some(session) => {
                let script = scripts::free_beside(&self.path);
                let told = tokio::runtime::Handle::current().block_on(session.run(&script, self.limit));
                told.ok().and_then(|output| scripts::parse_free(&output.stdout))
            }
            None => pool.refresh(0).and_then(|_| pool.info()).ok().map(|info| info.available),
        };
        self.seen = free_bytes.map_or(Seen::Unknown, Seen::Free);
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
        match self.seen {
            Seen::Free(free_bytes) if !fits(free_bytes, left_bytes) => Err(LibvirtError::no_space(&format!(
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
        match self.seen {
            Seen::NotYet => true,
            Seen::Free(free) => self.taken_bytes >= (free / LOOKED_AFTER_PART).max(LOOKED_AFTER_BYTES),
            Seen::Unknown => false,
        }
    }
}

/// Whether what is still to come surely fits, or enough is free that it may go on. (What is on its way is not counted where it arrives yet,
/// and holes are counted that take up nothing: the checks let nothing begin that would leave less.)
fn fits(free_bytes: u64, left_bytes: u64) -> bool {
    free_bytes >= left_bytes.min(SPARE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_needs_no_more_than_itself() {
        assert!(fits(1 << 20, 1 << 20) && !fits((1 << 20) - 1, 1 << 20));
        assert!(fits(SPARE_BYTES, 1 << 30) && !fits(SPARE_BYTES - 1, 1 << 30));
    }

    #[test]
    fn it_is_looked_again_sooner_where_little_is_free() {
        let of = |seen, taken_bytes| {
            let limit = Duration::from_secs(1);
            Room { seen, taken_bytes, ..Room::of(None, "/a", limit) }.is_to_be_looked_at()
        };
        assert!(of(Seen::NotYet, 0), "not before the first piece, and before that in any case");
        assert!(of(Seen::Free(0), LOOKED_AFTER_BYTES) && !of(Seen::Free(0), LOOKED_AFTER_BYTES - 1));
        assert!(of(Seen::Free(8 << 30), 1 << 30) && !of(Seen::Free(8 << 30), (1 << 30) - 1));
        assert!(!of(Seen::Unknown, u64::MAX), "what cannot be told is not asked for again");
        const { assert!(LOOKED_AFTER_BYTES * 2 < SPARE_BYTES) };
    }
}
