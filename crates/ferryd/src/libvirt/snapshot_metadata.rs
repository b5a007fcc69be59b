//! What libvirt knows of a domain's snapshots: read, forgotten, made known again. Nothing here touches what is in the images.

use virt::connect::Connect;
use virt::domain::Domain;
use virt_sys as sys;

use super::error::{LibvirtError, NO_SNAPSHOT};
use super::host::lookup;
use crate::hypervisor::Snapshot;
use crate::model::DomainUuid;
use crate::plan::without_itco;

/// All of them, each after the one it builds on; with the secrets in their definitions, or without.
pub(super) fn list(domain: &Domain, secrets: bool) -> Result<Vec<Snapshot>, LibvirtError> {
    let all = domain.list_all_snapshots(sys::VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL)?;
    let flags = if secrets { sys::VIR_DOMAIN_SNAPSHOT_XML_SECURE } else { 0 };
    let described = all.iter().map(|snapshot| {
        Ok(Snapshot {
            name: snapshot.name()?,
            xml: snapshot.xml_desc(flags)?,
            current: snapshot.is_current(0)?,
        })
    });
    described.collect()
}

/// Has libvirt forget these. One that it does not know is forgotten already.
pub(super) fn forget(domain: &Domain, names: &[String]) -> Result<(), LibvirtError> {
    for snapshot in domain.list_all_snapshots(0)? {
        if !names.contains(&snapshot.name()?) {
            continue;
        }
        match snapshot.delete(sys::VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY).map_err(LibvirtError::from) {
            Err(error) if error.code != NO_SNAPSHOT => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The first libvirt that names the watchdog which a machine of type q35 has by itself (`itco`), in every definition of one.
const NAMES_ITCO: u32 = 9_001_000;

/// Makes these known. Each must come after the one it builds on.
pub(super) fn redefine(
    connect: &Connect,
    domain: DomainUuid,
    snapshots: &[Snapshot],
) -> Result<(), LibvirtError> {
    let domain = lookup(connect, domain)?;
    let names_itco = connect.lib_version()? >= NAMES_ITCO;
    for snapshot in snapshots {
        // What a newer libvirt hands over when a domain moves it writes for older ones (`VIR_DOMAIN_XML_MIGRATABLE`), and leaves the
        // watchdog out; of snapshots there is no such form.
        let xml = if names_itco { snapshot.xml.clone() } else { without_itco(&snapshot.xml) };
        let current = if snapshot.current { sys::VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT } else { 0 };
        let flags = sys::VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE | current;
        domain.create_snapshot_xml(&xml, flags)?;
    }
    Ok(())
}
