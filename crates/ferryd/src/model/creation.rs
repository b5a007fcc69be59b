//! A virtual machine that is made anew: what somebody wants of it, and what it is made from. Plain data, stored with its task.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::DomainUuid;
use super::clone::mac;
use crate::hypervisor::CopyIdentity;
use crate::messages::{Message, Text};

/// What somebody wants of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its title; empty for none.
    pub title: String,
    /// Its description; empty for none.
    pub description: String,
    /// The memory it has.
    pub memory_mib: u64,
    /// The most it may have.
    pub max_memory_mib: u64,
    /// The virtual CPUs it has.
    pub vcpus: u32,
    /// The most it may have.
    pub max_vcpus: u32,
    /// Its disks, in their order.
    pub disks: Vec<WantedDisk>,
    /// Path of the image in its CD-ROM drive; without one it has no drive.
    pub cdrom: Option<String>,
    /// The networks of libvirt's that its interfaces are connected to.
    pub networks: Vec<String>,
    /// Its screen.
    pub screen: Screen,
}

/// A disk of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedDisk {
    /// The storage pool.
    pub pool: String,
    /// `raw`, `qcow2`: what the guest's QEMU takes it for.
    pub format: String,
    /// What becomes its disk.
    pub volume: Volume,
}

/// A volume that becomes a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Volume {
    /// One that is made, of this size.
    New {
        /// What the guest sees of it.
        capacity_bytes: u64,
    },
    /// One that is there.
    Existing(String),
}

/// A screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Screen {
    /// `vnc` or `spice`.
    pub kind: String,
    /// Where it listens.
    pub listen: IpAddr,
}

/// What the host's QEMU offers, as far as it is chosen from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// `kvm`, or else `qemu`.
    pub domain_type: String,
    /// CPU architecture.
    pub architecture: String,
    /// Machine type, as that QEMU names it.
    pub machine: String,
    /// The host's own CPU model is to be had.
    pub host_model: bool,
    /// The firmware that libvirt chooses (`efi`), where the machine type has none of its own.
    pub firmware: Option<String>,
    /// What disks are connected to.
    pub disk_bus: String,
    /// What a CD-ROM drive is connected to.
    pub cdrom_bus: String,
    /// The kind of its graphics card; none where libvirt chooses.
    pub video: Option<String>,
    /// A USB tablet is to be had.
    pub usb: bool,
    /// A source of random numbers is to be had.
    pub rng: bool,
}

/// A machine that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreationPlan {
    /// The registered host.
    pub host: String,
    /// What it is known by.
    pub identity: CopyIdentity,
    /// What it is to be.
    pub wanted: Wanted,
    /// Of what it is made.
    pub hardware: Hardware,
}

/// A volume that is made for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewVolume {
    /// Which of its disks that is, counted from 0.
    pub disk: usize,
    /// The storage pool.
    pub pool: String,
    /// Its name there. The machine's UUID is in it, so it is nobody else's.
    pub name: String,
    /// `raw`, `qcow2`.
    pub format: String,
    /// What the guest sees of it.
    pub capacity_bytes: u64,
}

/// Why no such machine is made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub enum Unfit {
    /// There is a machine of this name.
    NameTaken,
    /// The host has no such storage pool.
    NoPool(String),
    /// It is not active.
    PoolInactive(String),
    /// No volumes are made in pools of this kind.
    NotMadeIn(String),
    /// What is in it is no file, and must be taken as it is.
    OnlyRaw(String),
    /// QEMU gets at what is in it by other ways than a path.
    NoPath(String),
    /// There is no such volume.
    NoVolume {
        /// The pool.
        pool: String,
        /// The volume.
        volume: String,
    },
    /// It is no image of the format that it is to be taken for.
    OtherFormat {
        /// The volume.
        volume: String,
        /// What it is.
        is: String,
        /// What was asked for.
        wanted: String,
    },
    /// Something else uses it.
    Used(Text, Text),
    /// There is no such medium.
    NoMedium(String),
    /// There is no such network.
    NoNetwork(String),
    /// It is not active.
    NetworkInactive(String),
    /// The host's QEMU has no such screens.
    NoScreen(String),
    /// It runs no machine with so many CPUs.
    TooManyCpus(u32),
    /// The host has no more memory than this, in MiB.
    TooMuchMemory(u64),
    /// It runs no machines of the host's own architecture.
    NoMachines(Text),
}

