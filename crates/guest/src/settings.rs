//! What the guest shall do, from `ferry.*=` words of the kernel command line.

use std::fmt;
use std::time::Duration;

/// Sizes and rates of the memory that is kept and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryPlan {
    /// Size of the region that is written once and checked for ever (`ferry.region_mib`).
    pub(crate) region_mib: usize,
    /// How fast the region is checked (`ferry.verify_mib_s`).
    pub(crate) verify_mib_s: usize,
    /// Size of the working set (`ferry.work_mib`).
    pub(crate) work_mib: usize,
    /// How fast the working set is checked and rewritten (`ferry.dirty_mib_s`).
    pub(crate) dirty_mib_s: usize,
}

/// Where and how fast blocks are written to a disk and read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiskPlan {
    /// The block device (`ferry.disk`).
    pub(crate) device: String,
    /// How much of the start of the device is used (`ferry.disk_mib`).
    pub(crate) span_mib: u64,
    /// How fast blocks are written; each write is followed by one read (`ferry.disk_kib_s`).
    pub(crate) write_kib_s: u64,
}

/// Everything the kernel command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) memory: MemoryPlan,
    pub(crate) disk: Option<DiskPlan>,
    /// Time between two ticks (`ferry.tick_ms`).
    pub(crate) tick: Duration,
}

impl Settings {
    /// Reads the words it knows and ignores the rest: they are the kernel's.
    pub(crate) fn parse(command_line: &str) -> Self {
        let number = |key: &str, otherwise: u64| word(command_line, key).unwrap_or(otherwise);
        let disk = text(command_line, "ferry.disk").map(|device| DiskPlan {
            device: device.to_owned(),
            span_mib: number("ferry.disk_mib", 16),
            write_kib_s: number("ferry.disk_kib_s", 256),
        });
        let memory = MemoryPlan {
            region_mib: number("ferry.region_mib", 16) as usize,
            verify_mib_s: number("ferry.verify_mib_s", 16) as usize,
            work_mib: number("ferry.work_mib", 0) as usize,
            dirty_mib_s: number("ferry.dirty_mib_s", 0) as usize,
        };
        Self { memory, disk, tick: Duration::from_millis(number("ferry.tick_ms", 20).max(1)) }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = &self.memory;
        write!(f, "region_mib={} verify_mib_s={} ", m.region_mib, m.verify_mib_s)?;
        write!(f, "work_mib={} dirty_mib_s={} ", m.work_mib, m.dirty_mib_s)?;
        write!(f, "tick_ms={}", self.tick.as_millis())?;
        match &self.disk {
            Some(d) => write!(f, " disk={} disk_mib={} disk_kib_s={}", d.device, d.span_mib, d.write_kib_s),
            None => Ok(()),
        }
    }
}

fn text<'a>(command_line: &'a str, key: &str) -> Option<&'a str> {
    let words = command_line.split_ascii_whitespace();
    words.filter_map(|word| word.split_once('=')).find(|(k, _)| *k == key).map(|(_, v)| v)
}

fn word(command_line: &str, key: &str) -> Option<u64> {
    text(command_line, key)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_words_are_ignored() {
        let settings = Settings::parse("console=ttyS0 pti=on ferry.region_mib=64 ferry.tick_ms=50\n");
        assert_eq!(settings.memory.region_mib, 64);
        assert_eq!(settings.tick, Duration::from_millis(50));
        assert_eq!(settings.disk, None);
    }

    #[test]
    fn a_disk_is_used_when_named() {
        let settings = Settings::parse("ferry.disk=/dev/vda ferry.disk_kib_s=512");
        let disk = settings.disk.expect("a disk was named");
        assert_eq!((disk.device.as_str(), disk.span_mib, disk.write_kib_s), ("/dev/vda", 16, 512));
    }

    #[test]
    fn nonsense_falls_back_to_the_defaults() {
        assert_eq!(Settings::parse("ferry.region_mib=lots").memory.region_mib, 16);
    }
}
