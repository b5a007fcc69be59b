//! How much every guest of a host uses, in one call.

use uuid::Uuid;
use virt::connect::Connect;
use virt_sys as sys;

use super::{DomainStats, Result, TypedValue, ffi, translate};

/// What a guest has used since it was started, as libvirt and its QEMU count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Virtual CPUs.
    pub vcpus: u32,
    /// CPU time.
    pub cpu_time_ns: u64,
    /// Bytes received and sent.
    pub net_bytes: u64,
    /// Bytes read and written.
    pub disk_bytes: u64,
    /// The memory it has now.
    pub memory_kib: u64,
    /// What its QEMU takes up of the host's.
    pub resident_kib: u64,
    /// What the guest itself counts as its memory and as free, in KiB, where it tells.
    pub guest: Option<(u64, u64)>,
}

impl Usage {
    /// How much of its memory is in use.
    #[must_use]
    pub fn memory_percent(&self) -> f64 {
        let (used, whole) = match self.guest {
            Some((whole, free)) => (whole.saturating_sub(free), whole),
            None => (self.resident_kib, self.memory_kib),
        };
        let percent = if whole == 0 { 0.0 } else { used as f64 * 100.0 / whole as f64 };
        percent.clamp(0.0, 100.0)
    }
}

/// The usage of every guest that runs. Asks the QEMUs: call it where nothing else waits.
///
/// # Errors
/// What libvirt says.
pub fn usage(connect: &Connect) -> Result<Vec<(Uuid, Usage)>> {
    let kinds = sys::VIR_DOMAIN_STATS_STATE
        | sys::VIR_DOMAIN_STATS_CPU_TOTAL
        | sys::VIR_DOMAIN_STATS_BALLOON
        | sys::VIR_DOMAIN_STATS_VCPU
        | sys::VIR_DOMAIN_STATS_INTERFACE
        | sys::VIR_DOMAIN_STATS_BLOCK;
    // Of those that are shut off there is nothing to tell, and a host may have a thousand of them.
    let stats = ffi::all_domain_stats(connect, kinds, sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE)?;
    Ok(stats.iter().filter(|stats| runs(stats)).map(|stats| (stats.uuid, of(stats))).collect())
}

fn runs(stats: &DomainStats) -> bool {
    let state = stats.values.get("state.state").and_then(TypedValue::as_u64);
    let state = translate::state(state.and_then(|state| i32::try_from(state).ok()).unwrap_or(0));
    state == api::vm::VmState::Running
}

fn of(stats: &DomainStats) -> Usage {
    let figure = |name: &str| stats.values.get(name).and_then(TypedValue::as_u64);
    let sum = |kind: &str, names: [&str; 2]| -> u64 {
        let count = figure(&format!("{kind}.count")).unwrap_or(0);
        let each = (0..count).flat_map(|at| names.map(|name| figure(&format!("{kind}.{at}.{name}"))));
        each.flatten().fold(0, u64::saturating_add)
    };
    Usage {
        vcpus: figure("vcpu.current").and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
        cpu_time_ns: figure("cpu.time").unwrap_or(0),
        net_bytes: sum("net", ["rx.bytes", "tx.bytes"]),
        disk_bytes: sum("block", ["rd.bytes", "wr.bytes"]),
        memory_kib: figure("balloon.current").unwrap_or(0),
        resident_kib: figure("balloon.rss").unwrap_or(0),
        guest: figure("balloon.available").zip(figure("balloon.unused")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libvirts_figures_are_added_up() {
        let values = [
            ("state.state", 1),
            ("vcpu.current", 2),
            ("cpu.time", 9),
            ("net.count", 2),
            ("net.0.rx.bytes", 1),
            ("net.0.tx.bytes", 2),
            ("net.1.rx.bytes", 4),
            ("block.count", 1),
            ("block.0.rd.bytes", 8),
            ("block.0.wr.bytes", 16),
            ("block.1.wr.bytes", 1000),
            ("balloon.current", 100),
            ("balloon.rss", 50),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), TypedValue::UInt(value)));
        let mut stats = DomainStats { uuid: Uuid::nil(), name: "a".to_owned(), values: values.into() };
        let expected = Usage {
            vcpus: 2,
            cpu_time_ns: 9,
            net_bytes: 7,
            disk_bytes: 24,
            memory_kib: 100,
            resident_kib: 50,
            guest: None,
        };
        assert!(runs(&stats));
        assert_eq!(of(&stats), expected);
        stats.values.insert("state.state".to_owned(), TypedValue::UInt(5));
        assert!(!runs(&stats));
    }
}
