//! A machine, by what its libvirt and its shell say.

use std::collections::BTreeMap;

use uuid::Uuid;

/// A machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostFacts {
    /// The registered name.
    pub name: String,
    /// Host UUID from libvirt's capabilities: the same whatever name or address leads there.
    pub uuid: Uuid,
    /// The machine's own name.
    pub hostname: String,
    /// libvirt's driver (`QEMU`).
    pub hypervisor: String,
    /// CPU architecture.
    pub architecture: String,
    /// Domain types that its guests may have (`kvm`, `qemu`).
    pub domain_types: Vec<String>,
    /// Version of libvirt, as libvirt counts it (1,000,000 * major + 1,000 * minor + release).
    pub libvirt_version: u32,
    /// Version of QEMU, counted the same way.
    pub hypervisor_version: u32,
    /// CPUs.
    pub cpus: u32,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// Its NUMA nodes.
    pub numa_nodes: Vec<NumaNode>,
    /// What confines guests (`apparmor`, `selinux`).
    pub security_model: Option<String>,
    /// What its shell says; none where it offers none, or did not answer.
    pub shell: Option<ShellFacts>,
    /// It offers a shell, which did not answer in time.
    pub shell_silent: bool,
}

/// A NUMA node of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumaNode {
    /// Its number.
    pub id: u32,
    /// Its CPUs.
    pub cpus: Vec<u32>,
    /// Sizes of the pages it can have.
    pub page_sizes_kib: Vec<u64>,
}

/// What a machine's shell says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShellFacts {
    /// Its time of day minus the controller's, as far as the answer's delay lets tell.
    pub clock_offset_ms: Option<i64>,
    /// Memory and swap that the machine has in all.
    pub memory_and_swap_bytes: Option<u64>,
    /// Memory that programs can still have without swapping.
    pub memory_available_bytes: Option<u64>,
    /// Limit of the address space of libvirt's daemon; `u64::MAX` for none.
    pub daemon_address_space_bytes: Option<u64>,
    /// Up to what it may raise the limit of locked memory for its QEMUs (the hard limit); `u64::MAX` for none.
    pub daemon_locked_memory_limit_bytes: Option<u64>,
    /// What guards images against a second writer (`lockd`, `sanlock`); none where nothing does.
    pub lock_manager: Option<String>,
    /// Free huge pages by their size in KiB.
    pub huge_pages_free: BTreeMap<u64, u64>,
    /// Bridges and other interfaces by name.
    pub bridges: BTreeMap<String, BridgeFacts>,
    /// Addresses of its interfaces.
    pub addresses: Vec<String>,
    /// The paths that were asked for.
    pub paths: BTreeMap<String, PathFacts>,
    /// Ports that something listens on.
    pub ports_taken: Vec<u16>,
    /// First and last port that QEMU receives migrations on.
    pub migration_ports: Option<(u16, u16)>,
    /// swtpm's version, where it is there.
    pub swtpm: Option<String>,
    /// Programs that unpack saved memory, of those that are there.
    pub programs: Vec<String>,
    /// ssh sessions that sshd lets begin at once (`MaxStartups`).
    pub ssh_max_startups: Option<u32>,
    /// Whether processes without privileges may handle page faults (`vm.unprivileged_userfaultfd`), where the kernel knows of it and
    /// QEMU is not run as root.
    pub userfaultfd: Option<bool>,
    /// Open vSwitch is there.
    pub open_vswitch: bool,
    /// The public key that its root logs in elsewhere with.
    pub root_key: Option<String>,
}

/// An interface of a machine's that guests can be connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeFacts {
    /// `bridge`, `openvswitch`, or `other`.
    pub kind: String,
    /// Its MTU.
    pub mtu: Option<u32>,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathKind {
    /// Nothing.
    #[default]
    Missing,
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A block device.
    Block,
    /// A character device.
    Character,
    /// A socket.
    Socket,
    /// Something else.
    Other,
}

/// A path on a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathFacts {
    /// What is there.
    pub kind: PathKind,
    /// Its size; of a block device what the kernel says.
    pub size_bytes: u64,
    /// What it takes up.
    pub allocated_bytes: u64,
    /// Its number in its file system.
    pub inode: u64,
    /// When it was last written to, in seconds since 1970.
    pub modified_s: u64,
    /// The type of its file system (`ext4`, `nfs4`).
    pub filesystem: String,
    /// What is mounted there (`server:/export`, `/dev/vda1`).
    pub mounted_from: String,
    /// Space left for the user there, also for a path that is missing (of the nearest directory that is not).
    pub free_bytes: u64,
    /// World Wide Name or serial number of a block device.
    pub serial: Option<String>,
}

impl PathFacts {
    /// Whether there is anything.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.kind != PathKind::Missing
    }
}

impl ShellFacts {
    /// What a path leads to; none where it was not asked for.
    #[must_use]
    pub fn path(&self, path: &str) -> Option<&PathFacts> {
        self.paths.get(path)
    }
}

/// What is known of a host, or why nothing is.
#[derive(Clone, Debug, PartialEq)]
pub enum HostKnowledge {
    /// It answered.
    Known(Box<HostFacts>),
    /// It did not; the failure, told apart.
    Unreachable {
        /// The registered name.
        name: String,
        /// The stable code of the finding (`host-unreachable`, `host-key-changed`).
        code: String,
        /// What is the matter, in plain words.
        message: String,
        /// What libvirt or ssh said.
        evidence: String,
        /// What to do about it.
        remedy: String,
    },
}

impl HostKnowledge {
    /// The registered name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Known(facts) => &facts.name,
            Self::Unreachable { name, .. } => name,
        }
    }

    /// The facts, where it answered.
    #[must_use]
    pub fn known(&self) -> Option<&HostFacts> {
        match self {
            Self::Known(facts) => Some(facts),
            Self::Unreachable { .. } => None,
        }
    }

    /// What its shell says, where it has one and answered.
    #[must_use]
    pub fn shell(&self) -> Option<&ShellFacts> {
        self.known()?.shell.as_ref()
    }
}

/// File systems whose contents come from elsewhere, so that two hosts that have them mounted from one place share them.
const NETWORKED: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "ceph",
    "lustre",
    "gpfs",
    "gfs2",
    "ocfs2",
    "glusterfs",
    "fuse.glusterfs",
    "fuse.ceph",
    "afs",
    "beegfs",
    "panfs",
];

/// Whether a file system is one that several hosts can have mounted at once.
#[must_use]
pub fn is_networked(filesystem: &str) -> bool {
    NETWORKED.contains(&filesystem)
}

/// A version as libvirt counts it (1,000,000 * major + 1,000 * minor + release).
#[must_use]
pub fn version(number: u32) -> String {
    format!("{}.{}.{}", number / 1_000_000, number / 1_000 % 1_000, number % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_as_people_write_them() {
        assert_eq!(version(9_000_000), "9.0.0");
        assert_eq!(version(7_002_022), "7.2.22");
    }
}
