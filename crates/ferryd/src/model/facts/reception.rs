//! What the destination has for a domain that is to come.

use std::collections::BTreeMap;

use crate::model::definition::SecretReference;
use crate::model::{DomainUuid, TaskId};

/// What the destination has for the domain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reception {
    /// Domains there with the same name or UUID.
    pub namesakes: Vec<Namesake>,
    /// What QEMU there offers a machine of this kind; or why libvirt offers none.
    pub machine: Option<Result<MachineSupport, String>>,
    /// Why its libvirt does not take the domain's definition, where that was asked and it does not.
    pub refused: Option<String>,
    /// Whether the domain's CPU is to be had there.
    pub cpu: Option<CpuVerdict>,
    /// Its networks.
    pub networks: Vec<NetworkFacts>,
    /// Its storage pools.
    pub pools: Vec<PoolFacts>,
    /// Filters of the domain's interfaces that it does not have.
    pub filters_missing: Vec<String>,
    /// Secrets of the domain's that it does not have.
    pub secrets_missing: Vec<SecretReference>,
    /// Secrets of the domain's that it has without a value.
    pub secrets_empty: Vec<SecretReference>,
    /// What other domains there use already.
    pub occupied: Vec<Occupied>,
    /// Images of the domain's that a move from there left behind.
    pub left: Vec<LeftImage>,
    /// Memory promised to domains that run there.
    pub memory_promised_bytes: u64,
    /// Memory that domains on their way there will need.
    pub memory_arriving_bytes: u64,
}

/// An image of the domain's that a move left behind on the host that it went from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftImage {
    /// Its path there.
    pub path: String,
    /// The task that left it; none where that is the move that is asked about.
    pub task: Option<TaskId>,
}

/// Who has the domain's name or UUID on the destination already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namesake {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: DomainUuid,
    /// Whether it runs.
    pub active: bool,
}

/// What QEMU offers a machine of one kind (`virConnectGetDomainCapabilities`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineSupport {
    /// Path of the QEMU that was asked.
    pub emulator: Option<String>,
    /// The machine type as that QEMU names it.
    pub machine: Option<String>,
    /// Most virtual CPUs.
    pub vcpus_max: Option<u32>,
    /// What libvirt can choose firmware for (`efi`, `bios`).
    pub automatic_firmware: Vec<String>,
    /// Firmware files.
    pub loaders: Vec<String>,
    /// Secure boot is to be had.
    pub secure_boot: bool,
    /// Values by `device.property` (`tpm.backendModel`); a device that is not offered stands by its name with no values.
    pub devices: BTreeMap<String, Vec<String>>,
    /// Features that are offered (`sev`).
    pub features: Vec<String>,
    /// What the CPU mode `host-model` becomes there, as an element that libvirt compares.
    pub host_model: Option<String>,
}

impl MachineSupport {
    /// Whether a value is offered (`tpm.backendModel`, `emulator`). What libvirt does not list is not known to be missing: a
    /// libvirt that is too old to list a property at all is asked by [`MachineSupport::lists`].
    #[must_use]
    pub fn offers(&self, property: &str, value: &str) -> bool {
        self.devices.get(property).is_some_and(|values| values.iter().any(|offered| offered == value))
    }

    /// Whether anything is said of a property.
    #[must_use]
    pub fn lists(&self, property: &str) -> bool {
        let device = property.split('.').next().unwrap_or_default();
        self.devices.contains_key(property) || self.devices.contains_key(device)
    }
}

/// Whether a domain's CPU is to be had on a host (`virConnectCompareHypervisorCPU`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpuVerdict {
    /// It is.
    Fits,
    /// It is not.
    Missing {
        /// The features that the host lacks, where libvirt names them.
        features: Vec<String>,
        /// What libvirt said.
        said: String,
    },
    /// libvirt could not say.
    Unknown(String),
}

/// A network of a host's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkFacts {
    /// Its name.
    pub name: String,
    /// Whether it is active.
    pub active: bool,
    /// `nat`, `route`, `bridge`, …; none for an isolated one.
    pub forward: Option<String>,
    /// Its bridge.
    pub bridge: Option<String>,
    /// `openvswitch`, where it says.
    pub virtual_port: Option<String>,
    /// Its port groups.
    pub portgroups: Vec<String>,
    /// Its MTU, where it says.
    pub mtu: Option<u32>,
}

/// A storage pool of a host's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolFacts {
    /// Its name.
    pub name: String,
    /// `dir`, `logical`, `rbd`.
    pub kind: String,
    /// Whether it is active.
    pub active: bool,
    /// Its directory, where it has one.
    pub target: Option<String>,
    /// Its size.
    pub capacity_bytes: u64,
    /// What is left of it.
    pub available_bytes: u64,
    /// Names of what is in it; only of a pool that something is asked into, none where it could not be looked through.
    pub volumes: Option<Vec<String>>,
}

/// Something that a domain on the destination uses already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occupied {
    /// Whose it is.
    pub domain: String,
    /// Whether that domain runs.
    pub active: bool,
    /// Its MAC addresses.
    pub macs: Vec<String>,
    /// Paths of its disks, those that it writes to.
    pub paths: Vec<String>,
    /// Ports of its screens.
    pub ports: Vec<u16>,
    /// Its title.
    pub title: Option<String>,
    /// Context number of its vsock.
    pub vsock_cid: Option<u32>,
    /// Devices of the host's that it has.
    pub host_devices: Vec<String>,
}
