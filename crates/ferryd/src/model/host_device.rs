//! Devices of a host's that a domain is given, as its definition finds them and as the host knows them.

use crate::messages::{Message, Text};

/// By what a domain's definition finds a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A PCI address.
    Pci {
        /// Domain.
        domain: u32,
        /// Bus.
        bus: u32,
        /// Slot.
        slot: u32,
        /// Function.
        function: u32,
    },
    /// What a USB device is, where it is plugged in, or both.
    Usb {
        /// Vendor and product.
        identity: Option<(u32, u32)>,
        /// Bus and number on it.
        address: Option<(u32, u32)>,
    },
    /// A logical unit behind a SCSI host adapter.
    Scsi {
        /// The adapter's number.
        host: u32,
        /// Bus.
        bus: u32,
        /// Target.
        target: u32,
        /// Unit.
        unit: u32,
    },
    /// Another kind of device, by its address or identity.
    Other(String),
}

/// A device that a domain is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// `pci`, `usb`, `scsi`, `mdev`, as libvirt writes it.
    pub kind: String,
    /// By what it is found.
    pub place: Place,
}

/// A vendor, or a product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labelled {
    /// Its number, as libvirt writes it (`0x8086`).
    pub id: String,
    /// Its name, where the host knows it.
    pub description: Option<String>,
}

/// A device as its host's libvirt describes it (a node device).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeDevice {
    /// libvirt's name of it.
    pub name: String,
    /// Who made it.
    pub vendor: Option<Labelled>,
    /// What it is.
    pub product: Option<Labelled>,
    /// The PCI class (`0x030200`).
    pub class: Option<u32>,
    /// Of a USB device, bus and number on it.
    pub usb_address: Option<(u32, u32)>,
}

/// A device that a domain is given, and what its host knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// libvirt's name of it; of a USB device that is not there, Kimchi's.
    pub name: String,
    /// `pci`, `usb`, `scsi`, `mdev`, as libvirt writes it.
    pub kind: String,
    /// What the host tells of it; none where the device, or a libvirt that knows devices, is not there.
    pub device: Option<NodeDevice>,
    /// Of a PCI device that is there: whether it is one of several functions in its slot.
    pub multifunction: Option<bool>,
}

/// Where a domain has a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// As it runs; none where it does not.
    pub live: Option<bool>,
    /// As it is defined; none where it is not.
    pub defined: Option<bool>,
}

impl Standing {
    /// It has it wherever it can have it.
    #[must_use]
    pub fn is_whole(self) -> bool {
        !self.is_nowhere() && [self.live, self.defined].into_iter().flatten().all(|there| there)
    }

    /// It has it nowhere.
    #[must_use]
    pub fn is_nowhere(self) -> bool {
        ![self.live, self.defined].contains(&Some(true))
    }
}

/// Why a device is not given to a domain, or not taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub enum Unmoved {
    /// The host has no such device.
    Absent,
    /// It is no device that a domain can be given.
    NotAllowed,
    /// Without an IOMMU a domain that is given it could not be started any more.
    NoIommu,
    /// It is not given to, nor taken from, a domain that runs.
    OnlyStopped,
    /// The domain has it.
    Given,
    /// The domain does not have it.
    NotGiven,
    /// A job of libvirt's is at work on the domain.
    Job,
}

impl Unmoved {
    /// The same as it is told.
    #[must_use]
    pub fn text(self) -> Text {
        let message = match self {
            Self::Absent => Message::FERRYWHY0090I,
            Self::NotAllowed => Message::FERRYWHY0091I,
            Self::NoIommu => Message::FERRYWHY0092I,
            Self::OnlyStopped => Message::FERRYWHY0093I,
            Self::Given => Message::FERRYWHY0094I,
            Self::NotGiven => Message::FERRYWHY0095I,
            Self::Job => Message::FERRYWHY0096I,
        };
        message.into()
    }
}

/// The PCI class of a 3D controller.
const CONTROLLER_3D: u32 = 0x03_02_00;

impl NodeDevice {
    /// Whether it is a 3D controller; none where its class is not known.
    #[must_use]
    pub fn is_3d_controller(&self) -> Option<bool> {
        self.class.map(|class| class == CONTROLLER_3D)
    }
}

impl Given {
    /// The name that libvirt has for such a device, where the place says it. (A USB device's is that of the port that it is plugged into.)
    #[must_use]
    pub fn node_name(&self) -> Option<String> {
        match &self.place {
            Place::Pci { domain, bus, slot, function } => {
                Some(format!("pci_{domain:04x}_{bus:02x}_{slot:02x}_{function:x}"))
            }
            Place::Scsi { host, bus, target, unit } => Some(format!("scsi_{host}_{bus}_{target}_{unit}")),
            Place::Usb { .. } => None,
            Place::Other(what) => {
                let plain = |byte: char| if byte.is_ascii_alphanumeric() { byte } else { '_' };
                Some(format!("{}_{}", self.kind, what.chars().map(plain).collect::<String>()))
            }
        }
    }

