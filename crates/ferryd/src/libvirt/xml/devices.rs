//! Drives, interfaces and devices of the host's out of a domain's XML.

use roxmltree::Node;
use uuid::Uuid;

use super::{attribute, child, children, number};
use crate::model::definition::{
    Backing, Disk, Drive, Interface, Link, NetworkHost, NetworkSource, SecretReference, SecretUse, Source,
};

/// A `disk`.
pub(super) fn disk(node: Node<'_, '_>) -> Disk {
    let source = child(node, "source");
    let target = child(node, "target");
    let driver = |name: &str| child(node, "driver").and_then(|driver| attribute(driver, name));
    let encryption =
        child(node, "encryption").or_else(|| source.and_then(|source| child(source, "encryption")));
    Disk {
        target: target.and_then(|target| attribute(target, "dev")).unwrap_or_default(),
        drive: match node.attribute("device") {
            Some("cdrom") => Drive::Cdrom,
            Some("floppy") => Drive::Floppy,
            Some("lun") => Drive::Lun,
            _ => Drive::Disk,
        },
        bus: target.and_then(|target| attribute(target, "bus")).unwrap_or_default(),
        source: source_of(node),
        format: driver("type"),
        backing: backing(node),
        cache: driver("cache"),
        readonly: child(node, "readonly").is_some(),
        shareable: child(node, "shareable").is_some(),
        transient: child(node, "transient").is_some(),
        secrets: secrets(node),
        encryption: encryption.and_then(|encryption| attribute(encryption, "format")),
        boot_order: child(node, "boot").and_then(|boot| number(boot, "order")),
        startup_policy: source.and_then(|source| attribute(source, "startupPolicy")),
        reservations: source.is_some_and(|source| child(source, "reservations").is_some()),
    }
}

/// What a `disk` or a `backingStore` holds its data in.
fn source_of(node: Node<'_, '_>) -> Source {
    let Some(source) = child(node, "source") else { return Source::Empty };
    let named = |name: &str| attribute(source, name).filter(|text| !text.is_empty());
    let found = match node.attribute("type").unwrap_or("file") {
        "file" => named("file").map(Source::File),
        "block" => named("dev").map(Source::Block),
        "dir" => named("dir").map(Source::Directory),
        "network" => Some(Source::Network(NetworkSource {
            protocol: named("protocol").unwrap_or_default(),
            name: named("name").unwrap_or_default(),
            hosts: children(source, "host").map(network_host).collect(),
        })),
        "volume" => named("pool").zip(named("volume")).map(|(pool, volume)| Source::Volume { pool, volume }),
        other => Some(Source::Other(other.to_owned())),
    };
    found.unwrap_or_default()
}

fn network_host(node: Node<'_, '_>) -> NetworkHost {
    match attribute(node, "socket") {
        Some(path) if node.attribute("transport") == Some("unix") => NetworkHost::Unix(path),
        _ => {
            NetworkHost::Tcp { name: attribute(node, "name").unwrap_or_default(), port: number(node, "port") }
        }
    }
}

/// The images below a disk: each `backingStore` holds the next.
fn backing(disk: Node<'_, '_>) -> Vec<Backing> {
    let mut found = Vec::new();
    let mut next = child(disk, "backingStore");
    while let Some(node) = next {
        let source = source_of(node);
        if source == Source::Empty {
            break;
        }
        let format = child(node, "format").and_then(|format| attribute(format, "type"));
        found.push(Backing { source, format, by_place: false });
        next = child(node, "backingStore");
    }
    found
}

fn secrets(disk: Node<'_, '_>) -> Vec<SecretUse> {
    let all = disk.descendants().filter(|node| node.has_tag_name("secret"));
    let read = all.filter_map(|node| {
        let reference = match attribute(node, "uuid").and_then(|text| Uuid::parse_str(&text).ok()) {
            Some(uuid) => SecretReference::Uuid(uuid),
            None => SecretReference::Usage(attribute(node, "usage")?),
        };
        Some(SecretUse { kind: attribute(node, "type").unwrap_or_default(), reference })
    });
    read.collect()
}

/// An `interface`.
pub(super) fn interface(node: Node<'_, '_>) -> Interface {
    let inside = |name: &str, key: &str| child(node, name).and_then(|node| attribute(node, key));
    let teaming = child(node, "teaming");
    let tags = child(node, "vlan").into_iter().flat_map(|vlan| children(vlan, "tag"));
    Interface {
        mac: inside("mac", "address").unwrap_or_default().to_ascii_lowercase(),
        link: link(node),
        model: inside("model", "type"),
        virtual_port: inside("virtualport", "type"),
        filter: inside("filterref", "filter"),
        vlans: tags.filter_map(|tag| number(tag, "id")).collect(),
        mtu: child(node, "mtu").and_then(|mtu| number(mtu, "size")),
        device: inside("target", "dev"),
        teaming: teaming.and_then(|teaming| attribute(teaming, "type")),
        alias: inside("alias", "name"),
        boot_order: child(node, "boot").and_then(|boot| number(boot, "order")),
    }
}

fn link(node: Node<'_, '_>) -> Link {
    let from =
        |key: &str| child(node, "source").and_then(|source| attribute(source, key)).unwrap_or_default();
    // Of a running domain libvirt tells how the network connects it (a bridge, say), and keeps the network's name beside it.
    let network = from("network");
    match node.attribute("type").unwrap_or_default() {
        "network" | "bridge" | "direct" if !network.is_empty() => {
            let portgroup = Some(from("portgroup")).filter(|name| !name.is_empty());
            Link::Network { name: network, portgroup }
        }
        "bridge" => Link::Bridge(from("bridge")),
        "direct" => Link::Direct(from("dev")),
        "hostdev" => Link::HostDevice,
        "vhostuser" => Link::VhostUser(from("path")),
        "user" => Link::User,
        "" => Link::Unknown,
        other => Link::Other(other.to_owned()),
    }
}

/// The address or identity in the `source` of a device of the host's.
pub(super) fn address_of_host_device(source: Node<'_, '_>) -> String {
    let hex = |text: Option<&str>| text.unwrap_or_default().trim_start_matches("0x").to_owned();
    if let Some(vendor) = child(source, "vendor") {
        let product = child(source, "product").and_then(|node| node.attribute("id"));
        return format!("{}:{}", hex(vendor.attribute("id")), hex(product));
    }
    if let Some(adapter) = child(source, "adapter").and_then(|adapter| attribute(adapter, "name")) {
        return adapter;
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
