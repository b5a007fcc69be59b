//! A domain's XML as that of a clone, which is to run beside it.

use std::collections::BTreeMap;
use std::ops::Range;

use roxmltree::{Attribute, Node};

use super::{Result, XmlError, attribute, child, children, copy, escaped, parse, path, text};
use crate::hypervisor::CopyIdentity;

/// What a clone has in the place of what is the original's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// By the name of the disk (`vda`): the path of its file or device, or the name of its volume in the same pool.
    pub disks: BTreeMap<String, String>,
    /// Path of the variables of its firmware.
    pub nvram: Option<String>,
}

/// The shape of a volume, out of `virStorageVolGetXMLDesc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// `raw`, `qcow2`, as its storage pool found.
    pub format: String,
    /// What a guest sees of it.
    pub capacity_bytes: u64,
    /// What it takes up.
    pub allocated_bytes: u64,
}

/// Reads the shape of a volume.
///
/// # Errors
/// Not XML, or without a capacity.
pub fn shape(xml: &str) -> Result<Shape> {
    const WHAT: &str = "volume XML";
    let document = parse(WHAT, xml)?;
    let root = document.root_element();
    let figure = |name: &str| text(root, &[name])?.parse().ok();
    let format = path(root, &["target", "format"]).and_then(|format| attribute(format, "type"));
    Ok(Shape {
        format: format.unwrap_or_else(|| "raw".to_owned()),
        capacity_bytes: figure("capacity").ok_or(XmlError::Missing { what: WHAT, missing: "capacity" })?,
        allocated_bytes: figure("allocation").unwrap_or(0),
    })
}

/// The XML of a clone: a copy ([`copy()`]) with disks and firmware variables of its own, and with nothing in it that only one of two
/// machines on a host can have: screens get their ports from libvirt, files and sockets of serial lines the clone's name, a vsock its
/// number from libvirt. MAC addresses in the metadata are those of the clone, and the serial number of the machine is its UUID.
///
/// # Errors
/// Not XML, or without name or UUID.
pub fn cloned(xml: &str, identity: &CopyIdentity, replaced: &Replaced) -> Result<String> {
    const WHAT: &str = "domain XML";
    let original = parse(WHAT, xml)?;
    let old_name = text(original.root_element(), &["name"]).unwrap_or_default();
    let macs = macs(original.root_element(), identity);
    let copied = copy(xml, identity)?;
    let document = parse(WHAT, &copied)?;
    let root = document.root_element();
    let mut edits = Edits::new();
    if let Some(devices) = child(root, "devices") {
        children(devices, "disk").for_each(|disk| repoint(disk, &replaced.disks, &mut edits));
        children(devices, "graphics").for_each(|screen| automatic(screen, &mut edits));
        for kind in ["serial", "console", "parallel", "channel"] {
            children(devices, kind).for_each(|line| renamed(line, &old_name, &identity.name, &mut edits));
        }
        let cids = children(devices, "vsock").filter_map(|vsock| child(vsock, "cid"));
        edits.extend(cids.map(|cid| (cid.range(), "<cid auto='yes'/>".to_owned())));
    }
    if let (Some(nvram), Some(new)) = (path(root, &["os", "nvram"]), &replaced.nvram) {
        firmware_variables(nvram, new, &mut edits);
    }
    let entries = path(root, &["sysinfo", "system"]).into_iter().flat_map(|system| children(system, "entry"));
    let serial = entries.filter(|entry| entry.attribute("name") == Some("serial"));
    edits.extend(
        serial.map(|entry| (entry.range(), format!("<entry name='serial'>{}</entry>", identity.uuid))),
    );
    if let Some(metadata) = child(root, "metadata") {
        readdress(metadata, &macs, &mut edits);
    }
    Ok(made(&copied, edits))
}

type Edits = Vec<(Range<usize>, String)>;

fn made(xml: &str, mut edits: Edits) -> String {
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut text = xml.to_owned();
    for (range, new) in edits {
        text.replace_range(range, &new);
    }
    text
}

fn set(attribute: Attribute<'_, '_>, value: &str) -> (Range<usize>, String) {
    (attribute.range_value(), escaped(value))
}

fn attribute_of<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Attribute<'a, 'i>> {
    node.attributes().find(|attribute| attribute.name() == name)
}

/// MAC addresses of the original, in small letters, with those that the copy has instead.
fn macs(root: Node<'_, '_>, identity: &CopyIdentity) -> Vec<(String, String)> {
    let interfaces = child(root, "devices").into_iter().flat_map(|devices| children(devices, "interface"));
    let old = interfaces.map(|interface| child(interface, "mac").and_then(|mac| attribute(mac, "address")));
    old.zip(&identity.macs).filter_map(|(old, new)| Some((old?.to_lowercase(), new.clone()))).collect()
}

