//! The destination's definition, out of the source's: pure.
//!
//! A domain's XML is changed where the destination is to have something else, and nowhere else: what is not named here stays byte
//! for byte as libvirt wrote it, elements that Ferry has never heard of included.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};
use serde::{Deserialize, Serialize};

mod edit;
mod patch;
mod select;

pub use patch::{Patch, PatchError};

use edit::Edits;

/// What of a domain's definition is another on the destination. What is not there in a definition is left out: of a domain that runs
/// there are two, and they may differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rewrite {
    /// Its new name.
    pub name: Option<String>,
    /// Networks of libvirt's that its interfaces and screens are connected to: the new one by the old one.
    pub networks: BTreeMap<String, String>,
    /// Bridges of the host's that its interfaces are connected to: the new one by the old one.
    pub bridges: BTreeMap<String, String>,
    /// Addresses that its screens listen on: the new one by the old one.
    pub graphics_listen: BTreeMap<String, String>,
    /// Its drives that are empty, by their name in the domain.
    pub eject: BTreeSet<String>,
    /// Files of the host's own that it names (QEMU, its firmware, the template of that): the new path by the old one.
    pub host_files: BTreeMap<String, String>,
    /// Where the data of its disks is, by their name in the domain: a device where the path is below `/dev/`, else a file.
    pub disks: BTreeMap<String, PathBuf>,
    /// What is changed after all that.
    pub patch: Option<Patch>,
}

