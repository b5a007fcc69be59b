//! Networks and storage pools.

use super::{Result, XmlError, attribute, child, children, number, parse, path, text};
use crate::model::facts::{NetworkFacts, PoolFacts};

/// Reads `virNetworkGetXMLDesc`. Whether it is active the XML does not say.
///
/// # Errors
/// Not XML, or without a name.
pub fn network(xml: &str) -> Result<NetworkFacts> {
    const WHAT: &str = "network XML";
    let document = parse(WHAT, xml)?;
    let root = document.root_element();
    let name = text(root, &["name"]).ok_or(XmlError::Missing { what: WHAT, missing: "name" })?;
    Ok(NetworkFacts {
        name,
        active: false,
        forward: child(root, "forward")
            .map(|forward| attribute(forward, "mode").unwrap_or_else(|| "nat".to_owned())),
        bridge: child(root, "bridge").and_then(|bridge| attribute(bridge, "name")),
        virtual_port: child(root, "virtualport").and_then(|port| attribute(port, "type")),
        portgroups: children(root, "portgroup").filter_map(|group| attribute(group, "name")).collect(),
        mtu: child(root, "mtu").and_then(|mtu| number(mtu, "size")),
    })
}

/// Reads `virStoragePoolGetXMLDesc`. Whether it is active the XML does not say.
///
/// # Errors
/// Not XML, or without a name.
pub fn pool(xml: &str) -> Result<PoolFacts> {
    const WHAT: &str = "pool XML";
    let document = parse(WHAT, xml)?;
    let root = document.root_element();
    let figure = |name: &str| {
        path(root, &[name]).and_then(|node| node.text()).and_then(|text| text.trim().parse().ok())
    };
    Ok(PoolFacts {
        name: text(root, &["name"]).ok_or(XmlError::Missing { what: WHAT, missing: "name" })?,
        kind: attribute(root, "type").unwrap_or_default(),
        active: false,
        target: text(root, &["target", "path"]),
        capacity_bytes: figure("capacity").unwrap_or(0),
        available_bytes: figure("available").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read() {
        let xml = "<network><name>lan</name><forward mode='bridge'/><bridge name='ovs0'/><virtualport type='openvswitch'/>\
                   <portgroup name='office' default='yes'/><portgroup name='lab'/><mtu size='9000'/></network>";
        let read = network(xml).unwrap();
        assert_eq!((read.forward.as_deref(), read.bridge.as_deref()), (Some("bridge"), Some("ovs0")));
        assert_eq!((read.portgroups.len(), read.mtu), (2, Some(9000)));
        assert_eq!(read.virtual_port.as_deref(), Some("openvswitch"));
        assert!(network("<network/>").is_err());
    }

    #[test]
    fn a_pool_is_read() {
        let xml = "<pool type='dir'><name>default</name><capacity unit='bytes'>100</capacity>\
                   <available unit='bytes'>40</available><target><path>/images</path></target></pool>";
        let read = pool(xml).unwrap();
        assert_eq!(
            (read.kind.as_str(), read.target.as_deref(), read.available_bytes),
            ("dir", Some("/images"), 40)
        );
    }
}
