//! What is read out of libvirt's XML, and the XML of a copy ([`copy()`]) and of a new domain ([`created`]). Nothing here fails on XML that holds more than it looks for.
//!
//! * [`definition()`] – a domain; [`access_element`] – its metadata; [`capabilities()`] – a host; [`machine_support`] – what a host's QEMU offers a domain;
//!   [`network()`], [`pool()`] – networks and storage pools; [`snapshot()`] – a snapshot of a domain;
//!   [`given`], [`node_device`] – devices of a host's.

mod capabilities;
mod clone;
mod console;
mod copy;
mod creation;
mod definition;
mod devices;
mod host_devices;
mod metadata;
mod resources;
mod snapshot;

use std::str::FromStr;

use roxmltree::{Document, Node};

pub use capabilities::{Capabilities, capabilities, machine_support};
pub use clone::{Replaced, Shape, cloned, shape};
pub use console::serial_console;
pub use copy::copy;
pub use creation::{Drive, created};
pub use definition::definition;
pub use host_devices::{assignment, given, given_elements, node_device};
pub use metadata::{ACCESS_NAMESPACE, ACCESS_PREFIX, access_element};
pub use resources::{backing, file, network, new_file, pool};
pub use snapshot::{new_snapshot, snapshot};

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

type Result<T> = std::result::Result<T, XmlError>;

/// A text as it stands in XML.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&apos;")
        .replace('"', "&quot;")
}

fn parse<'a>(what: &'static str, xml: &'a str) -> Result<Document<'a>> {
    Document::parse(xml).map_err(|source| XmlError::Syntax { what, source })
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.has_tag_name(name))
}

fn path<'a, 'i>(node: Node<'a, 'i>, names: &[&str]) -> Option<Node<'a, 'i>> {
    names.iter().try_fold(node, |node, name| child(node, name))
}

/// The text of an element, without the space around it; none where it is empty.
fn text(node: Node<'_, '_>, names: &[&str]) -> Option<String> {
    path(node, names)?.text().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn attribute(node: Node<'_, '_>, name: &str) -> Option<String> {
    node.attribute(name).map(str::to_owned)
}

fn number<T: FromStr>(node: Node<'_, '_>, name: &str) -> Option<T> {
    node.attribute(name)?.trim().parse().ok()
}
