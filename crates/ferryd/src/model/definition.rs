//! A domain's definition, as far as anything here looks at it. Read from libvirt's XML by [`crate::libvirt::xml`]; what is
//! sent to libvirt is always XML that libvirt itself once wrote.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A domain's definition. A part that is absent in the XML is `None`, empty or `false` here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: Uuid,
    /// Its title.
    pub title: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// `kvm`, `qemu`.
    pub domain_type: String,
    /// The guest's architecture.
    pub architecture: String,
    /// Machine type (`pc-q35-7.2`).
    pub machine: String,
    /// Path of QEMU.
    pub emulator: Option<String>,
    /// Largest memory it may have.
    pub memory_bytes: u64,
    /// Memory it has (balloon).
    pub current_memory_bytes: u64,
    /// What its memory is backed by.
    pub memory_backing: MemoryBacking,
    /// What its QEMU may take of the host's memory is limited (`<memtune>`, `<hard_limit>`).
    pub memory_hard_limit: bool,
    /// Largest number of virtual CPUs.
    pub vcpus_max: u32,
    /// Virtual CPUs it has.
    pub vcpus: u32,
    /// Its CPU.
    pub cpu: Cpu,
    /// Where it is tied to CPUs and NUMA nodes of its host.
    pub placement: Placement,
    /// Its firmware.
    pub firmware: Firmware,
    /// Paths of kernel, initrd and device tree that the host gives it.
    pub boot_files: Vec<String>,
    /// Names of boot devices, in their order, where it gives one as a whole.
    pub boot_devices: Vec<String>,
    /// Whether it shows a boot menu.
    pub boot_menu: bool,
    /// The kind of memory encryption (`sev`).
    pub launch_security: Option<String>,
    /// Its disks, CD-ROM and floppy drives.
    pub disks: Vec<Disk>,
    /// Its network interfaces.
    pub interfaces: Vec<Interface>,
    /// Devices of the host's given to it.
    pub host_devices: Vec<HostDevice>,
    /// Serial lines, consoles, channels, parallel ports, smartcards, USB redirections, RNGs of character devices.
    pub character_devices: Vec<CharacterDevice>,
    /// Screens.
    pub graphics: Vec<Graphics>,
    /// Directories of the host's shared with it.
    pub filesystems: Vec<Filesystem>,
    /// Its TPM.
    pub tpm: Option<Tpm>,
    /// Files that random number generators read.
    pub rng_files: Vec<String>,
    /// Memory that is shared with other domains.
    pub shared_memories: Vec<SharedMemory>,
    /// The context number of its vsock, where it is fixed.
    pub vsock_cid: Option<u32>,
    /// Models of its memory devices (`nvdimm`, `dimm`, `virtio-mem`), with the file behind each.
    pub memory_devices: Vec<(String, Option<String>)>,
    /// Arguments handed to QEMU past libvirt (`qemu:commandline`).
    pub qemu_arguments: Vec<String>,
    /// Security labels that are fixed: model and label.
    pub fixed_labels: Vec<(String, String)>,
    /// Who may use it through the inherited interface.
    pub access: Access,
}

/// Who may use a domain, as Kimchi kept it in the domain's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Names of users.
    pub users: Vec<String>,
    /// Names of groups.
    pub groups: Vec<String>,
}

/// What a domain's memory is backed by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryBacking {
    /// Huge pages are asked for: sizes in KiB; one of 0 stands for the host's default size.
    pub huge_pages_kib: Vec<u64>,
    /// All of it is locked into the host's memory.
    pub locked: bool,
    /// All of it is allocated at the start.
    pub allocated_at_once: bool,
    /// `anonymous`, `file`, `memfd`.
    pub source: Option<String>,
}

/// A domain's CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// `custom`, `host-model`, `host-passthrough`, `maximum`.
    pub mode: Option<String>,
    /// The model's name.
    pub model: Option<String>,
    /// Features by name with their policy (`require`, `disable`).
    pub features: Vec<(String, String)>,
    /// Sockets, dies, cores and threads, where they are laid down.
    pub topology: Option<[u32; 4]>,
    /// The whole element as libvirt wrote it, for its own comparison; none where there is none.
    pub xml: Option<String>,
}

/// Where a domain is tied to its host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Host CPUs that parts of it are pinned to: what (`vcpu 0`, `emulator`), and the set in libvirt's writing (`0-3,^2`).
    pub pinned: Vec<(String, String)>,
    /// Host NUMA nodes its memory must come from, in libvirt's writing.
    pub numa_nodes: Option<String>,
    /// `strict`, `preferred`, `interleave`, `restrictive`.
    pub numa_mode: Option<String>,
}

