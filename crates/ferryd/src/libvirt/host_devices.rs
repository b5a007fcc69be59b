//! Devices of a host's that its domains are given.

use virt::connect::Connect;
use virt_sys as sys;

use super::error::{LibvirtError, XML_ERROR};
use super::host::lookup;
use super::xml;
use crate::model::DomainUuid;
use crate::model::host_device::{Given, NodeDevice, Passed, Place};

/// The devices of the host's that a domain is given, as it runs or would.
///
/// # Errors
/// What libvirt says of the domain. What it does not tell of a device stays out.
pub fn passed_through(connect: &Connect, domain: DomainUuid) -> Result<Vec<Passed>, LibvirtError> {
    let text = lookup(connect, domain)?.xml_desc(0)?;
    let given = xml::given(&text).map_err(|error| LibvirtError::of(XML_ERROR, error.to_string()))?;
    let has = |wanted: fn(&Place) -> bool| given.iter().any(|device| wanted(&device.place));
    let usb = if has(|place| matches!(place, Place::Usb { .. })) { usb_devices(connect) } else { Vec::new() };
    let pci = if has(|place| matches!(place, Place::Pci { .. })) { pci_names(connect) } else { Vec::new() };
    Ok(given.iter().filter_map(|device| passed(connect, device, &usb, &pci)).collect())
}

fn passed(connect: &Connect, given: &Given, usb: &[NodeDevice], pci: &[String]) -> Option<Passed> {
    let kind = given.kind.clone();
    let Some(name) = given.node_name() else {
        let device = given.among(usb).cloned();
        let name = device.as_ref().map(|device| device.name.clone()).or_else(|| given.missing_name())?;
        return Some(Passed { name, kind, device, multifunction: None });
    };
    let device = connect.lookup_node_device_by_name(&name).and_then(|device| device.xml_desc(0));
    let device = device.ok().and_then(|text| xml::node_device(&text).ok());
    let is_pci = matches!(given.place, Place::Pci { .. }) && device.is_some();
    let multifunction = is_pci.then(|| has_more_functions(&name, pci));
    Some(Passed { name, kind, device, multifunction })
}

/// Whether other functions of the same slot are there.
fn has_more_functions(name: &str, pci: &[String]) -> bool {
    let slot = |name: &str| name.rsplit_once('_').map(|(slot, _)| slot.to_owned());
    pci.iter().any(|other| other != name && slot(other) == slot(name))
}

fn pci_names(connect: &Connect) -> Vec<String> {
    let all = connect.list_all_node_devices(sys::VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV);
    all.unwrap_or_default().iter().filter_map(|device| device.name().ok()).collect()
}

fn usb_devices(connect: &Connect) -> Vec<NodeDevice> {
    let all = connect.list_all_node_devices(sys::VIR_CONNECT_LIST_NODE_DEVICES_CAP_USB_DEV);
    let described = |device: &virt::nodedev::NodeDevice| xml::node_device(&device.xml_desc(0).ok()?).ok();
    all.unwrap_or_default().iter().filter_map(described).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_one_slot_belong_together() {
        let pci = ["pci_0000_01_00_0", "pci_0000_01_00_1", "pci_0000_02_00_0"].map(str::to_owned);
        let more = ["pci_0000_01_00_0", "pci_0000_02_00_0"].map(|name| has_more_functions(name, &pci));
        assert_eq!(more, [true, false]);
    }
}
