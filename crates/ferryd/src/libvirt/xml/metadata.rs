//! Kimchi's part of a domain's metadata: who may use it.
//!
//! `<kimchi:metadata xmlns:kimchi="…"><access><user>joe</user><group>ops</group></access>…</kimchi:metadata>`: written by Kimchi, and
//! by Ferry in its place, so that either reads what the other one wrote.

use roxmltree::Node;

use super::{Result, child, children, escaped, parse};
use crate::model::definition::Access;

/// The XML namespace of Kimchi's element: by it libvirt finds the element (`virDomainGetMetadata`).
pub const ACCESS_NAMESPACE: &str = "https://github.com/kimchi-project/kimchi";
/// The prefix that Kimchi gave its namespace.
pub const ACCESS_PREFIX: &str = "kimchi";

/// Who may use a domain, by its XML.
pub(super) fn access_of(root: Node<'_, '_>) -> Access {
    let ours = |node: &Node<'_, '_>| node.tag_name().namespace() == Some(ACCESS_NAMESPACE);
    let element = child(root, "metadata").and_then(|metadata| metadata.children().find(ours));
    element.and_then(|element| child(element, "access")).map(access).unwrap_or_default()
}

fn access(node: Node<'_, '_>) -> Access {
    let names = |kind: &'static str| {
        let texts = children(node, kind).filter_map(|name| name.text().map(str::trim));
        texts.filter(|text| !text.is_empty()).map(str::to_owned).collect()
    };
    Access { users: names("user"), groups: names("group") }
}

/// The element with another `access` in it; what else stands in the one there is (`before`, as libvirt gives it) stays.
///
/// # Errors
/// The one there is is not XML.
pub fn access_element(before: Option<&str>, access: &Access) -> Result<String> {
    let kept = before.map(others).transpose()?.unwrap_or_default();
    let tagged = |tag: &str, names: &[String]| -> String {
        names.iter().map(|name| format!("<{tag}>{}</{tag}>", escaped(name))).collect()
    };
    let (users, groups) = (tagged("user", &access.users), tagged("group", &access.groups));
    Ok(format!("<metadata>{kept}<access>{users}{groups}</access></metadata>"))
}

/// Everything in the element but `access`, as it is written.
fn others(element: &str) -> Result<String> {
    let document = parse("metadata", element)?;
    let nodes = document.root_element().children().filter(Node::is_element);
    let kept = nodes.filter(|node| node.tag_name().name() != "access");
    Ok(kept.filter_map(|node| element.get(node.range())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(metadata: &str) -> Access {
        let xml = format!("<domain><metadata>{metadata}</metadata></domain>");
        access_of(roxmltree::Document::parse(&xml).unwrap().root_element())
    }

    #[test]
    fn what_kimchi_wrote_is_read() {
        let of_kimchi = format!(
            "<other:x xmlns:other=\"urn:x\"><access><user>eve</user></access></other:x>\
             <kimchi:metadata xmlns:kimchi=\"{ACCESS_NAMESPACE}\"><os distro=\"debian\"/>\
             <access><user>joe</user><user> ann </user><group>ops</group><user/></access></kimchi:metadata>"
        );
        let read = domain(&of_kimchi);
        assert_eq!(
            (read.users, read.groups),
            (vec!["joe".to_owned(), "ann".to_owned()], vec!["ops".to_owned()])
        );
        assert_eq!(domain(""), Access::default());
    }

    #[test]
    fn what_is_written_is_read_back_and_the_rest_stays() {
        let access = Access { users: vec!["<joe>&\"'".to_owned()], groups: vec!["ops".to_owned()] };
        let before = "<metadata><os distro=\"debian\"/><access><user>ann</user></access></metadata>";
        let element = access_element(Some(before), &access).unwrap();
        assert!(element.contains("<os distro=\"debian\"/>") && !element.contains("ann"), "{element}");
        let named =
            element.replacen("<metadata>", &format!("<k:metadata xmlns:k=\"{ACCESS_NAMESPACE}\">"), 1);
        let named = named.replacen("</metadata>", "</k:metadata>", 1);
        assert_eq!(domain(&named), access);
        let none = access_element(None, &Access::default()).unwrap();
        assert_eq!(none, "<metadata><access></access></metadata>");
        assert!(access_element(Some("<a"), &access).is_err());
    }
}