/// A domain's firmware.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firmware {
    /// libvirt chooses it: `efi` or `bios`.
    pub automatic: Option<String>,
    /// Path of the firmware.
    pub loader: Option<String>,
    /// It enforces secure boot.
    pub secure: bool,
    /// Path of its variables.
    pub nvram: Option<String>,
    /// Their format, where the definition says it.
    pub nvram_format: Option<String>,
    /// What they are made from where they do not exist.
    pub nvram_template: Option<String>,
}

/// What a drive is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drive {
    /// A disk.
    #[default]
    Disk,
    /// A CD-ROM drive.
    Cdrom,
    /// A floppy drive.
    Floppy,
    /// A SCSI device passed through.
    Lun,
}

/// A drive of a domain's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Its name in the domain (`vda`).
    pub target: String,
    /// What it is.
    pub drive: Drive,
    /// Its bus (`virtio`).
    pub bus: String,
    /// Where its data is.
    pub source: Source,
    /// `raw`, `qcow2`.
    pub format: Option<String>,
    /// The images below it, from the nearest on; empty where there are none or libvirt does not say.
    pub backing: Vec<Backing>,
    /// `none`, `writeback`, … as libvirt writes it.
    pub cache: Option<String>,
    /// Nothing is written to it.
    pub readonly: bool,
    /// Several domains write to it.
    pub shareable: bool,
    /// What is written to it goes when the domain ends.
    pub transient: bool,
    /// UUIDs and usages of secrets that it needs (encryption, network login).
    pub secrets: Vec<SecretUse>,
    /// It is encrypted (`luks`).
    pub encryption: Option<String>,
    /// The place in the order of boot devices.
    pub boot_order: Option<u32>,
    /// `optional`, `requisite`, `mandatory`: what becomes of it where its medium is missing.
    pub startup_policy: Option<String>,
    /// Persistent reservations on it are kept by a helper of the host's.
    pub reservations: bool,
}

impl Disk {
    /// The secret that its image is encrypted with, where it is a single one. (Others are for its network login.)
    #[must_use]
    pub fn passphrase(&self) -> Option<&SecretReference> {
        let mut all = self.secrets.iter().filter(|secret| secret.kind == "passphrase");
        all.next().map(|secret| &secret.reference).filter(|_| all.next().is_none())
    }
}

/// A secret that a disk needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretUse {
    /// What it is for (`passphrase`, `ceph`).
    pub kind: String,
    /// Its UUID, or its usage name.
    pub reference: SecretReference,
}

/// By what a secret is named.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretReference {
    /// Its UUID.
    Uuid(Uuid),
    /// Its usage.
    Usage(String),
}

/// An image below a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backing {
    /// Where its data is.
    pub source: Source,
    /// `raw`, `qcow2`.
    pub format: Option<String>,
    /// The image above names it by its place relative to its own, or it is not known how: an image in another directory would not
    /// find it. Of a domain that runs it does not matter, and is not asked.
    pub by_place: bool,
}

/// Where the data of a drive is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// No medium is in it.
    #[default]
    Empty,
    /// A file.
    File(String),
    /// A block device.
    Block(String),
    /// A directory shown as a file system.
    Directory(String),
    /// An image on the network.
    Network(NetworkSource),
    /// A volume of a storage pool.
    Volume {
        /// The pool.
        pool: String,
        /// The volume.
        volume: String,
    },
    /// Another kind (`nvme`, `vhostuser`, `vhostvdpa`).
    Other(String),
}

/// An image on the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSource {
    /// `nbd`, `rbd`, `iscsi`, `gluster`, `http`.
    pub protocol: String,
    /// Its name there.
    pub name: String,
    /// The servers: name and port, or the path of a socket.
    pub hosts: Vec<NetworkHost>,
}

/// A server of an image on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkHost {
    /// By TCP.
    Tcp {
        /// Name or address.
        name: String,
        /// Port, where it is not the protocol's own.
        port: Option<u16>,
    },
    /// By a socket of the host's.
    Unix(String),
}

impl Source {
    /// The path on the host, where it is one.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::File(path) | Self::Block(path) | Self::Directory(path) => Some(path),
            _ => None,
        }
    }

    /// The source as people name it.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Empty => "no medium".to_owned(),
            Self::File(path) | Self::Block(path) | Self::Directory(path) => path.clone(),
            Self::Network(network) => network.describe(),
            Self::Volume { pool, volume } => format!("{volume} in pool {pool}"),
            Self::Other(kind) => kind.clone(),
        }
    }
}

