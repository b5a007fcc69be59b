//! Devices of a host's that its domains are given: told, given, taken.

use virt::connect::Connect;
use virt::domain::Domain;
use virt_sys as sys;

use super::error::{LibvirtError, NO_NODE_DEVICE, XML_ERROR};
use super::host::{lookup, sight};
use super::xml::{self, XmlError};
use crate::model::DomainUuid;
use crate::model::action::{in_a_job, is_active};
use crate::model::host_device::{Given, NodeDevice, Passed, Place, Standing, Unmoved};

type Told<T> = Result<T, LibvirtError>;

fn unreadable(error: XmlError) -> LibvirtError {
    LibvirtError::of(XML_ERROR, error.to_string())
}

/// The devices of the host's that a domain is given, as it runs or would.
///
/// # Errors
/// What libvirt says of the domain. What it does not tell of a device stays out.
pub fn passed_through(connect: &Connect, domain: DomainUuid) -> Told<Vec<Passed>> {
    let text = lookup(connect, domain)?.xml_desc(0)?;
    Ok(passed_in(connect, &text)?.into_iter().map(|(passed, _)| passed).collect())
}

/// The devices that a domain's XML gives it, with their elements.
fn passed_in(connect: &Connect, text: &str) -> Told<Vec<(Passed, String)>> {
    let given = xml::given(text).map_err(unreadable)?;
    let elements = xml::given_elements(text).map_err(unreadable)?;
    let has = |wanted: fn(&Place) -> bool| given.iter().any(|device| wanted(&device.place));
    let usb = if has(|place| matches!(place, Place::Usb { .. })) { usb_devices(connect) } else { Vec::new() };
    let pci = if has(|place| matches!(place, Place::Pci { .. })) { pci_names(connect) } else { Vec::new() };
    let told = given.iter().zip(elements);
    Ok(told.filter_map(|(device, element)| Some((passed(connect, device, &usb, &pci)?, element))).collect())
}

/// The element of a device of this name in a document of a domain's; none where it does not have it.
fn element(connect: &Connect, domain: &Domain, document: u32, name: &str) -> Told<Option<(Passed, String)>> {
    let all = passed_in(connect, &domain.xml_desc(document)?)?;
    Ok(all.into_iter().find(|(passed, _)| passed.name == name))
}

/// Where a domain has a device.
///
/// # Errors
/// What libvirt says.
pub fn standing(connect: &Connect, domain: DomainUuid, name: &str) -> Told<Standing> {
    let domain = lookup(connect, domain)?;
    let there = |is: bool, document: u32| -> Told<Option<bool>> {
        is.then(|| element(connect, &domain, document, name).map(|found| found.is_some())).transpose()
    };
    let (live, defined) = (domain.is_active()?, domain.is_persistent()?);
    Ok(Standing { live: there(live, 0)?, defined: there(defined, sys::VIR_DOMAIN_XML_INACTIVE)? })
}

/// The element by which a domain is to be given a device of its host's, or what speaks against that.
///
/// # Errors
/// What libvirt says.
pub fn to_give(connect: &Connect, domain: DomainUuid, name: &str) -> Told<Result<String, Unmoved>> {
    let seen = sight(&lookup(connect, domain)?)?;
    if in_a_job(&seen) {
        return Ok(Err(Unmoved::Job));
    }
    let device = match connect.lookup_node_device_by_name(name).map_err(LibvirtError::from) {
        Ok(device) => device.xml_desc(0)?,
        Err(error) if error.code == NO_NODE_DEVICE => return Ok(Err(Unmoved::Absent)),
        Err(error) => return Err(error),
    };
    let element = match xml::assignment(&device).map_err(unreadable)? {
        Ok(element) => element,
        Err(unmoved) => return Ok(Err(unmoved)),
    };
    let is_3d = xml::node_device(&device).map_err(unreadable)?.is_3d_controller();
    if is_3d == Some(true) && is_active(seen.state) {
        return Ok(Err(Unmoved::OnlyStopped));
    }
    Ok(if standing(connect, domain, name)?.is_nowhere() { Ok(element) } else { Err(Unmoved::Given) })
}

/// What speaks against taking a device from a domain; none where nothing does.
///
/// # Errors
/// What libvirt says.
pub fn to_take(connect: &Connect, domain: DomainUuid, name: &str) -> Told<Option<Unmoved>> {
    let own = lookup(connect, domain)?;
    let seen = sight(&own)?;
    if in_a_job(&seen) {
        return Ok(Some(Unmoved::Job));
    }
    if standing(connect, domain, name)?.is_nowhere() {
        return Ok(Some(Unmoved::NotGiven));
    }
    let live = is_active(seen.state).then(|| element(connect, &own, 0, name)).transpose()?.flatten();
    let is_3d = live.and_then(|(passed, _)| passed.device?.is_3d_controller());
    Ok((is_3d == Some(true)).then_some(Unmoved::OnlyStopped))
}

/// Gives a domain a device: as it runs and as it is defined, as far as it is.
///
/// # Errors
/// What libvirt says; then it is given nowhere.
pub fn give(connect: &Connect, domain: DomainUuid, element: &str) -> Told<()> {
    let domain = lookup(connect, domain)?;
    let live = if domain.is_active()? { sys::VIR_DOMAIN_AFFECT_LIVE } else { 0 };
    let defined = if domain.is_persistent()? { sys::VIR_DOMAIN_AFFECT_CONFIG } else { 0 };
    Ok(domain.attach_device_flags(element, live | defined)?)
}

/// Asks a domain that runs to give a device up, which its guest does or does not. Nothing there is success.
///
/// # Errors
/// What libvirt says.
pub fn take_live(connect: &Connect, domain: DomainUuid, name: &str) -> Told<()> {
    let domain = lookup(connect, domain)?;
    if !domain.is_active()? {
        return Ok(());
    }
    match element(connect, &domain, 0, name)? {
        Some((_, element)) => Ok(domain.detach_device_flags(&element, sys::VIR_DOMAIN_AFFECT_LIVE)?),
        None => Ok(()),
    }
}

/// Takes a device out of a domain's definition. Nothing there is success.
///
/// # Errors
/// What libvirt says.
pub fn take_defined(connect: &Connect, domain: DomainUuid, name: &str) -> Told<()> {
    let domain = lookup(connect, domain)?;
    if !domain.is_persistent()? {
        return Ok(());
    }
    match element(connect, &domain, sys::VIR_DOMAIN_XML_INACTIVE, name)? {
        Some((_, element)) => Ok(domain.detach_device_flags(&element, sys::VIR_DOMAIN_AFFECT_CONFIG)?),
        None => Ok(()),
    }
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
