//! What is read out of libvirt's XML. Nothing here fails on XML that holds more than it looks for.

use roxmltree::{Document, Node};
use uuid::Uuid;

use crate::model::facts::PassedThrough;

/// Why libvirt's XML could not be used.
#[derive(Debug, thiserror::Error)]
pub enum XmlError {
    /// It is not XML.
    #[error("libvirt's {what} is not XML")]
    Syntax {
        /// Which document.
        what: &'static str,
        /// Where.
        #[source]
        source: roxmltree::Error,
    },
    /// Something it always holds is missing.
    #[error("libvirt's {what} has no {missing}")]
    Missing {
        /// Which document.
        what: &'static str,
        /// What is missing.
        missing: &'static str,
    },
}

/// What the capabilities tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The machine's identity.
    pub host_uuid: Uuid,
    /// CPU architecture of the machine.
    pub architecture: String,
    /// Domain types of all guests it can run (`qemu`, `kvm`).
    pub domain_types: Vec<String>,
}

fn parse<'a>(what: &'static str, xml: &'a str) -> Result<Document<'a>, XmlError> {
    Document::parse(xml).map_err(|source| XmlError::Syntax { what, source })
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn path<'a, 'i>(node: Node<'a, 'i>, names: &[&str]) -> Option<Node<'a, 'i>> {
    names.iter().try_fold(node, |node, name| child(node, name))
}

/// Reads `virConnectGetCapabilities`.
///
/// # Errors
/// Not XML, or without the host's UUID or architecture.
pub fn capabilities(xml: &str) -> Result<Capabilities, XmlError> {
    const WHAT: &str = "capabilities";
    let document = parse(WHAT, xml)?;
    let root = document.root_element();
    let text = |names: &[&str]| path(root, names).and_then(|node| node.text()).map(str::trim);
    let host_uuid = text(&["host", "uuid"])
        .and_then(|text| Uuid::parse_str(text).ok())
        .ok_or(XmlError::Missing { what: WHAT, missing: "host UUID" })?;
    let architecture = text(&["host", "cpu", "arch"])
        .ok_or(XmlError::Missing { what: WHAT, missing: "architecture" })?
        .to_owned();
    let mut domain_types: Vec<String> = root
        .descendants()
        .filter(|node| node.has_tag_name("domain"))
        .filter_map(|node| node.attribute("type").map(str::to_owned))
        .collect();
    domain_types.sort();
    domain_types.dedup();
    Ok(Capabilities { host_uuid, architecture, domain_types })
}

/// What the checks need of a domain's XML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainXml {
    /// `qemu`, `kvm`.
    pub domain_type: String,
    /// The guest's architecture.
    pub architecture: String,
    /// Devices of the host's given to it.
    pub passed_through: Vec<PassedThrough>,
}

/// Reads a domain's XML.
///
/// # Errors
/// Not XML, or without a type.
pub fn domain(xml: &str) -> Result<DomainXml, XmlError> {
    const WHAT: &str = "domain XML";
    let document = parse(WHAT, xml)?;
    let root = document.root_element();
    let domain_type =
        root.attribute("type").ok_or(XmlError::Missing { what: WHAT, missing: "type" })?.to_owned();
    let architecture =
        path(root, &["os", "type"]).and_then(|node| node.attribute("arch")).unwrap_or_default().to_owned();
    let passed_through =
        child(root, "devices").map(|devices| devices.children().filter_map(passed_through).collect());
    Ok(DomainXml { domain_type, architecture, passed_through: passed_through.unwrap_or_default() })
}

/// A `hostdev`, or an `interface` of type `hostdev`: a device of this machine. (Tell-tale of one that can go along by
/// itself, a `teaming` pair, is left to the checks of devices.)
fn passed_through(device: Node<'_, '_>) -> Option<PassedThrough> {
    let is_interface = device.has_tag_name("interface") && device.attribute("type") == Some("hostdev");
    if !device.has_tag_name("hostdev") && !is_interface {
        return None;
    }
    let source = child(device, "source");
    let kind = device.attribute("type").filter(|_| !is_interface).unwrap_or("pci");
    let name = source.map(source_name).unwrap_or_default();
    Some(PassedThrough { what: format!("{kind} {name}").trim().to_owned() })
}

fn source_name(source: Node<'_, '_>) -> String {
    let hex = |text: Option<&str>| text.unwrap_or_default().trim_start_matches("0x").to_owned();
    if let Some(vendor) = child(source, "vendor") {
        let product = child(source, "product").and_then(|node| node.attribute("id"));
        return format!("{}:{}", hex(vendor.attribute("id")), hex(product));
    }
    let Some(address) = child(source, "address") else { return String::new() };
    if let Some(uuid) = address.attribute("uuid") {
        return uuid.to_owned();
    }
    if let Some(bus) = address.attribute("bus").filter(|_| address.has_attribute("slot")) {
        let part = |name| hex(address.attribute(name));
        return format!("{}:{}:{}.{}", part("domain"), hex(Some(bus)), part("slot"), part("function"));
    }
    format!("{}:{}", hex(address.attribute("bus")), hex(address.attribute("device")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_tell_identity_and_domain_types() {
        let xml = "<capabilities><host><uuid>a24f5045-dc32-425b-af7c-5802b16591a6</uuid>\
                   <cpu><arch>x86_64</arch></cpu></host>\
                   <guest><os_type>hvm</os_type><arch name='i686'><domain type='qemu'/></arch></guest>\
                   <guest><os_type>hvm</os_type><arch name='x86_64'><domain type='qemu'/><domain type='kvm'/></arch>\
                   </guest></capabilities>";
        let read = capabilities(xml).unwrap();
        assert_eq!(read.host_uuid.to_string(), "a24f5045-dc32-425b-af7c-5802b16591a6");
        assert_eq!(read.architecture, "x86_64");
        assert_eq!(read.domain_types, ["kvm", "qemu"]);
        assert!(capabilities("<capabilities/>").is_err());
        assert!(capabilities("no xml").is_err());
    }

    #[test]
    fn devices_of_the_host_are_found() {
        let xml = "<domain type='kvm'><os><type arch='x86_64'>hvm</type></os><devices>\
            <disk type='file'/>\
            <hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x01' slot='0x00' \
            function='0x0'/></source></hostdev>\
            <hostdev mode='subsystem' type='usb'><source><vendor id='0x046d'/><product id='0xc52b'/></source></hostdev>\
            <interface type='hostdev'><source><address type='pci' domain='0x0000' bus='0x02' slot='0x10' \
            function='0x1'/></source></interface>\
            </devices></domain>";
        let read = domain(xml).unwrap();
        assert_eq!(read.domain_type, "kvm");
        let found: Vec<&str> = read.passed_through.iter().map(|device| device.what.as_str()).collect();
        assert_eq!(found, ["pci 0000:01:00.0", "usb 046d:c52b", "pci 0000:02:10.1"]);
    }
}
