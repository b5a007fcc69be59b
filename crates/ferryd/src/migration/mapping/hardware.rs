//! What a guest sees of its machine, as far as a patch is likely to change it: what runs keeps it. (libvirt's own, complete look at it
//! is taken when the migration begins, and what it says then was seen to be lost on its way: peer-to-peer over ssh answers "End of file
//! while reading data".)

use std::collections::BTreeMap;

use roxmltree::{Document, Node};

/// Devices that the host makes of its own accord, or that are no part of the machine.
const NOT_SEEN: &[&str] = &["emulator", "graphics", "audio"];

/// Names of what the second definition has otherwise than the first.
pub(super) fn changed(before: &str, after: &str) -> Vec<String> {
    let (Ok(before), Ok(after)) = (Document::parse(before), Document::parse(after)) else {
        return Vec::new();
    };
    let (before, after) = (seen(&before), seen(&after));
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

/// By name: what it is, or how many there are.
fn seen(document: &Document<'_>) -> BTreeMap<String, String> {
    let written = |node: Node<'_, '_>| document.input_text()[node.range()].to_owned();
    let mut seen = BTreeMap::new();
    for node in document.root_element().children().filter(Node::is_element) {
        let name = node.tag_name().name();
        match name {
            "memory" | "vcpu" => {
                let text = node.text().unwrap_or_default().trim();
                let of = ["unit", "current"].map(|of| node.attribute(of).unwrap_or_default());
                seen.insert(name.to_owned(), format!("{text} {}", of.join(" ")));
            }
            "cpu" | "features" => drop(seen.insert(name.to_owned(), written(node))),
            "os" => {
                let machine = node.children().find(|child| child.has_tag_name("type"));
                seen.extend(machine.map(|machine| ("machine".to_owned(), written(machine))));
            }
            "devices" => count(node, &mut seen),
            _ => {}
        }
    }
    seen
}

fn count(devices: Node<'_, '_>, seen: &mut BTreeMap<String, String>) {
    let names = devices.children().filter(Node::is_element).map(|device| device.tag_name().name());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    names.filter(|name| !NOT_SEEN.contains(name)).for_each(|name| *counts.entry(name).or_default() += 1);
    seen.extend(counts.into_iter().map(|(name, count)| (format!("devices/{name}"), count.to_string())));
}

#[cfg(test)]
mod tests {
    use super::changed;

    const XML: &str = "<domain><memory unit='KiB'>9</memory><vcpu placement='static'>1</vcpu><os><type machine='q35'>hvm</type></os>\
                       <cpu><model>qemu64</model></cpu><devices><emulator>/a</emulator><disk/><disk/><serial/>\
                       <graphics type='vnc'/></devices></domain>";

    #[test]
    fn what_the_host_alone_sees_may_change() {
        for (old, new) in [
            ("<emulator>/a</emulator>", ""),
            ("<graphics type='vnc'/>", ""),
            ("<disk/><disk/>", "<disk><source/></disk><disk/>"),
            ("placement='static'", "cpuset='1'"),
            ("<domain>", "<domain><title>x</title><cputune/>"),
        ] {
            assert_eq!(changed(XML, &XML.replace(old, new)), Vec::<String>::new(), "{old}: {new}");
        }
    }

    #[test]
    fn what_the_guest_sees_is_named() {
        for (old, new, name) in [
            (">9<", ">8<", "memory"),
            (">1</vcpu>", ">2</vcpu>", "vcpu"),
            ("q35", "pc", "machine"),
            ("qemu64", "host", "cpu"),
            ("<serial/>", "", "devices/serial"),
            ("<serial/>", "<serial/><rng/>", "devices/rng"),
        ] {
            assert_eq!(changed(XML, &XML.replace(old, new)), [name], "{old}: {new}");
        }
    }
}