impl Unfit {
    /// The same as it is told.
    #[must_use]
    pub fn text(&self) -> Text {
        let said = |text: &str| Text::from(text);
        let message = match self {
            Self::NameTaken => Message::FERRYWHY0070I,
            Self::NoPool(pool) => Message::FERRYWHY0071I { pool: said(pool) },
            Self::PoolInactive(pool) => Message::FERRYWHY0072I { pool: said(pool) },
            Self::NotMadeIn(pool) => Message::FERRYWHY0073I { pool: said(pool) },
            Self::OnlyRaw(pool) => Message::FERRYWHY0074I { pool: said(pool) },
            Self::NoPath(pool) => Message::FERRYWHY0075I { pool: said(pool) },
            Self::NoVolume { pool, volume } => {
                Message::FERRYWHY0076I { pool: said(pool), volume: said(volume) }
            }
            Self::OtherFormat { volume, is, wanted } => {
                Message::FERRYWHY0077I { volume: said(volume), is: said(is), wanted: said(wanted) }
            }
            Self::Used(volume, user) => Message::FERRYWHY0078I { volume: volume.clone(), user: user.clone() },
            Self::NoMedium(path) => Message::FERRYWHY0079I { path: said(path) },
            Self::NoNetwork(network) => Message::FERRYWHY0080I { network: said(network) },
            Self::NetworkInactive(network) => Message::FERRYWHY0081I { network: said(network) },
            Self::NoScreen(kind) => Message::FERRYWHY0082I { kind: said(kind) },
            Self::TooManyCpus(most) => Message::FERRYWHY0083I { most: u64::from(*most).into() },
            Self::TooMuchMemory(most_mib) => Message::KCHVM0041E { maxmem: (*most_mib).into() },
            Self::NoMachines(why) => Message::FERRYWHY0084I { why: why.clone() },
        };
        message.into()
    }
}

impl Wanted {
    /// The volumes that are there and become its disks, with their pools.
    fn existing(&self) -> impl Iterator<Item = (&str, &str)> {
        self.disks.iter().filter_map(|disk| match &disk.volume {
            Volume::Existing(volume) => Some((&*disk.pool, &**volume)),
            Volume::New { .. } => None,
        })
    }

    /// A volume that another machine is to have, too; none where there is none.
    #[must_use]
    pub fn shared_with(&self, other: &Self) -> Option<Text> {
        let shared = self.existing().find(|own| other.existing().any(|others| others == *own));
        shared
            .map(|(pool, volume)| Message::FERRYWHY0089I { volume: volume.into(), pool: pool.into() }.into())
    }
}

impl CreationPlan {
    /// The plan of a machine with this UUID.
    #[must_use]
    pub fn new(host: &str, uuid: DomainUuid, wanted: Wanted, hardware: Hardware) -> Self {
        let macs = (0_u8..).zip(&wanted.networks).map(|(at, _)| mac(uuid, at)).collect();
        let identity = CopyIdentity { uuid, name: wanted.name.clone(), macs };
        Self { host: host.to_owned(), identity, wanted, hardware }
    }

    /// The volumes that are made for it.
    #[must_use]
    pub fn volumes(&self) -> Vec<NewVolume> {
        let uuid = self.identity.uuid;
        let made = self.wanted.disks.iter().enumerate().filter_map(|(at, disk)| match disk.volume {
            Volume::New { capacity_bytes } => Some(NewVolume {
                disk: at,
                pool: disk.pool.clone(),
                name: format!("{uuid}-{at}.img"),
                format: disk.format.clone(),
                capacity_bytes,
            }),
            Volume::Existing(_) => None,
        });
        made.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn what_is_made_has_names_that_are_nobody_elses() {
        let disk = |volume| WantedDisk { pool: "default".to_owned(), format: "qcow2".to_owned(), volume };
        let wanted = Wanted {
            name: "web".to_owned(),
            title: String::new(),
            description: String::new(),
            memory_mib: 1024,
            max_memory_mib: 1024,
            vcpus: 1,
            max_vcpus: 1,
            disks: vec![disk(Volume::Existing("old".to_owned())), disk(Volume::New { capacity_bytes: 7 })],
            cdrom: None,
            networks: vec!["default".to_owned(), "default".to_owned()],
            screen: Screen { kind: "vnc".to_owned(), listen: IpAddr::V4(Ipv4Addr::LOCALHOST) },
        };
        let other = Wanted { disks: wanted.disks[1..].to_vec(), ..wanted.clone() };
        assert_eq!(wanted.shared_with(&wanted).unwrap().to_string(), "old in the storage pool default");
        assert_eq!(wanted.shared_with(&other), None, "what is made is nobody else's");
        let uuid = DomainUuid(uuid::Uuid::from_u128(7));
        let plan = CreationPlan::new("kvm1", uuid, wanted, Hardware::default());
        let made = plan.volumes();
        assert_eq!(made.len(), 1, "what is there is not made");
        assert_eq!((made[0].disk, made[0].name.as_str()), (1, format!("{uuid}-1.img").as_str()));
        assert_eq!(plan.identity.macs.len(), 2);
        assert_ne!(plan.identity.macs[0], plan.identity.macs[1]);
        let stored = serde_json::to_value(&plan).unwrap();
        assert_eq!(serde_json::from_value::<CreationPlan>(stored).unwrap(), plan);
    }
}
