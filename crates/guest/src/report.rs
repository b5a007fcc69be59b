//! The serial line: the only way the guest speaks.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

const SERIAL: &str = "/dev/ttyS0";
/// After this many descriptions only the count grows: a guest whose memory is gone must still tick.
const DESCRIBED_ERRORS_MAX: u64 = 50;

/// The counters of the tick line, and the line itself.
pub(crate) struct Report {
    out: Mutex<Option<File>>,
    boot_id: u64,
    errors: AtomicU64,
    region_passes: AtomicU64,
    work_passes: AtomicU64,
    disk_blocks: AtomicU64,
    has_disk: AtomicBool,
}

impl Report {
    /// Opens the serial port; without one the guest runs on, unheard.
    pub(crate) fn open(boot_id: u64) -> Self {
        Self {
            out: Mutex::new(OpenOptions::new().write(true).open(SERIAL).ok()),
            boot_id,
            errors: AtomicU64::new(0),
            region_passes: AtomicU64::new(0),
            work_passes: AtomicU64::new(0),
            disk_blocks: AtomicU64::new(0),
            has_disk: AtomicBool::new(false),
        }
    }

    /// The random number of this boot.
    pub(crate) fn boot_id(&self) -> u64 {
        self.boot_id
    }

    /// Prints one line, whole: lines of several threads do not mix.
    pub(crate) fn line(&self, text: &str) {
        let mut out = self.out.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(file) = out.as_mut() {
            // A serial line that fails cannot be reported on the serial line.
            let _ = file.write_all(format!("{text}\n").as_bytes());
        }
    }

    /// Counts an error and describes it.
    pub(crate) fn error(&self, text: &str) {
        if self.errors.fetch_add(1, Relaxed) < DESCRIBED_ERRORS_MAX {
            self.line(&format!("E {text}"));
        }
    }

    /// From now on the tick line also counts disk blocks.
    pub(crate) fn expect_disk(&self) {
        self.has_disk.store(true, Relaxed);
    }

    /// One whole pass over the region found it checked.
    pub(crate) fn region_passed(&self) {
        self.region_passes.fetch_add(1, Relaxed);
    }

    /// One whole pass over the working set checked and rewrote it.
    pub(crate) fn work_passed(&self) {
        self.work_passes.fetch_add(1, Relaxed);
    }

    /// One block was written to the disk and another one read back.
    pub(crate) fn block_written(&self) {
        self.disk_blocks.fetch_add(1, Relaxed);
    }

    /// Prints the tick line.
    pub(crate) fn tick(&self, number: u64) {
        let (errors, region) = (self.errors.load(Relaxed), self.region_passes.load(Relaxed));
        let (boot, work) = (self.boot_id >> 32, self.work_passes.load(Relaxed));
        let mut text = format!("T {number} b{boot:08x} e{errors} p{region} w{work}");
        if self.has_disk.load(Relaxed) {
            text.push_str(&format!(" d{}", self.disk_blocks.load(Relaxed)));
        }
        self.line(&text);
    }
}
