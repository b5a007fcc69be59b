//! What a host is, and what its QEMU offers.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;
use uuid::Uuid;

use super::{Result, XmlError, attribute, child, children, number, parse, path, text};
use crate::model::facts::{MachineSupport, NumaNode};

/// What the capabilities tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The machine's identity.
    pub host_uuid: Uuid,
    /// CPU architecture of the machine.
    pub architecture: String,
    /// Domain types of all guests it can run (`qemu`, `kvm`).
    pub domain_types: Vec<String>,
    /// Its NUMA nodes.
    pub numa_nodes: Vec<NumaNode>,
    /// The security model that confines guests (`apparmor`, `selinux`), not the plain ownership of files.
    pub security_model: Option<String>,
    /// The kernel has IOMMU groups (`virHostHasIOMMU`).
    pub iommu: bool,
}

/// Reads `virConnectGetCapabilities`.
///
/// # Errors
/// Not XML, or without the host's UUID or architecture.
pub fn capabilities(xml: &str) -> Result<Capabilities> {
    const WHAT: &str = "capabilities";
    let document = parse(WHAT, xml)?;
    let root = document.root_element();
    let host_uuid = text(root, &["host", "uuid"])
        .and_then(|text| Uuid::parse_str(&text).ok())
        .ok_or(XmlError::Missing { what: WHAT, missing: "host UUID" })?;
    let architecture = text(root, &["host", "cpu", "arch"])
        .ok_or(XmlError::Missing { what: WHAT, missing: "architecture" })?;
    let types = root.descendants().filter(|node| node.has_tag_name("domain"));
    let domain_types: BTreeSet<String> = types.filter_map(|node| attribute(node, "type")).collect();
    let cells = path(root, &["host", "topology", "cells"]);
    let models = child(root, "host").into_iter().flat_map(|host| children(host, "secmodel"));
    Ok(Capabilities {
        host_uuid,
        architecture,
        domain_types: domain_types.into_iter().collect(),
        numa_nodes: cells.into_iter().flat_map(|cells| children(cells, "cell")).map(numa_node).collect(),
        security_model: models
            .filter_map(|model| text(model, &["model"]))
            .find(|model| !matches!(model.as_str(), "dac" | "none")),
        iommu: path(root, &["host", "iommu"]).is_some_and(|iommu| iommu.attribute("support") == Some("yes")),
    })
}

fn numa_node(cell: Node<'_, '_>) -> NumaNode {
    let cpus = child(cell, "cpus").into_iter().flat_map(|cpus| children(cpus, "cpu"));
    NumaNode {
        id: number(cell, "id").unwrap_or(0),
        cpus: cpus.filter_map(|cpu| number(cpu, "id")).collect(),
        page_sizes_kib: children(cell, "pages").filter_map(|pages| number(pages, "size")).collect(),
    }
}

/// Reads `virConnectGetDomainCapabilities`.
///
/// # Errors
/// Not XML.
pub fn machine_support(xml: &str) -> Result<MachineSupport> {
    let document = parse("domain capabilities", xml)?;
    let root = document.root_element();
    let loader = path(root, &["os", "loader"]).filter(|loader| loader.attribute("supported") == Some("yes"));
    let values = |node: Node<'_, '_>, name: &str| -> Vec<String> {
        let list = children(node, "enum").find(|list| list.attribute("name") == Some(name));
        let values = list.into_iter().flat_map(|list| children(list, "value"));
        values.filter_map(|value| value.text().map(str::to_owned)).collect()
    };
    let mut devices = BTreeMap::new();
    for device in
        child(root, "devices").into_iter().flat_map(|devices| devices.children()).filter(Node::is_element)
    {
        let name = device.tag_name().name();
        if device.attribute("supported") != Some("yes") {
            devices.insert(name.to_owned(), Vec::new());
            continue;
        }
        for list in children(device, "enum") {
            let key = format!("{name}.{}", list.attribute("name").unwrap_or_default());
            let of_list =
                children(list, "value").filter_map(|value| value.text().map(str::to_owned)).collect();
            devices.insert(key, of_list);
        }
    }
    let features =
        child(root, "features").into_iter().flat_map(|features| features.children()).filter(Node::is_element);
    Ok(MachineSupport {
        emulator: text(root, &["path"]),
        machine: text(root, &["machine"]),
        vcpus_max: child(root, "vcpu").and_then(|vcpu| number(vcpu, "max")),
        automatic_firmware: child(root, "os").map(|os| values(os, "firmware")).unwrap_or_default(),
        loaders: loader
            .into_iter()
            .flat_map(|loader| children(loader, "value"))
            .filter_map(|value| value.text().map(str::to_owned))
            .collect(),
        secure_boot: loader.is_some_and(|loader| values(loader, "secure").iter().any(|value| value == "yes")),
        devices,
        features: features
            .filter(|feature| feature.attribute("supported") == Some("yes"))
            .map(|feature| feature.tag_name().name().to_owned())
            .collect(),
        host_model: host_model(root),
    })
}

