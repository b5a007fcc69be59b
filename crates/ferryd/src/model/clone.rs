//! What a clone of a stopped domain is made from: plain data, stored with its task.

use serde::{Deserialize, Serialize};

use super::DomainUuid;
use super::definition::{Definition, Disk, Drive, Source};
use crate::hypervisor::CopyIdentity;
use crate::messages::{Message, Text};

/// A volume of a storage pool's, or a file that is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// By its path on the host.
    Path(String),
    /// By its names.
    Volume {
        /// The pool.
        pool: String,
        /// The volume.
        volume: String,
    },
}

impl Place {
    /// The end of the name, with its point; empty where it has none.
    fn extension(&self) -> &str {
        let (Self::Path(name) | Self::Volume { volume: name, .. }) = self;
        let name = name.rsplit('/').next().unwrap_or_default();
        name.rfind('.').filter(|at| *at > 0).map_or("", |at| &name[at..])
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Volume { pool, volume } => write!(f, "{volume} in pool {pool}"),
        }
    }
}

/// Something of the original's that the clone gets its own of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The disk, by its name in the domain (`vda`); none of the variables of its firmware.
    pub target: Option<String>,
    /// Where the original's is.
    pub original: Place,
    /// `raw`, `qcow2`: what the original takes it for.
    pub format: String,
    /// The name of the clone's, in the same pool or directory. The clone's UUID is in it, so it is nobody else's.
    pub name: String,
}

/// A clone that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClonePlan {
    /// The registered host.
    pub host: String,
    /// The original.
    pub domain: DomainUuid,
    /// Its name.
    pub name: String,
    /// What the clone is known by.
    pub identity: CopyIdentity,
    /// What is copied.
    pub parts: Vec<Part>,
}

impl ClonePlan {
    /// The plan for a clone of this domain; an error says, in words, what of it cannot be copied.
    ///
    /// # Errors
    /// A disk is of a kind that Ferry does not copy.
    pub fn of(host: &str, definition: &Definition, uuid: DomainUuid, name: String) -> Result<Self, Text> {
        let macs = (0_u8..).zip(&definition.interfaces).map(|(at, _)| mac(uuid, at)).collect();
        Ok(Self {
            host: host.to_owned(),
            domain: DomainUuid(definition.uuid),
            name: definition.name.clone(),
            identity: CopyIdentity { uuid, name, macs },
            parts: parts(definition, uuid)?,
        })
    }
}

/// What a clone of this UUID gets its own of. Media and disks that nothing is written to, or that several may write to, are shared.
///
/// # Errors
/// Says which disk cannot be copied, and why.
pub fn parts(definition: &Definition, uuid: DomainUuid) -> Result<Vec<Part>, Text> {
    let own = |disk: &&Disk| {
        matches!(disk.drive, Drive::Disk | Drive::Lun)
            && disk.source != Source::Empty
            && !disk.readonly
            && !disk.shareable
    };
    let mut parts = Vec::new();
    for (at, disk) in definition.disks.iter().filter(own).enumerate() {
        let original = original(disk)?;
        let name = format!("{uuid}-{at}{}", original.extension());
        let format = disk.format.clone().unwrap_or_else(|| "raw".to_owned());
        parts.push(Part { target: Some(disk.target.clone()), original, format, name });
    }
    if let Some(path) = &definition.firmware.nvram {
        let original = Place::Path(path.clone());
        parts.push(Part {
            target: None,
            original,
            format: "raw".to_owned(),
            name: format!("{uuid}_VARS.fd"),
        });
    }
    Ok(parts)
}

fn original(disk: &Disk) -> Result<Place, Text> {
    let cannot = |why| Err(Message::FERRYWHY0041I { disk: disk.target.as_str().into(), why }.into());
    if disk.encryption.is_some() || !disk.secrets.is_empty() {
        return cannot(Message::FERRYWHY0042I.into());
    }
    place(disk).or_else(cannot)
}

/// Where the volume of a disk is.
///
/// # Errors
/// Says why it is none.
pub fn place(disk: &Disk) -> Result<Place, Text> {
    match &disk.source {
        _ if disk.drive == Drive::Lun => Err(Message::FERRYWHY0043I.into()),
        Source::File(path) | Source::Block(path) => Ok(Place::Path(path.clone())),
        Source::Volume { pool, volume } => Ok(Place::Volume { pool: pool.clone(), volume: volume.clone() }),
        other => Err(Message::FERRYWHY0044I { source: other.describe().into() }.into()),
    }
}

