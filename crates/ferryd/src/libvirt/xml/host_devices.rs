//! Devices of a host's: those that a domain is given, and how the host describes one.

use roxmltree::Node;

use super::devices::address_of_host_device;
use super::{Result, attribute, child, children, parse, path, text};
use crate::model::host_device::{Given, Labelled, NodeDevice, Place, number};

/// The devices that a domain is given (`hostdev`), in its order.
///
/// # Errors
/// Not XML.
pub fn given(xml: &str) -> Result<Vec<Given>> {
    let document = parse("domain XML", xml)?;
    let devices = child(document.root_element(), "devices");
    let all = devices.into_iter().flat_map(|devices| children(devices, "hostdev"));
    Ok(all
        .map(|node| Given { kind: attribute(node, "type").unwrap_or_default(), place: place(node) })
        .collect())
}

fn place(node: Node<'_, '_>) -> Place {
    let Some(source) = child(node, "source") else { return Place::Other(String::new()) };
    let address = child(source, "address");
    let part = |name: &str| address.and_then(|address| address.attribute(name)).and_then(number);
    let found = match node.attribute("type") {
        Some("pci") => (|| {
            let (domain, bus) = (part("domain").unwrap_or(0), part("bus")?);
            Some(Place::Pci { domain, bus, slot: part("slot")?, function: part("function")? })
        })(),
        Some("usb") => {
            let id = |name: &str| child(source, name).and_then(|node| node.attribute("id")).and_then(number);
            let identity = id("vendor").zip(id("product"));
            Some(Place::Usb { identity, address: part("bus").zip(part("device")) })
        }
        Some("scsi") => (|| {
            let adapter = child(source, "adapter")?.attribute("name")?;
            let host = number(adapter.strip_prefix("scsi_host")?)?;
            Some(Place::Scsi { host, bus: part("bus")?, target: part("target")?, unit: part("unit")? })
        })(),
        _ => None,
    };
    found.unwrap_or_else(|| Place::Other(address_of_host_device(source)))
}

/// Reads `virNodeDeviceGetXMLDesc`.
///
/// # Errors
/// Not XML.
pub fn node_device(xml: &str) -> Result<NodeDevice> {
    let document = parse("node device XML", xml)?;
    let root = document.root_element();
    let figure = |name: &str| text(root, &["capability", name]).as_deref().and_then(number);
    Ok(NodeDevice {
        name: text(root, &["name"]).unwrap_or_default(),
        vendor: labelled(root, "vendor"),
        product: labelled(root, "product"),
        class: figure("class"),
        usb_address: figure("bus").zip(figure("device")),
    })
}

fn labelled(root: Node<'_, '_>, name: &str) -> Option<Labelled> {
    // Of a SCSI device these are texts of the disk's own, and no numbers.
    let id = path(root, &["capability", name])?.attribute("id")?.to_owned();
    Some(Labelled { id, description: text(root, &["capability", name]) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    #[test]
    fn what_a_domain_is_given_is_read() {
        let read = given(
            "<domain><devices>
            <hostdev type='pci'><source><address domain='0x0000' bus='0x01' slot='0x1f' function='0x7'/></source>
              <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/></hostdev>
            <hostdev type='usb'><source><vendor id='0x046d'/><product id='0xc52b'/><address bus='1' device='3'/></source></hostdev>
            <hostdev type='usb'><source><address bus='1' device='3'/></source></hostdev>
            <hostdev type='scsi'><source><adapter name='scsi_host2'/><address bus='0' target='1' unit='4'/></source></hostdev>
            <hostdev type='scsi'><source protocol='iscsi' name='iqn.x/1'/></hostdev>
            <hostdev type='mdev'><source><address uuid='a24f5045-dc32-425b-af7c-5802b16591a6'/></source></hostdev>
            <hostdev type='storage'/>
            </devices></domain>",
        );
        let places: Vec<Place> = read.unwrap().into_iter().map(|given| given.place).collect();
        let usb = |identity| Place::Usb { identity, address: Some((1, 3)) };
        let expected = [
            Place::Pci { domain: 0, bus: 1, slot: 0x1f, function: 7 },
            usb(Some((0x046d, 0xc52b))),
            usb(None),
            Place::Scsi { host: 2, bus: 0, target: 1, unit: 4 },
            Place::Other(":".to_owned()),
            Place::Other("a24f5045-dc32-425b-af7c-5802b16591a6".to_owned()),
            Place::Other(String::new()),
        ];
        assert_eq!(places[..4], expected[..4]);
        assert_eq!(places[5..], expected[5..]);
        assert_eq!(given("<domain/>").unwrap(), Vec::new());
        assert!(given("<").is_err());
    }

    #[test]
    fn a_device_is_described() {
        let read = node_device(
            "<device><name>pci_0000_01_00_0</name><capability type='pci'><class>0x030200</class><domain>0</domain><bus>1</bus>
             <slot>0</slot><function>0</function><product id='0x1237'/><vendor id='0x10de'>NVIDIA Corporation</vendor>
             </capability></device>",
        )
        .unwrap();
        let vendor = Labelled { id: "0x10de".to_owned(), description: Some("NVIDIA Corporation".to_owned()) };
        assert_eq!((read.name.as_str(), read.vendor.as_ref()), ("pci_0000_01_00_0", Some(&vendor)));
        assert_eq!(read.product, Some(Labelled { id: "0x1237".to_owned(), description: None }));
        assert_eq!((read.is_3d_controller(), read.usb_address), (Some(true), None));
        let usb = "<device><name>usb_1_1</name><capability type='usb_device'><bus>1</bus><device>3</device>
                   <product id='0xc52b'/><vendor id='0x046d'/></capability></device>";
        let usb = node_device(usb).unwrap();
        assert_eq!((usb.usb_address, usb.is_3d_controller()), (Some((1, 3)), None));
    }
}