impl NetworkSource {
    /// The source as people name it: like a URI.
    #[must_use]
    pub fn describe(&self) -> String {
        let hosts: Vec<String> = self
            .hosts
            .iter()
            .map(|host| match host {
                NetworkHost::Tcp { name, port: Some(port) } => format!("{name}:{port}"),
                NetworkHost::Tcp { name, port: None } => name.clone(),
                NetworkHost::Unix(path) => format!("[{path}]"),
            })
            .collect();
        format!("{}://{}/{}", self.protocol, hosts.join(","), self.name.trim_start_matches('/'))
    }
}

/// A network interface of a domain's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its MAC address, in small letters.
    pub mac: String,
    /// What it is connected to.
    pub link: Link,
    /// `virtio`, `e1000e`.
    pub model: Option<String>,
    /// `openvswitch`, `802.1Qbh`.
    pub virtual_port: Option<String>,
    /// Name of its filter.
    pub filter: Option<String>,
    /// VLAN tags.
    pub vlans: Vec<u32>,
    /// Its MTU, where it is laid down.
    pub mtu: Option<u32>,
    /// The name of its device on the host, where it runs.
    pub device: Option<String>,
    /// How it is paired with another one for failover: `persistent` or `transient`.
    pub teaming: Option<String>,
    /// The name it is paired by.
    pub alias: Option<String>,
    /// The place in the order of boot devices.
    pub boot_order: Option<u32>,
}

/// What an interface is connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// A network of libvirt's.
    Network {
        /// Its name.
        name: String,
        /// Its port group.
        portgroup: Option<String>,
    },
    /// A bridge of the host's.
    Bridge(String),
    /// An interface of the host's (macvtap).
    Direct(String),
    /// A PCI device of the host's.
    HostDevice,
    /// The path of a vhost-user socket.
    VhostUser(String),
    /// User-mode networking.
    User,
    /// Another kind (`ethernet`, `vdpa`, `udp`, `server`), or none.
    Other(String),
    /// Not said.
    #[default]
    Unknown,
}

/// A device of the host's given to a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostDevice {
    /// `pci`, `usb`, `scsi`, `mdev`, `scsi_host`.
    pub kind: String,
    /// Its address or identity (`0000:01:00.0`, `046d:c52b`).
    pub what: String,
    /// How it is paired with an interface for failover: QEMU unplugs a `transient` one before the move.
    pub teaming: Option<String>,
    /// What becomes of it where it is missing (`optional`).
    pub startup_policy: Option<String>,
}

impl HostDevice {
    /// The device as people name it.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} {}", self.kind, self.what).trim().to_owned()
    }
}

/// A character device of a domain's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CharacterDevice {
    /// `serial`, `console`, `channel`, `parallel`, `smartcard`, `redirdev`, `rng`.
    pub device: String,
    /// `pty`, `file`, `dev`, `unix`, `tcp`, `spicevmc`.
    pub kind: String,
    /// The path on the host, where it is one that was laid down.
    pub path: Option<String>,
    /// The other end of a network connection that it makes.
    pub connects_to: Option<(String, u16)>,
    /// The address and port that it waits on.
    pub listens_on: Option<(String, u16)>,
    /// Whether it makes the socket (`bind`) or connects to one (`connect`).
    pub mode: Option<String>,
    /// The target's name (`org.qemu.guest_agent.0`).
    pub target: Option<String>,
    /// `connected`, `disconnected`: what libvirt knows of the guest's end.
    pub state: Option<String>,
}

/// A screen of a domain's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graphics {
    /// `vnc`, `spice`, `sdl`.
    pub kind: String,
    /// The port it listens on, while it runs.
    pub port: Option<u16>,
    /// The TLS port it listens on.
    pub tls_port: Option<u16>,
    /// The port is chosen anew on each start.
    pub auto_port: bool,
    /// The address it listens on.
    pub listen: Option<String>,
    /// The network whose address it listens on.
    pub listen_network: Option<String>,
    /// The socket it listens on.
    pub socket: Option<String>,
    /// Until when its password is valid.
    pub password_valid_to: Option<String>,
}

/// A directory of the host's shared with a domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filesystem {
    /// `path` (9p), `virtiofs`.
    pub driver: String,
    /// The directory.
    pub source: String,
    /// The name in the guest.
    pub target: String,
}

/// A domain's TPM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tpm {
    /// `emulator`, `passthrough`, `external`.
    pub backend: String,
    /// `1.2`, `2.0`.
    pub version: Option<String>,
    /// UUID of the secret that its state is encrypted with.
    pub encryption: Option<Uuid>,
    /// Its state stays when the domain is undefined.
    pub persistent_state: bool,
    /// Path of its device or directory, where it was laid down.
    pub path: Option<String>,
}

/// Memory that is shared with other domains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedMemory {
    /// Its name.
    pub name: String,
    /// `ivshmem-plain`, `ivshmem-doorbell`.
    pub model: String,
    /// `peer`, `master`.
    pub role: Option<String>,
}