/// A disk that was copied has what was made, and nothing below that.
fn repoint(disk: Node<'_, '_>, disks: &BTreeMap<String, String>, edits: &mut Edits) {
    let target = child(disk, "target").and_then(|target| attribute(target, "dev"));
    let (Some(new), Some(source)) = (target.and_then(|target| disks.get(&target)), child(disk, "source"))
    else {
        return;
    };
    let place = ["file", "dev", "volume"].into_iter().find_map(|name| attribute_of(source, name));
    edits.extend(place.map(|place| set(place, new)));
    edits.extend(children(disk, "backingStore").map(|below| (below.range(), String::new())));
}

/// What the original listens on libvirt chooses anew.
fn automatic(screen: Node<'_, '_>, edits: &mut Edits) {
    for node in std::iter::once(screen).chain(children(screen, "listen")) {
        for attribute in node.attributes() {
            let new = match attribute.name() {
                "port" | "tlsPort" | "socket" => "",
                "autoport" => "autoport='yes'",
                // -1: any that is free (libvirt's formatdomain).
                "websocket" => "websocket='-1'",
                _ => continue,
            };
            edits.push((attribute.range(), new.to_owned()));
        }
    }
    let fixed = ["port", "tlsPort"].into_iter().any(|name| screen.has_attribute(name));
    if fixed && !screen.has_attribute("autoport") {
        let at = screen.range().start + "<graphics".len();
        edits.push((at..at, " autoport='yes'".to_owned()));
    }
}

/// Files that are written to, and sockets that are listened on, are the clone's own.
fn renamed(line: Node<'_, '_>, old: &str, new: &str, edits: &mut Edits) {
    let kind = line.attribute("type").unwrap_or_default();
    let own = |source: &Node<'_, '_>| match kind {
        "file" => true,
        "unix" => source.attribute("mode") != Some("connect"),
        _ => false,
    };
    let sources = children(line, "source").filter(own).filter_map(|source| attribute_of(source, "path"));
    let logs = children(line, "log").filter_map(|log| attribute_of(log, "file"));
    edits.extend(sources.chain(logs).map(|path| set(path, &renamed_path(path.value(), old, new))));
}

/// The path with the new name in its last part: where the old one stood, or in front of it.
fn renamed_path(path: &str, old: &str, new: &str) -> String {
    let (directory, file) = path.rsplit_once('/').map_or(("", path), |(directory, file)| (directory, file));
    let file = match file.contains(old) && !old.is_empty() {
        true => file.replace(old, new),
        false => format!("{new}-{file}"),
    };
    let slash = if path.contains('/') { "/" } else { "" };
    format!("{directory}{slash}{file}")
}

/// In both of libvirt's forms: the path as text, or as a source since 8.5.
fn firmware_variables(nvram: Node<'_, '_>, new: &str, edits: &mut Edits) {
    if let Some(file) = child(nvram, "source").and_then(|source| attribute_of(source, "file")) {
        edits.push(set(file, new));
    } else if let Some(text) = nvram.children().find(|child| child.is_text()) {
        edits.push((text.range(), escaped(new)));
    }
}

