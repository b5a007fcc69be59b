//! Snapshots of a domain.

use super::{Result, escaped, parse, path, text};
use crate::model::snapshot::Snapshot;

/// Reads `virDomainSnapshotGetXMLDesc` of the snapshot of this name (which may begin or end with a space).
///
/// # Errors
/// Not XML.
pub fn snapshot(name: &str, xml: &str) -> Result<Snapshot> {
    let document = parse("snapshot XML", xml)?;
    let root = document.root_element();
    let parent = path(root, &["parent", "name"]).and_then(|node| node.text());
    Ok(Snapshot {
        name: name.to_owned(),
        parent: parent.map(str::to_owned),
        state: text(root, &["state"]).unwrap_or_default(),
        created_s: text(root, &["creationTime"]).unwrap_or_default(),
    })
}

/// What `virDomainSnapshotCreateXML` makes a snapshot of this name of.
#[must_use]
pub fn new_snapshot(name: &str) -> String {
    format!("<domainsnapshot><name>{}</name></domainsnapshot>", escaped(name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read() {
        let xml =
            "<domainsnapshot><name>b </name><state>shutoff</state><parent><name> a&amp;b</name></parent>
            <creationTime>1448538123</creationTime><domain><name>web1</name></domain></domainsnapshot>";
        let expected = Snapshot {
            name: "b ".to_owned(),
            parent: Some(" a&b".to_owned()),
            state: "shutoff".to_owned(),
            created_s: "1448538123".to_owned(),
        };
        assert_eq!(snapshot("b ", xml).unwrap(), expected);
        let first = "<domainsnapshot><name>a</name><state>running</state></domainsnapshot>";
        assert_eq!(snapshot("a", first).unwrap().parent, None);
        assert!(snapshot("a", "<").is_err());
        let made = new_snapshot("<a & 'b'>");
        assert_eq!(made, "<domainsnapshot><name>&lt;a &amp; &apos;b&apos;&gt;</name></domainsnapshot>");
    }
}
