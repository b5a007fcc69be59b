//! Devices of a host's: those that a domain is given, and how the host describes one.

use roxmltree::Node;

use super::devices::address_of_host_device;
use super::{Result, attribute, child, children, parse, path, text};
use crate::model::host_device::{Given, Labelled, NodeDevice, Place, Unmoved, number};

/// The base class of PCI bridges.
const PCI_BRIDGES: u32 = 0x06;
/// The vendor that Linux gives the hubs of its own USB controllers.
const USB_ROOT_HUBS: u32 = 0x1d6b;

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

/// The elements of the same devices, in the same order.
///
/// # Errors
/// Not XML.
pub fn given_elements(xml: &str) -> Result<Vec<String>> {
    let document = parse("domain XML", xml)?;
    let devices = child(document.root_element(), "devices");
    let all = devices.into_iter().flat_map(|devices| children(devices, "hostdev"));
    Ok(all.map(|node| xml[node.range()].to_owned()).collect())
}

/// The element by which a domain is given a device that its host describes so; libvirt takes a PCI device from the host's driver
/// and gives it back (`managed`).
///
/// # Errors
/// Not XML.
pub fn assignment(node_device: &str) -> Result<std::result::Result<String, Unmoved>> {
    let document = parse("node device XML", node_device)?;
    let root = document.root_element();
    let figure = |name: &str| text(root, &["capability", name]).as_deref().and_then(number);
    let capability = children(root, "capability").find_map(|capability| capability.attribute("type"));
    let source = match capability {
        Some("pci") => pci_source(root, figure),
        Some("usb_device") => usb_source(root, figure),
        Some("scsi") => scsi_source(figure),
        _ => Err(Unmoved::NotAllowed),
    };
    Ok(source.map(|(kind, source)| {
        // What is behind a SCSI adapter stays with its driver.
        let managed = if kind == "scsi" { "" } else { " managed='yes'" };
        format!("<hostdev mode='subsystem' type='{kind}'{managed}>{source}</hostdev>")
    }))
}

type Source = std::result::Result<(&'static str, String), Unmoved>;

fn pci_source(root: Node<'_, '_>, figure: impl Fn(&str) -> Option<u32>) -> Source {
    let parts = [figure("domain"), figure("bus"), figure("slot"), figure("function")];
    let [Some(domain), Some(bus), Some(slot), Some(function)] = parts else {
        return Err(Unmoved::NotAllowed);
    };
    // The host's own ways: everything behind one would go along.
    if figure("class").is_some_and(|class| class >> 16 == PCI_BRIDGES) {
        return Err(Unmoved::NotAllowed);
    }
    if path(root, &["capability", "iommuGroup"]).is_none() {
        return Err(Unmoved::NoIommu);
    }
    let address = format!(
        "<source><address domain='0x{domain:04x}' bus='0x{bus:02x}' slot='0x{slot:02x}' function='0x{function:x}'/></source>"
    );
    Ok(("pci", address))
}

fn usb_source(root: Node<'_, '_>, figure: impl Fn(&str) -> Option<u32>) -> Source {
    let id = |name: &str| labelled(root, name).and_then(|label| number(&label.id));
    let parts = [id("vendor"), id("product"), figure("bus"), figure("device")];
    let [Some(vendor), Some(product), Some(bus), Some(device)] = parts else {
        return Err(Unmoved::NotAllowed);
    };
    if vendor == USB_ROOT_HUBS {
        return Err(Unmoved::NotAllowed);
    }
    // A machine starts without one that is not plugged in.
    let source = format!(
        "<source startupPolicy='optional'><vendor id='0x{vendor:04x}'/><product id='0x{product:04x}'/>         <address bus='{bus}' device='{device}'/></source>"
    );
    Ok(("usb", source))
}

fn scsi_source(figure: impl Fn(&str) -> Option<u32>) -> Source {
    let parts = [figure("host"), figure("bus"), figure("target"), figure("lun")];
    let [Some(host), Some(bus), Some(target), Some(unit)] = parts else { return Err(Unmoved::NotAllowed) };
    let source = format!(
        "<source><adapter name='scsi_host{host}'/><address bus='{bus}' target='{target}' unit='{unit}'/></source>"
    );
    Ok(("scsi", source))
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
    fn a_device_is_given_by_the_address_that_its_host_describes() {
        let capability = |kind: &str, inside: &str| {
            let xml =
                format!("<device><name>d</name><capability type='{kind}'>{inside}</capability></device>");
            assignment(&xml).unwrap()
        };
        let pci =
            "<class>0x020000</class><domain>0</domain><bus>1</bus><slot>31</slot><function>7</function>";
        let group =
            "<iommuGroup number='7'><address domain='0' bus='1' slot='31' function='7'/></iommuGroup>";
        let usb = |vendor: &str| {
            format!("<bus>1</bus><device>3</device><product id='0xc52b'/><vendor id='{vendor}'/>")
        };
        let scsi = "<host>2</host><bus>0</bus><target>1</target><lun>4</lun><type>disk</type>";
        // What libvirt would tell of a domain that was given it is where it is.
        for (element, expected) in [
            (
                capability("pci", &format!("{pci}{group}")),
                Place::Pci { domain: 0, bus: 1, slot: 31, function: 7 },
            ),
            (
                capability("usb_device", &usb("0x046d")),
                Place::Usb { identity: Some((0x046d, 0xc52b)), address: Some((1, 3)) },
            ),
            (capability("scsi", scsi), Place::Scsi { host: 2, bus: 0, target: 1, unit: 4 }),
        ] {
            let element = element.unwrap();
            let domain = format!("<domain><devices>{element}</devices></domain>");
            assert_eq!(given(&domain).unwrap()[0].place, expected, "{element}");
            assert_eq!(given_elements(&domain).unwrap(), [element]);
        }
        assert_eq!(capability("pci", pci), Err(Unmoved::NoIommu));
        let bridge = pci.replace("0x020000", "0x060400");
        assert_eq!(capability("pci", &format!("{bridge}{group}")), Err(Unmoved::NotAllowed));
        assert_eq!(capability("usb_device", &usb("0x1d6b")), Err(Unmoved::NotAllowed));
        assert_eq!(capability("net", "<interface>eth0</interface>"), Err(Unmoved::NotAllowed));
        assert!(assignment("<").is_err());
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
