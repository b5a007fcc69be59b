//! The codes of findings, so that one that was mistyped can be told.

/// Every code that a check gives, in alphabetical order.
pub const CODES: &[&str] = &[
    "architecture-differs",
    "backing-carried",
    "backing-copied",
    "backing-missing",
    "bandwidth-limited",
    "block-job-active",
    "boot-file-missing",
    "bridge-missing",
    "bridge-of-other-kind",
    "chain-unread",
    "character-device-missing",
    "character-port-taken",
    "checkpoints",
    "clocks-differ",
    "copy-new-tpm",
    "copy-shared",
    "copy-transient",
    "cpu-features-missing",
    "cpu-host-passthrough",
    "cpu-not-compared",
    "definition-refused",
    "device-not-offered",
    "device-of-host",
    "device-passed-through",
    "device-unplugged",
    "directory-missing",
    "disk-cache-unsafe",
    "disk-cached",
    "disk-copied",
    "disk-copied-in-clear",
    "disk-errors",
    "disk-in-use",
    "disk-missing",
    "disk-not-shared",
    "disk-of-host",
    "disk-reservations",
    "disk-server-local",
    "disk-server-unreachable",
    "disk-socket-missing",
    "disk-source-missing",
    "disk-transient",
    "domain-type-missing",
    "emulator-mapped",
    "emulator-missing",
    "filesystem-9p",
    "filesystem-virtiofs",
    "filter-missing",
    "firmware-mapped",
    "firmware-missing",
    "flatten-impossible",
    "flatten-nothing",
    "guest-agent-absent",
    "host-access-denied",
    "host-dropped",
    "host-key-changed",
    "host-key-unknown",
    "host-name-unknown",
    "host-no-libvirt",
    "host-no-route",
    "host-not-answering",
    "host-not-looked-at",
    "host-refused",
    "host-timed-out",
    "host-tls-certificate",
    "host-unreachable",
    "hostname-localhost",
    "hostname-loopback",
    "hostname-unknown",
    "huge-pages-short",
    "hypervisor-differs",
    "interface-missing",
    "job-active",
    "label-model-missing",
    "launch-security",
    "leftover",
    "libvirt-older",
    "listen-address-missing",
    "lock-managers-differ",
    "locked-memory-limit",
    "mac-taken",
    "machine-type-missing",
    "managed-save",
    "managed-save-carried",
    "medium-dropped",
    "medium-ejected",
    "medium-missing",
    "memory-exceeds-host",
    "memory-file-missing",
    "memory-limit",
    "memory-overcommitted",
    "memory-short",
    "migration-port-shut",
    "migration-port-unprobed",
    "migration-ports-taken",
    "mtu-smaller",
    "name-taken",
    "network-differs",
    "network-inactive",
    "network-missing",
    "network-private",
    "no-peer-uri",
    "no-spice",
    "not-responding",
    "numa-nodes-missing",
    "nvram-carried",
    "nvram-present",
    "nvram-stays",
    "nvram-taken",
    "nvram-template-missing",
    "peer-host-key-changed",
    "peer-host-key-unknown",
    "peer-login-denied",
    "peer-name-loopback",
    "peer-name-unknown",
    "peer-no-libvirt",
    "peer-unreachable",
    "pinned-cpus-fewer",
    "pinned-cpus-missing",
    "pool-inactive",
    "pool-missing",
    "portgroup-missing",
    "post-copy-not-allowed",
    "post-copy-risk",
    "post-copy-with-disks",
    "processors-fewer",
    "processors-too-many",
    "qemu-arguments",
    "qemu-older",
    "rdma-missing",
    "rdma-no-hard-limit",
    "rng-source-missing",
    "same-host",
    "screen-port-taken",
    "secret-empty",
    "secret-missing",
    "secure-boot-missing",
    "shared-memory",
    "sharing-proven",
    "sharing-refuted",
    "sharing-unproven",
    "sharing-vouched",
    "smartcard-of-host",
    "snapshots",
    "snapshots-dropped",
    "snapshots-external",
    "snapshots-not-copied",
    "space-short",
    "space-tight",
    "ssh-few-sessions",
    "storage-disk-fixed",
    "storage-disk-stays",
    "storage-disk-unknown",
    "storage-name-taken",
    "storage-pool-inactive",
    "storage-pool-kind",
    "storage-pool-missing",
    "swtpm-missing",
    "swtpm-older",
    "title-taken",
    "tls-certificate-expired",
    "tls-certificates-missing",
    "tls-name-mismatch",
    "tls-not-looked-at",
    "tls-other-authority",
    "tpm-passed-through",
    "tpm-state-carried",
    "tpm-state-stays",
    "tpm-state-taken",
    "transport-unsupported",
    "transport-unused",
    "uuid-taken",
    "vhost-user-socket-missing",
    "via-missing",
    "via-unknown",
    "vlan-unsupported",
    "vm-gone",
    "vm-state",
    "vsock-taken",
];

/// The code that was meant, most likely, by one that there is not; none where it is one.
#[must_use]
pub fn nearest(code: &str) -> Option<&'static str> {
    if CODES.contains(&code) {
        return None;
    }
    CODES.iter().copied().min_by_key(|known| distance(code, known))
}

/// How many characters have to be put in, taken out or replaced to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, mine) in one.chars().enumerate() {
        let mut before = at;
        let mut left = at + 1;
        for (cell, yours) in row.iter_mut().skip(1).zip(&other) {
            let cost = (*cell + 1).min(left + 1).min(before + usize::from(mine != *yours));
            (before, left, *cell) = (*cell, cost, cost);
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_not_reaching_a_host_has_a_code() {
        use crate::model::ConnectFailure::*;
        for failure in [
            Resolve,
            NoRoute,
            Refused,
            Dropped,
            TimedOut,
            HostKeyUnknown,
            HostKeyChanged,
            Denied,
            TlsCertificate,
            NoLibvirt,
            NotAnswering,
            Other,
        ] {
            let code = crate::inventory::facts::failure_code(failure);
            assert!(CODES.contains(&code), "{code}");
        }
    }

    #[test]
    fn what_was_meant_is_found() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(nearest("sharing-proven"), None);
        assert_eq!(nearest("sharing-prooven"), Some("sharing-proven"));
        assert_eq!(nearest("clock-differs"), Some("clocks-differ"));
        assert!(CODES.is_sorted(), "in alphabetical order");
    }
}