impl Rewrite {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a definition could not be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// It is not XML.
    #[error("the definition is not XML")]
    NotXml(#[source] roxmltree::Error),
    /// It is not a domain's.
    #[error("the definition is not that of a virtual machine")]
    NotADomain,
    /// What came out is not XML: a new word holds what no XML can.
    #[error("a new name or address holds what no XML can")]
    Broken(#[source] roxmltree::Error),
    /// The patch does not fit.
    #[error(transparent)]
    Patch(#[from] PatchError),
}

/// The definition as the destination is to have it.
///
/// # Errors
/// It is not a domain's XML, or the patch does not fit.
pub fn rewrite(xml: &str, by: &Rewrite) -> Result<String, RewriteError> {
    let document = Document::parse(xml).map_err(RewriteError::NotXml)?;
    let root = document.root_element();
    if !root.has_tag_name("domain") {
        return Err(RewriteError::NotADomain);
    }
    let mut edits = Edits::of(xml);
    map_domain(root, by, &mut edits);
    let mapped = edits.apply();
    Document::parse(&mapped).map_err(RewriteError::Broken)?;
    match &by.patch {
        Some(patch) => Ok(patch.apply(&mapped)?),
        None => Ok(mapped),
    }
}

/// A snapshot as the destination is to have it: the definitions in it are changed as the domain's own, but not patched. They are
/// those of their time, and what fits the one of today need not fit them.
///
/// # Errors
/// It is not XML.
pub fn rewrite_snapshot(xml: &str, by: &Rewrite) -> Result<String, RewriteError> {
    let document = Document::parse(xml).map_err(RewriteError::NotXml)?;
    let mut edits = Edits::of(xml);
    let kept = |node: &Node<'_, '_>| node.has_tag_name("domain") || node.has_tag_name("inactiveDomain");
    for domain in document.root_element().children().filter(kept) {
        map_domain(domain, by, &mut edits);
    }
    let mapped = edits.apply();
    Document::parse(&mapped).map_err(RewriteError::Broken)?;
    Ok(mapped)
}

/// Definitions without the watchdog that a machine of type q35 has by itself, named or not.
#[must_use]
pub fn without_itco(xml: &str) -> String {
    // What is no XML libvirt says.
    let Ok(document) = Document::parse(xml) else { return xml.to_owned() };
    let mut edits = Edits::of(xml);
    let is_itco =
        |node: &Node<'_, '_>| node.has_tag_name("watchdog") && node.attribute("model") == Some("itco");
    document.descendants().filter(is_itco).for_each(|watchdog| edits.remove(watchdog));
    edits.apply()
}

/// Everything but the patch.
fn map_domain(domain: Node<'_, '_>, by: &Rewrite, edits: &mut Edits<'_>) {
    if let (Some(new), Some(name)) = (&by.name, child(domain, "name")) {
        edits.set_text(name, new);
    }
    let host_files = |path: &str| by.host_files.get(path);
    if let Some(os) = child(domain, "os") {
        map_firmware(os, &host_files, edits);
    }
    for device in child(domain, "devices").into_iter().flat_map(|devices| devices.children()) {
        match device.tag_name().name() {
            "emulator" => map_text(device, &host_files, edits),
            "interface" => map_interface(device, by, edits),
            "graphics" => map_graphics(device, by, edits),
            "disk" => {
                let target = child(device, "target").and_then(|target| target.attribute("dev"));
                let target = target.unwrap_or_default();
                let removable = matches!(device.attribute("device"), Some("cdrom" | "floppy"));
                if removable && by.eject.contains(target) {
                    eject(device, edits);
                } else if let Some(new) = by.disks.get(target) {
                    map_disk(device, new, edits);
                }
            }
            _ => {}
        }
    }
}

fn map_firmware<'n>(os: Node<'_, '_>, new: &dyn Fn(&str) -> Option<&'n String>, edits: &mut Edits<'_>) {
    if let Some(loader) = child(os, "loader") {
        map_text(loader, new, edits);
    }
    let Some(nvram) = child(os, "nvram") else { return };
    if let Some(new) = nvram.attribute("template").and_then(new) {
        edits.set_attribute(nvram, "template", new);
    }
    match child(nvram, "source") {
        Some(source) => {
            if let Some(new) = source.attribute("file").and_then(new) {
                edits.set_attribute(source, "file", new);
            }
        }
        None => map_text(nvram, new, edits),
    }
}

fn map_text<'n>(node: Node<'_, '_>, new: &dyn Fn(&str) -> Option<&'n String>, edits: &mut Edits<'_>) {
    if let Some(new) = node.text().map(str::trim).and_then(new) {
        edits.set_text(node, new);
    }
}

fn map_interface(interface: Node<'_, '_>, by: &Rewrite, edits: &mut Edits<'_>) {
    let Some(source) = child(interface, "source") else { return };
    if let Some(network) = source.attribute("network") {
        let Some(new) = by.networks.get(network) else { return };
        edits.set_attribute(source, "network", new);
        // Of a domain that runs libvirt tells how the old network connects it; how the new one does, its own libvirt finds out.
        edits.set_attribute(interface, "type", "network");
        for found_out in ["portid", "bridge", "dev", "mode"] {
            edits.remove_attribute(source, found_out);
        }
        return;
    }
    if interface.attribute("type") == Some("bridge")
        && let Some(new) = source.attribute("bridge").and_then(|bridge| by.bridges.get(bridge))
    {
        edits.set_attribute(source, "bridge", new);
    }
}

fn map_graphics(graphics: Node<'_, '_>, by: &Rewrite, edits: &mut Edits<'_>) {
    let listens = || graphics.children().filter(|node| node.has_tag_name("listen"));
    // The attribute repeats the first address; libvirt wants both to be the same.
    if let Some(new) = graphics.attribute("listen").and_then(|address| by.graphics_listen.get(address)) {
        edits.set_attribute(graphics, "listen", new);
    }
    for listen in listens() {
        if let Some(new) = listen.attribute("network").and_then(|network| by.networks.get(network)) {
            edits.set_attribute(listen, "network", new);
            // It is the old network's.
            edits.remove_attribute(listen, "address");
            if !listens().any(|listen| listen.attribute("type") == Some("address")) {
                edits.remove_attribute(graphics, "listen");
            }
        } else if let Some(new) = listen.attribute("address").and_then(|old| by.graphics_listen.get(old)) {
            edits.set_attribute(listen, "address", new);
        }
    }
}

fn map_disk(disk: Node<'_, '_>, new: &Path, edits: &mut Edits<'_>) {
    // An empty drive has nothing to be replaced.
    let Some(source) = child(disk, "source") else { return };
    let (kind, attribute) = if new.starts_with("/dev") { ("block", "dev") } else { ("file", "file") };
    edits.set_attribute(disk, "type", kind);
    edits.set_attribute(source, attribute, &new.to_string_lossy());
    // What says where the old data was, and what libvirt found out about it (the chain below is read anew from the image).
    for old in ["file", "dev", "pool", "volume", "mode", "protocol", "name", "dir", "index"] {
        if old != attribute {
            edits.remove_attribute(source, old);
        }
    }
    let of_the_old = |node: &Node<'_, '_>| node.has_tag_name("backingStore") || node.has_tag_name("mirror");
    disk.children().filter(of_the_old).for_each(|node| edits.remove(node));
    let servers = |node: &Node<'_, '_>| node.has_tag_name("host") || node.has_tag_name("auth");
    source.children().filter(servers).for_each(|node| edits.remove(node));
}

/// Takes out of a drive what lies in it. (One whose medium is of another type than a file counts to libvirt as one with a medium.)
fn eject(disk: Node<'_, '_>, edits: &mut Edits<'_>) {
    edits.set_attribute(disk, "type", "file");
    let of_the_medium =
        |node: &Node<'_, '_>| node.has_tag_name("source") || node.has_tag_name("backingStore");
    disk.children().filter(of_the_medium).for_each(|node| edits.remove(node));
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.has_tag_name(name))
}

#[cfg(test)]
mod tests;