/// The CPU that `host-model` becomes on this host, as a `cpu` element that libvirt compares.
fn host_model(root: Node<'_, '_>) -> Option<String> {
    let mode = path(root, &["cpu"]).into_iter().flat_map(|cpu| children(cpu, "mode"));
    let mode = mode
        .filter(|mode| mode.attribute("name") == Some("host-model"))
        .find(|mode| mode.attribute("supported") == Some("yes"))?;
    let model = text(mode, &["model"])?;
    let mut xml = format!("<cpu mode='custom' match='exact'><model fallback='forbid'>{model}</model>");
    for feature in children(mode, "feature") {
        let (name, policy) = (attribute(feature, "name")?, attribute(feature, "policy")?);
        xml.push_str(&format!("<feature policy='{policy}' name='{name}'/>"));
    }
    xml.push_str("</cpu>");
    Some(xml)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_tell_identity_and_domain_types() {
        let xml = "<capabilities><host><uuid>a24f5045-dc32-425b-af7c-5802b16591a6</uuid>\
                   <cpu><arch>x86_64</arch></cpu>\
                   <topology><cells num='1'><cell id='0'><memory unit='KiB'>24</memory><pages unit='KiB' size='4'>1</pages>\
                   <pages unit='KiB' size='2048'>0</pages><cpus num='2'><cpu id='0'/><cpu id='1'/></cpus></cell></cells></topology>\
                   <secmodel><model>apparmor</model></secmodel><secmodel><model>dac</model></secmodel></host>\
                   <guest><os_type>hvm</os_type><arch name='i686'><domain type='qemu'/></arch></guest>\
                   <guest><os_type>hvm</os_type><arch name='x86_64'><domain type='qemu'/><domain type='kvm'/></arch>\
                   </guest></capabilities>";
        let read = capabilities(xml).unwrap();
        assert_eq!(read.host_uuid.to_string(), "a24f5045-dc32-425b-af7c-5802b16591a6");
        assert_eq!(read.architecture, "x86_64");
        assert_eq!(read.domain_types, ["kvm", "qemu"]);
        assert_eq!(read.security_model.as_deref(), Some("apparmor"));
        assert!(!read.iommu, "it says nothing of them");
        for (support, iommu) in [("yes", true), ("no", false)] {
            let xml = xml.replacen("<topology>", &format!("<iommu support='{support}'/><topology>"), 1);
            assert_eq!(capabilities(&xml).unwrap().iommu, iommu);
        }
        let node = NumaNode { id: 0, cpus: vec![0, 1], page_sizes_kib: vec![4, 2048] };
        assert_eq!(read.numa_nodes, [node]);
        assert!(capabilities("<capabilities/>").is_err());
        assert!(capabilities("no xml").is_err());
    }

    #[test]
    fn what_a_machine_offers_is_read() {
        let xml = "<domainCapabilities><path>/usr/bin/qemu-system-x86_64</path><domain>qemu</domain>\
                   <machine>pc-q35-7.2</machine><arch>x86_64</arch><vcpu max='288'/>\
                   <os supported='yes'><enum name='firmware'><value>efi</value></enum><loader supported='yes'>\
                   <value>/usr/share/OVMF/OVMF_CODE_4M.fd</value><enum name='secure'><value>yes</value><value>no</value></enum>\
                   </loader></os>\
                   <cpu><mode name='host-model' supported='yes'><model fallback='forbid'>EPYC</model>\
                   <feature policy='require' name='x2apic'/></mode></cpu>\
                   <devices><tpm supported='yes'><enum name='backendModel'><value>emulator</value></enum></tpm>\
                   <filesystem supported='no'/></devices>\
                   <features><sev supported='no'/><vmcoreinfo supported='yes'/></features></domainCapabilities>";
        let read = machine_support(xml).unwrap();
        assert_eq!(read.vcpus_max, Some(288));
        assert_eq!(read.loaders, ["/usr/share/OVMF/OVMF_CODE_4M.fd"]);
        assert!(read.secure_boot && read.offers("tpm.backendModel", "emulator"));
        assert!(!read.offers("filesystem.driverType", "virtiofs"));
        assert_eq!(read.features, ["vmcoreinfo"]);
        let cpu = "<cpu mode='custom' match='exact'><model fallback='forbid'>EPYC</model>\
                   <feature policy='require' name='x2apic'/></cpu>";
        assert_eq!(read.host_model.as_deref(), Some(cpu));
    }
}