/// A MAC address of QEMU's range out of a UUID, which is as good as drawn by lot.
#[must_use]
pub fn mac(uuid: DomainUuid, at: u8) -> String {
    let bytes = uuid.0.as_bytes();
    format!("52:54:00:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2].wrapping_add(at))
}

/// The next name of Kimchi's for a clone: `NAME-clone-N`, N one more than the largest there is.
#[must_use]
pub fn next_name<'a>(name: &str, taken: impl Iterator<Item = &'a str>) -> String {
    let prefix = format!("{name}-clone-");
    let numbers = taken.filter_map(|taken| taken.strip_prefix(&prefix)?.parse::<u64>().ok());
    format!("{prefix}{}", numbers.max().unwrap_or(0).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::definition::{Firmware, Interface};

    fn disk(target: &str, source: Source) -> Disk {
        Disk { target: target.to_owned(), source, format: Some("qcow2".to_owned()), ..Disk::default() }
    }

    fn file(path: &str) -> Source {
        Source::File(path.to_owned())
    }

    #[test]
    fn names_go_on_from_the_largest_number() {
        assert_eq!(next_name("web", ["web", "db-clone-7", "web-clone-x"].into_iter()), "web-clone-1");
        assert_eq!(next_name("web", ["web-clone-2", "web-clone-10"].into_iter()), "web-clone-11");
        assert_eq!(next_name("web-clone-1", ["web-clone-1"].into_iter()), "web-clone-1-clone-1");
    }

    #[test]
    fn what_is_written_to_is_copied_and_the_rest_shared() {
        let uuid = DomainUuid(Uuid::from_u128(7));
        let pooled = Source::Volume { pool: "fast".to_owned(), volume: "b".to_owned() };
        let definition = Definition {
            name: "web".to_owned(),
            disks: vec![
                disk("vda", file("/images.d/web.qcow2")),
                Disk { drive: Drive::Cdrom, ..disk("sda", file("/iso/a.iso")) },
                Disk { readonly: true, ..disk("vdb", file("/images/tools.img")) },
                Disk { shareable: true, ..disk("vdc", file("/images/common.img")) },
                disk("vdd", pooled.clone()),
                disk("vde", Source::Empty),
            ],
            interfaces: vec![Interface::default(), Interface::default()],
            firmware: Firmware { nvram: Some("/nvram/web_VARS.fd".to_owned()), ..Firmware::default() },
            ..Definition::default()
        };
        let plan = ClonePlan::of("kvm1", &definition, uuid, "web-clone-1".to_owned()).unwrap();
        let told: Vec<_> =
            plan.parts.iter().map(|part| (part.target.as_deref(), part.name.clone())).collect();
        let wanted = [
            (Some("vda"), format!("{uuid}-0.qcow2")),
            (Some("vdd"), format!("{uuid}-1")),
            (None, format!("{uuid}_VARS.fd")),
        ];
        assert_eq!(told, wanted);
        assert_eq!(plan.parts[1].original, Place::Volume { pool: "fast".to_owned(), volume: "b".to_owned() });
        assert_eq!(plan.identity.macs.len(), 2);
        assert_ne!(plan.identity.macs[0], plan.identity.macs[1]);
    }

    #[test]
    fn what_cannot_be_copied_is_told() {
        let uuid = DomainUuid(Uuid::from_u128(7));
        for (disk, why) in [
            (Disk { encryption: Some("luks".to_owned()), ..disk("vda", file("/a")) }, "needs a secret"),
            (
                Disk { drive: Drive::Lun, ..disk("vda", Source::Block("/dev/sdb".to_owned())) },
                "passed through",
            ),
            (disk("vda", Source::Other("nvme".to_owned())), "nvme is no volume"),
        ] {
            let definition = Definition { disks: vec![disk], ..Definition::default() };
            let said = parts(&definition, uuid).unwrap_err().to_string();
            assert!(said.starts_with("its disk vda cannot be copied: ") && said.contains(why), "{said}");
        }
    }
}
