//! Networks and storage pools.

use super::{Result, XmlError, attribute, child, children, escaped, number, parse, path, text};
use crate::hypervisor::{FileSight, NewFile};
use crate::model::definition::SecretReference;
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
        volumes: None,
    })
}

/// Reads of a volume's XML (`virStorageVolGetXMLDesc`) what is seen of its file.
///
/// # Errors
/// Not XML, or without a length.
pub fn file(xml: &str) -> Result<FileSight> {
    const WHAT: &str = "volume XML";
    let document = parse(WHAT, xml)?;
    let root = document.root_element();
    let figure = |name: &str| text(root, &[name])?.parse::<u64>().ok();
    // Of a disk image the capacity is what a guest sees; how long its file is stands beside it.
    let length = figure("physical").or_else(|| figure("capacity"));
    // Seconds, and nine digits after the point.
    let modified = text(root, &["target", "timestamps", "mtime"]);
    let modified_ns = modified.and_then(|text| {
        let (seconds, rest) = text.split_once('.').unwrap_or((&text, "0"));
        Some(seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)? + rest.parse::<u64>().ok()?)
    });
    Ok(FileSight {
        length_bytes: length.ok_or(XmlError::Missing { what: WHAT, missing: "length" })?,
        allocated_bytes: figure("allocation").unwrap_or(0),
        modified_ns: modified_ns.unwrap_or(0),
    })
}

/// Reads of a volume's XML which image lies below it: path and format.
///
/// # Errors
/// Not XML.
pub fn backing(xml: &str) -> Result<Option<(String, Option<String>)>> {
    let document = parse("volume XML", xml)?;
    let root = document.root_element();
    let format = path(root, &["backingStore", "format"]).and_then(|format| attribute(format, "type"));
    Ok(text(root, &["backingStore", "path"]).map(|path| (path, format)))
}

/// The XML of a volume that is to be made as this file.
#[must_use]
pub fn new_file(name: &str, file: &NewFile) -> String {
    let NewFile { format, capacity_bytes, base, luks, .. } = file;
    // Without it libvirt makes images as QEMU did before 2012, which it then reads slowly.
    let compat = if format == "qcow2" { "<compat>1.1</compat>" } else { "" };
    let base = base.as_ref().map_or_else(String::new, |(path, format)| {
        format!(
            "<backingStore><path>{}</path><format type='{}'/></backingStore>",
            escaped(path),
            escaped(format)
        )
    });
    let encryption = luks.as_ref().map_or_else(String::new, |secret| {
        let named = match secret {
            SecretReference::Uuid(uuid) => format!("uuid='{uuid}'"),
            SecretReference::Usage(usage) => format!("usage='{}'", escaped(usage)),
        };
        format!("<encryption format='luks'><secret type='passphrase' {named}/></encryption>")
    });
    format!(
        "<volume><name>{}</name><capacity unit='bytes'>{capacity_bytes}</capacity><allocation>0</allocation>\
         <target><format type='{}'/>{encryption}{compat}</target>{base}</volume>",
        escaped(name),
        escaped(format)
    )
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
    fn a_volume_is_read() {
        let xml = "<volume type='file'><name>b</name><capacity unit='bytes'>1073741824</capacity><allocation unit='bytes'>4096\
                   </allocation><physical unit='bytes'>196616</physical><target><path>/images/b</path><timestamps>\
                   <mtime>1795538097.830200162</mtime></timestamps></target><backingStore><path>/images/a</path>\
                   <format type='raw'/></backingStore></volume>";
        let seen = file(xml).unwrap();
        assert_eq!((seen.length_bytes, seen.allocated_bytes), (196_616, 4096));
        assert_eq!(seen.modified_ns, 1_795_538_097_830_200_162);
        assert_eq!(backing(xml).unwrap(), Some(("/images/a".to_owned(), Some("raw".to_owned()))));
    }

    #[test]
    fn what_a_file_takes_up_tells_nothing_of_who_wrote_to_it() {
        let seen = |allocation: u32, physical: u32, mtime: &str| {
            file(&format!(
                "<volume type='file'><name>b</name><allocation unit='bytes'>{allocation}</allocation>\
                 <physical unit='bytes'>{physical}</physical><target><path>/images/b</path><timestamps><mtime>{mtime}</mtime>\
                 </timestamps></target></volume>"
            ))
            .unwrap()
        };
        let before = seen(4096, 8192, "7.000000001");
        assert_eq!(before, seen(8192, 8192, "7.000000001"), "written back");
        assert_ne!(before, seen(4096, 8192, "7.000000002"), "written to");
        assert_ne!(before, seen(4096, 8193, "7.000000001"), "made longer");
    }

    #[test]
    fn a_file_is_made_as_it_is_asked_for() {
        let asked = NewFile {
            path: "/images/a&b".to_owned(),
            format: "qcow2".to_owned(),
            capacity_bytes: 7,
            base: Some(("/images/a".to_owned(), "raw".to_owned())),
            luks: None,
        };
        let xml = new_file("a&b", &asked);
        assert!(!xml.contains("encryption"), "{xml}");
        let luks = Some(SecretReference::Usage("b&c".to_owned()));
        let encrypted = new_file("a&b", &NewFile { luks, ..asked.clone() });
        let secret = "<encryption format='luks'><secret type='passphrase' usage='b&amp;c'/></encryption>";
        assert!(encrypted.contains(secret), "{encrypted}");
        assert!(xml.contains("<name>a&amp;b</name>") && xml.contains("<compat>1.1</compat>"), "{xml}");
        assert_eq!(backing(&xml).unwrap(), Some(("/images/a".to_owned(), Some("raw".to_owned()))));
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