/// Whatever is in the metadata about an interface is about the clone's.
fn readdress(metadata: Node<'_, '_>, macs: &[(String, String)], edits: &mut Edits) {
    let told = |value: &str| {
        let new = macs.iter().find(|(old, _)| value.trim().eq_ignore_ascii_case(old));
        new.map(|(_, new)| new.clone())
    };
    for node in metadata.descendants() {
        if node.is_text() {
            edits.extend(node.text().and_then(told).map(|new| (node.range(), new)));
        }
        edits.extend(
            node.attributes()
                .filter_map(|attribute| Some((attribute.range_value(), told(attribute.value())?))),
        );
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use crate::model::DomainUuid;

    const OLD: &str = "6d94e1e2-1d52-4a3b-9c0f-0d8a3a6f1a11";

    fn identity() -> CopyIdentity {
        CopyIdentity {
            uuid: DomainUuid(uuid::Uuid::from_u128(7)),
            name: "web-clone-1".to_owned(),
            macs: vec!["52:54:00:aa:00:01".to_owned(), "52:54:00:aa:00:02".to_owned()],
        }
    }

    fn told(inside: &str, replaced: &Replaced) -> String {
        let xml = format!("<domain><name>web</name><uuid>{OLD}</uuid>{inside}</domain>");
        let made = cloned(&xml, &identity(), replaced).unwrap();
        let uuid = identity().uuid;
        let begin = format!("<domain><name>web-clone-1</name><uuid>{uuid}</uuid>");
        made.strip_prefix(&begin).unwrap().strip_suffix("</domain>").unwrap().to_owned()
    }

    #[test]
    fn disks_that_were_copied_are_its_own_and_media_stay() {
        let disks = BTreeMap::from([
            ("vda".to_owned(), "/i/new&.qcow2".to_owned()),
            ("vdb".to_owned(), "new-1".to_owned()),
        ]);
        let replaced = Replaced { disks, nvram: Some("/n/new_VARS.fd".to_owned()) };
        let made = told(
            "<os><nvram template='/t'>/n/old_VARS.fd</nvram></os><devices>\
             <disk><source file='/i/old.qcow2'/><backingStore type='file'><source file='/i/base'/></backingStore>\
             <target dev='vda'/><serial>S1</serial></disk>\
             <disk><source pool='p' volume='old'/><target dev='vdb'/></disk>\
             <disk device='cdrom'><source file='/iso'/><target dev='sda'/><readonly/></disk></devices>",
            &replaced,
        );
        assert_eq!(
            made,
            "<os><nvram template='/t'>/n/new_VARS.fd</nvram></os><devices>\
             <disk><source file='/i/new&amp;.qcow2'/><target dev='vda'/><serial>S1</serial></disk>\
             <disk><source pool='p' volume='new-1'/><target dev='vdb'/></disk>\
             <disk device='cdrom'><source file='/iso'/><target dev='sda'/><readonly/></disk></devices>"
        );
        let newer = told("<os><nvram type='file'><source file='/n/old'/></nvram></os>", &replaced);
        assert_eq!(newer, "<os><nvram type='file'><source file='/n/new_VARS.fd'/></nvram></os>");
    }

    #[test]
    fn nothing_is_kept_that_only_one_of_two_can_have() {
        let none = Replaced::default();
        assert_eq!(
            told(
                "<devices><graphics type='vnc' port='5901' autoport='no' websocket='5701' passwd='x'/></devices>",
                &none
            ),
            "<devices><graphics type='vnc'  autoport='yes' websocket='-1' passwd='x'/></devices>"
        );
        assert_eq!(
            told("<devices><graphics type='vnc' port='5901'/></devices>", &none),
            "<devices><graphics autoport='yes' type='vnc' /></devices>"
        );
        assert_eq!(
            told("<devices><vsock model='virtio'><cid auto='no' address='3'/></vsock></devices>", &none),
            "<devices><vsock model='virtio'><cid auto='yes'/></vsock></devices>"
        );
        assert_eq!(
            told(
                "<devices><serial type='file'><source path='/log/web.log'/></serial>\
                 <console type='pty'><log file='/log/c'/></console>\
                 <channel type='unix'><source mode='connect' path='/run/web'/></channel></devices>",
                &none
            ),
            "<devices><serial type='file'><source path='/log/web-clone-1.log'/></serial>\
             <console type='pty'><log file='/log/web-clone-1-c'/></console>\
             <channel type='unix'><source mode='connect' path='/run/web'/></channel></devices>"
        );
    }

    #[test]
    fn addresses_and_serial_numbers_are_its_own_wherever_they_are_told() {
        let made = told(
            "<metadata><n:n xmlns:n='urn:n'><n:if mac='52:54:00:00:00:0A'/><n:mac>52:54:00:00:00:0b</n:mac></n:n></metadata>\
             <sysinfo><system><entry name='serial'>A1</entry></system></sysinfo>\
             <devices><interface><mac address='52:54:00:00:00:0a'/></interface>\
             <interface><mac address='52:54:00:00:00:0b'/></interface></devices>",
            &Replaced::default(),
        );
        let uuid = identity().uuid;
        assert_eq!(
            made,
            format!(
                "<metadata><n:n xmlns:n='urn:n'><n:if mac='52:54:00:aa:00:01'/><n:mac>52:54:00:aa:00:02</n:mac></n:n></metadata>\
                 <sysinfo><system><entry name='serial'>{uuid}</entry></system></sysinfo>\
                 <devices><interface><mac address='52:54:00:aa:00:01'/></interface>\
                 <interface><mac address='52:54:00:aa:00:02'/></interface></devices>"
            )
        );
    }

    #[test]
    fn the_shape_of_a_volume_is_read() {
        let xml = "<volume><capacity unit='bytes'>9</capacity><allocation unit='bytes'>4</allocation>\
                   <target><format type='qcow2'/></target></volume>";
        let wanted = Shape { format: "qcow2".to_owned(), capacity_bytes: 9, allocated_bytes: 4 };
        assert_eq!(shape(xml).unwrap(), wanted);
        assert!(shape("<volume/>").is_err());
    }
}
