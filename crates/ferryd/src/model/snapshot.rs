//! A domain's snapshots: what is told of them, and what speaks against making one.

use super::definition::{Definition, Drive, Source};
use crate::messages::{Message, Text};

/// A snapshot of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// The name of the one that it builds on.
    pub parent: Option<String>,
    /// The domain's state when it was made, in libvirt's words (`shutoff`, `running`, `disk-snapshot`).
    pub state: String,
    /// When it was made, in seconds since 1970, as libvirt writes it.
    pub created_s: String,
}

/// Why no internal snapshot of a domain can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub enum Obstacle {
    /// It has a disk that cannot hold one.
    Format {
        /// The disk's name in the domain.
        disk: String,
        /// Its format.
        format: String,
    },
    /// It has no disk at all that could hold one.
    NoDisk,
    /// The variables of its firmware would not be in it.
    Firmware,
}

impl Obstacle {
    /// The same as it is told.
    #[must_use]
    pub fn text(&self) -> Text {
        let message = match self {
            Self::Format { disk, format } => {
                Message::FERRYWHY0024I { disk: disk.as_str().into(), format: format.as_str().into() }
            }
            Self::NoDisk => Message::FERRYWHY0025I,
            Self::Firmware => Message::FERRYWHY0026I,
        };
        message.into()
    }
}

/// What speaks against an internal snapshot of this domain. What is only read stays out of one, as libvirt has it; the rest must be
/// qcow2. (Of the variables of a firmware libvirt asks the same, and before 10.10 refuses them altogether.)
#[must_use]
pub fn obstacle(definition: &Definition) -> Option<Obstacle> {
    let written = definition.disks.iter().filter(|disk| {
        matches!(disk.drive, Drive::Disk | Drive::Lun) && disk.source != Source::Empty && !disk.readonly
    });
    let mut any = false;
    for disk in written {
        any = true;
        let format = disk.format.as_deref().unwrap_or("raw");
        if format != "qcow2" {
            return Some(Obstacle::Format { disk: disk.target.clone(), format: format.to_owned() });
        }
    }
    let firmware = &definition.firmware;
    let has_variables = firmware.nvram.is_some() || firmware.automatic.as_deref() == Some("efi");
    if !any {
        Some(Obstacle::NoDisk)
    } else if has_variables && firmware.nvram_format.as_deref() != Some("qcow2") {
        Some(Obstacle::Firmware)
    } else {
        None
    }
}

/// The longest name that a snapshot can have, in bytes: QEMU keeps 256 with a null byte, libvirt names a file by it.
const LONGEST_NAME: usize = 200;

/// Why a snapshot cannot have this name.
#[must_use]
pub fn unfit_name(name: &str) -> Option<Text> {
    let why = if name.is_empty() || name.len() > LONGEST_NAME {
        Message::FERRYWHY0027I { longest: LONGEST_NAME.to_string().into() }
    } else if name.starts_with('.') || name.contains('/') || name.chars().any(char::is_control) {
        Message::FERRYWHY0028I
    } else if name == "current" {
        Message::FERRYWHY0029I
    } else if name.len() < 10 && name.bytes().all(|byte| byte.is_ascii_digit()) {
        // qemu-img takes a snapshot's number or its name, and its number first (bdrv_snapshot_goto of QEMU): another snapshot would be
        // gone back to. No image comes to numbers of ten digits; a time in seconds has so many.
        Message::FERRYWHY0030I
    } else {
        return None;
    };
    Some(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::definition::{Disk, Firmware};

    fn disk(format: Option<&str>) -> Disk {
        Disk {
            target: "vda".to_owned(),
            source: Source::File("/images/a".to_owned()),
            format: format.map(str::to_owned),
            ..Disk::default()
        }
    }

    fn of(disks: Vec<Disk>) -> Definition {
        Definition { disks, ..Definition::default() }
    }

    #[test]
    fn every_disk_that_is_written_must_be_able_to_hold_one() {
        let qcow2 = || disk(Some("qcow2"));
        let raw = |format: &str| Some(Obstacle::Format { disk: "vda".to_owned(), format: format.to_owned() });
        assert_eq!(obstacle(&of(vec![qcow2(), qcow2()])), None);
        assert_eq!(obstacle(&of(vec![qcow2(), disk(Some("qed"))])), raw("qed"));
        assert_eq!(obstacle(&of(vec![disk(None)])), raw("raw"));
        assert_eq!(obstacle(&of(Vec::new())), Some(Obstacle::NoDisk));
        for beside in [
            Disk { drive: Drive::Cdrom, ..disk(Some("raw")) },
            Disk { drive: Drive::Floppy, ..disk(Some("raw")) },
            Disk { readonly: true, ..disk(Some("raw")) },
            Disk { source: Source::Empty, ..disk(Some("raw")) },
        ] {
            assert_eq!(obstacle(&of(vec![qcow2(), beside.clone()])), None, "{beside:?}");
            assert_eq!(obstacle(&of(vec![beside.clone()])), Some(Obstacle::NoDisk), "{beside:?}");
        }
    }

    #[test]
    fn so_must_the_variables_of_the_firmware() {
        let with = |firmware| obstacle(&Definition { firmware, ..of(vec![disk(Some("qcow2"))]) });
        let nvram = Firmware { nvram: Some("/nvram/a".to_owned()), ..Firmware::default() };
        let automatic = Firmware { automatic: Some("efi".to_owned()), ..Firmware::default() };
        let qcow2 = Firmware { nvram_format: Some("qcow2".to_owned()), ..nvram.clone() };
        let bios = Firmware { automatic: Some("bios".to_owned()), ..Firmware::default() };
        assert_eq!([with(nvram), with(automatic)], [Some(Obstacle::Firmware), Some(Obstacle::Firmware)]);
        assert_eq!([with(qcow2), with(bios)], [None, None]);
    }

    #[test]
    fn names_are_those_that_libvirt_and_qemu_take_as_they_are_meant() {
        for fits in ["1448538123", "before the update", "a", "2 b", "ä'\"<&"] {
            assert_eq!(unfit_name(fits), None, "{fits}");
        }
        for unfit in ["", ".a", "a/b", "a\nb", "current", "1", "999999999", &"a".repeat(201)] {
            assert!(unfit_name(unfit).is_some(), "{unfit}");
        }
    }
}