    /// Which of the host's USB devices it is: the first that has all that is said of it.
    #[must_use]
    pub fn among<'a>(&self, devices: &'a [NodeDevice]) -> Option<&'a NodeDevice> {
        let Place::Usb { identity, address } = &self.place else { return None };
        let is = |device: &&NodeDevice| {
            let part = |labelled: &Option<Labelled>| labelled.as_ref().and_then(|label| number(&label.id));
            identity.is_none_or(|wanted| part(&device.vendor).zip(part(&device.product)) == Some(wanted))
                && address.is_none_or(|wanted| device.usb_address == Some(wanted))
        };
        devices.iter().find(is)
    }

    /// Kimchi's name of a USB device that is not there.
    #[must_use]
    pub fn missing_name(&self) -> Option<String> {
        match self.place {
            Place::Usb { address: Some((bus, device)), .. } => Some(format!("usb_bus_{bus}_device_{device}")),
            Place::Usb { identity: Some((vendor, product)), .. } => {
                Some(format!("usb_vendor_{vendor}_product_{product}"))
            }
            _ => None,
        }
    }
}

/// A number as libvirt writes it: with `0x` before it in base 16, with `0` in base 8.
#[must_use]
pub fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        u32::from_str_radix(digits, 16).ok()
    } else if text.len() > 1 && text.starts_with('0') {
        u32::from_str_radix(text, 8).ok()
    } else {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(kind: &str, place: Place) -> Given {
        Given { kind: kind.to_owned(), place }
    }

    #[test]
    fn devices_have_the_names_that_libvirt_gives_them() {
        let pci = Place::Pci { domain: 0, bus: 0x1f, slot: 0x10, function: 7 };
        let scsi = Place::Scsi { host: 2, bus: 0, target: 1, unit: 11 };
        let mdev = Place::Other("a24f5045-dc32".to_owned());
        assert_eq!(given("pci", pci).node_name().as_deref(), Some("pci_0000_1f_10_7"));
        assert_eq!(given("scsi", scsi).node_name().as_deref(), Some("scsi_2_0_1_11"));
        assert_eq!(given("mdev", mdev).node_name().as_deref(), Some("mdev_a24f5045_dc32"));
    }

    #[test]
    fn a_usb_device_is_the_one_that_has_all_that_is_said_of_it() {
        let device = |name: &str, usb_address| NodeDevice {
            name: name.to_owned(),
            vendor: Some(Labelled { id: "0x046d".to_owned(), description: None }),
            product: Some(Labelled { id: "0xc52b".to_owned(), description: None }),
            usb_address: Some(usb_address),
            class: None,
        };
        let there = [device("usb_1_1", (1, 2)), device("usb_1_2", (1, 3))];
        let which = |identity, address| {
            let found = given("usb", Place::Usb { identity, address });
            (found.among(&there).map(|device| device.name.clone()), found.missing_name())
        };
        let both = Some((0x046d, 0xc52b));
        assert_eq!(which(both, None).0.as_deref(), Some("usb_1_1"));
        assert_eq!(which(both, Some((1, 3))).0.as_deref(), Some("usb_1_2"));
        assert_eq!(which(None, Some((1, 3))).0.as_deref(), Some("usb_1_2"));
        assert_eq!(which(Some((1, 2)), None), (None, Some("usb_vendor_1_product_2".to_owned())));
        assert_eq!(which(both, Some((9, 9))), (None, Some("usb_bus_9_device_9".to_owned())));
    }

    #[test]
    fn a_device_is_whole_where_every_document_has_it() {
        let standing = |live, defined| Standing { live, defined };
        for (seen, whole, nowhere) in [
            (standing(None, Some(true)), true, false),
            (standing(Some(true), Some(true)), true, false),
            (standing(Some(true), None), true, false),
            (standing(Some(true), Some(false)), false, false),
            (standing(Some(false), Some(false)), false, true),
            (standing(None, None), false, true),
        ] {
            assert_eq!((seen.is_whole(), seen.is_nowhere()), (whole, nowhere), "{seen:?}");
        }
    }

    #[test]
    fn numbers_are_read_as_libvirt_writes_them() {
        let read = ["0x1f", "010", "8", "0", "x", ""].map(number);
        assert_eq!(read, [Some(31), Some(8), Some(8), Some(0), None, None]);
    }
}
