//! A domain's XML as that of a copy of it.

use std::ops::Range;

use roxmltree::Node;

use super::{Result, XmlError, child, children, escaped, parse, path};
use crate::hypervisor::CopyIdentity;

/// The XML of a copy of this domain: the same but for name, UUID, MAC addresses and the number by which a guest knows that it was copied
/// (`genid`, which libvirt draws anew).
///
/// # Errors
/// Not XML, or without name or UUID.
pub fn copy(xml: &str, copy: &CopyIdentity) -> Result<String> {
    const WHAT: &str = "domain XML";
    let document = parse(WHAT, xml)?;
    let root = document.root_element();
    let named = |missing| child(root, missing).ok_or(XmlError::Missing { what: WHAT, missing });
    let (name, uuid) = (named("name")?, named("uuid")?);
    let mut edits: Vec<(Range<usize>, String)> = vec![
        (name.range(), format!("<name>{}</name>", escaped(&copy.name))),
        (uuid.range(), format!("<uuid>{}</uuid>", copy.uuid)),
    ];
    edits.extend(child(root, "genid").map(|genid| (genid.range(), "<genid/>".to_owned())));
    // What the firmware tells the guest of itself must be the UUID.
    let entries = path(root, &["sysinfo", "system"]).into_iter().flat_map(|system| children(system, "entry"));
    let told = entries.filter(|entry| entry.attribute("name") == Some("uuid"));
    edits.extend(told.map(|entry| (entry.range(), format!("<entry name='uuid'>{}</entry>", copy.uuid))));
    let interfaces = child(root, "devices").into_iter().flat_map(|devices| children(devices, "interface"));
    let macs = copy.macs.iter().map(Some).chain(std::iter::repeat(None));
    edits.extend(interfaces.zip(macs).filter_map(|(interface, mac)| addressed(interface, mac)));
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut text = xml.to_owned();
    for (range, new) in edits {
        text.replace_range(range, &new);
    }
    Ok(text)
}

/// The MAC address of an interface, in the place of the one that it has; none is drawn by libvirt.
fn addressed(interface: Node<'_, '_>, mac: Option<&String>) -> Option<(Range<usize>, String)> {
    let new = mac.map_or_else(String::new, |mac| format!("<mac address='{}'/>", escaped(mac)));
    child(interface, "mac").map(|old| (old.range(), new))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use crate::model::DomainUuid;

    const OLD: &str = "6d94e1e2-1d52-4a3b-9c0f-0d8a3a6f1a11";

    #[test]
    fn a_copy_differs_in_what_it_is_known_by_and_in_nothing_else() {
        let xml = format!(
            "<domain type='kvm'><name>web1</name><uuid>{OLD}</uuid><genid>{OLD}</genid>\
             <sysinfo type='smbios'><system><entry name='serial'>{OLD}</entry><entry name='uuid'>{OLD}</entry></system></sysinfo>\
             <devices><disk type='file'><source file='/images/{OLD}.qcow2'/></disk>\
             <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/></interface>\
             <interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br1'/></interface>\
             <graphics type='vnc' passwd='secret'/></devices></domain>"
        );
        let uuid = DomainUuid(uuid::Uuid::from_u128(7));
        let identity = CopyIdentity {
            uuid,
            name: "web1-copy".to_owned(),
            macs: vec!["52:54:00:aa:00:01".to_owned(), "52:54:00:aa:00:02".to_owned()],
        };
        let told = copy(&xml, &identity).unwrap();
        let wanted = xml
            .replace("<name>web1<", "<name>web1-copy<")
            .replace(&format!("<uuid>{OLD}<"), &format!("<uuid>{uuid}<"))
            .replace(&format!("<genid>{OLD}</genid>"), "<genid/>")
            .replace(&format!("'uuid'>{OLD}<"), &format!("'uuid'>{uuid}<"))
            .replace("52:54:00:00", "52:54:00:aa");
        assert_eq!(told, wanted);
    }

    #[test]
    fn an_interface_more_than_was_planned_is_given_an_address_by_libvirt() {
        let xml = "<domain type='kvm'><name>a</name><uuid>6d94e1e2-1d52-4a3b-9c0f-0d8a3a6f1a11</uuid><devices>\
                   <interface type='user'><mac address='52:54:00:00:00:01'/></interface></devices></domain>";
        let uuid = DomainUuid(uuid::Uuid::from_u128(7));
        let told = copy(xml, &CopyIdentity { uuid, name: "b".to_owned(), macs: Vec::new() }).unwrap();
        assert!(told.contains("<interface type='user'></interface>"), "{told}");
    }
}
