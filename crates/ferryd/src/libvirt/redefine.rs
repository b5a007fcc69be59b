//! The parameters by which a domain arrives with another definition than it has.

use std::ffi::CStr;

use virt::domain::Domain;
use virt_sys as sys;

use super::error::{LibvirtError, XML_ERROR};
use super::ffi::{TypedValue, param};
use crate::hypervisor::MigrateCall;
use crate::plan::{Rewrite, rewrite};

/// Parameters for libvirt.
type Params = Vec<(&'static CStr, TypedValue)>;

/// Both documents are made of what libvirt itself would send, with everything in it, passwords too: they are neither stored nor
/// logged.
///
/// # Errors
/// What libvirt says; `VIR_ERR_XML_ERROR` where what it tells of the domain cannot be rewritten.
pub(super) fn params(domain: &Domain, call: &MigrateCall) -> Result<Params, LibvirtError> {
    const SENT: u32 = sys::VIR_DOMAIN_XML_SECURE | sys::VIR_DOMAIN_XML_MIGRATABLE;
    let mut params = Params::new();
    // In this one libvirt wants the old name: the new one is a parameter of its own (VIR_MIGRATE_PARAM_DEST_XML).
    let unnamed = Rewrite { name: None, ..call.rewrite.clone() };
    if !unnamed.is_empty() {
        params.push((param::XML, made(domain, SENT, &unnamed)?));
    }
    // This one libvirt takes as it is, and without it the definition would keep the old name on the destination
    // (`qemuMigrationSrcRun` and `qemuMigrationDstPersist` of its qemu_migration.c).
    if !call.rewrite.is_empty() && call.persistent {
        params
            .push((param::PERSISTENT_XML, made(domain, SENT | sys::VIR_DOMAIN_XML_INACTIVE, &call.rewrite)?));
    }
    params.extend(call.rewrite.name.clone().map(|name| (param::NAME, TypedValue::Text(name))));
    Ok(params)
}

fn made(domain: &Domain, flags: u32, by: &Rewrite) -> Result<TypedValue, LibvirtError> {
    let made = rewrite(&domain.xml_desc(flags)?, by);
    made.map(TypedValue::Text).map_err(|error| LibvirtError::of(XML_ERROR, error.to_string()))
}
