//! What is done to a domain where it is: started, stopped, changed, removed. Each looks at the domain first, on the same
//! connection, so that nothing is done to one that moves.

use virt::connect::Connect;
use virt::domain::Domain;
use virt_sys as sys;

use super::creation::less_memory_than;
use super::error::{INVALID_ARGUMENT, LibvirtError, OPERATION_INVALID, XML_ERROR};
use super::host::{lookup, sight};
use super::xml::{self, ACCESS_NAMESPACE, ACCESS_PREFIX};
use crate::model::DomainUuid;
use crate::model::action::{Action, Objection, in_a_job, is_active};
use crate::model::change::{Change, Changes};
use crate::model::definition::{Access, Definition};

type Result<T> = std::result::Result<T, LibvirtError>;

/// `VIR_ERR_NO_DOMAIN_METADATA`.
const NO_METADATA: i32 = 80;

/// Makes a domain do something; tells what speaks against it, where something does.
///
/// # Errors
/// What libvirt says.
pub fn act(connect: &Connect, domain: DomainUuid, action: Action) -> Result<Option<Objection>> {
    let domain = lookup(connect, domain)?;
    if let Some(objection) = action.objection(&sight(&domain)?) {
        return Ok(Some(objection));
    }
    match action {
        Action::Start => domain.create()?,
        Action::PowerOff => domain.destroy()?,
        Action::Shutdown => domain.shutdown()?,
        Action::Reset => domain.reset()?,
        Action::Suspend => domain.suspend()?,
        Action::Resume => domain.resume()?,
    }
    Ok(None)
}

/// Removes a domain with what libvirt keeps beside its definition: a saved state, and what it knows of snapshots and checkpoints.
/// One that runs is ended first. What a later machine could not do without stays: its disks, the state of its TPM, and, unless `nvram`
/// says that they go, the variables of its firmware.
///
/// # Errors
/// What libvirt says, and what was done before that.
pub fn remove(connect: &Connect, domain: DomainUuid, nvram: bool) -> Result<Option<Objection>> {
    let domain = lookup(connect, domain)?;
    let seen = sight(&domain)?;
    if in_a_job(&seen) {
        return Ok(Some(Objection::Job));
    }
    if !seen.persistent {
        return Err(LibvirtError::of(OPERATION_INVALID, "it has no definition; nothing was done"));
    }
    let definition = xml::definition(&domain.xml_desc(0)?).map_err(unreadable)?;
    let active = is_active(seen.state);
    if active {
        domain.destroy()?;
    }
    let mut flags = sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
    flags |= if nvram { sys::VIR_DOMAIN_UNDEFINE_NVRAM } else { sys::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM };
    if definition.tpm.is_some() {
        // Only where there is one: libvirt before 8.9 does not know the flag.
        flags |= sys::VIR_DOMAIN_UNDEFINE_KEEP_TPM;
    }
    match domain.undefine_flags(flags).map_err(LibvirtError::from) {
        Ok(()) => Ok(None),
        Err(error) if active => {
            let message = format!("it was ended, but is still defined: {}", error.message);
            Err(LibvirtError { message, ..error })
        }
        Err(error) => Err(error),
    }
}

/// What a domain is defined as, for its next start.
///
/// # Errors
/// What libvirt says.
pub fn defined_as(connect: &Connect, domain: DomainUuid) -> Result<Definition> {
    let text = lookup(connect, domain)?.xml_desc(sys::VIR_DOMAIN_XML_INACTIVE)?;
    xml::definition(&text).map_err(unreadable)
}

fn unreadable(error: xml::XmlError) -> LibvirtError {
    LibvirtError::of(XML_ERROR, error.to_string())
}

/// What became of changes to a domain.
#[derive(Debug)]
pub enum Changed {
    /// All were made.
    All,
    /// None was: something speaks against them.
    None(Objection),
    /// None was: the host has no more memory than this, in MiB.
    TooMuchMemory(u64),
    /// libvirt did not take one; those before it are made.
    Some(Vec<Change>, Change, LibvirtError),
}

/// Changes a domain: as it runs and as it is defined, as far as it is.
///
/// # Errors
/// What libvirt says before anything was changed.
pub fn change(connect: &Connect, domain: DomainUuid, changes: &Changes) -> Result<Changed> {
    let domain = lookup(connect, domain)?;
    let seen = sight(&domain)?;
    if in_a_job(&seen) {
        return Ok(Changed::None(Objection::Job));
    }
    let active = is_active(seen.state);
    if active && !changes.only_when_stopped().is_empty() {
        return Ok(Changed::None(Objection::State(seen.state)));
    }
    let memory_mib = changes.max_memory_mib.max(changes.memory_mib).unwrap_or_default();
    if let Some(most_mib) = less_memory_than(connect, memory_mib)? {
        return Ok(Changed::TooMuchMemory(most_mib));
    }
    let changes = &with_room(&domain, active, changes)?;
    let live = if active { sys::VIR_DOMAIN_AFFECT_LIVE } else { 0 };
    let scope = live | if seen.persistent { sys::VIR_DOMAIN_AFFECT_CONFIG } else { 0 };
    let mut made = Vec::new();
    for change in changes.wanted() {
        match make(&domain, changes, change, scope) {
            Ok(()) => made.push(change),
            Err(error) => return Ok(Changed::Some(made, change, error)),
        }
    }
    Ok(Changed::All)
}

/// The same changes; of a stopped domain that is to have more memory than it may have, it may have so much.
fn with_room(domain: &Domain, active: bool, changes: &Changes) -> Result<Changes> {
    let most_mib = if active { u64::MAX } else { domain.info()?.max_mem / 1024 };
    let max_memory_mib = changes.max_memory_mib.or(changes.memory_mib.filter(|mib| *mib > most_mib));
    Ok(Changes { max_memory_mib, ..changes.clone() })
}

/// Makes one of the changes; `scope` is a `virDomainModificationImpact`.
fn make(domain: &Domain, changes: &Changes, change: Change, scope: u32) -> Result<()> {
    let kib = |mib: Option<u64>| mib.unwrap_or_default().saturating_mul(1024);
    match change {
        Change::Title => set_text(domain, sys::VIR_DOMAIN_METADATA_TITLE, changes.title.as_deref(), scope),
        Change::Description => {
            set_text(domain, sys::VIR_DOMAIN_METADATA_DESCRIPTION, changes.description.as_deref(), scope)
        }
        Change::Access => set_access(domain, changes, scope),
        Change::Autostart => Ok(domain.set_autostart(changes.autostart.unwrap_or_default())?),
        Change::MaxMemory => {
            Ok(domain.set_memory_flags(kib(changes.max_memory_mib), scope | sys::VIR_DOMAIN_MEM_MAXIMUM)?)
        }
        Change::Memory => Ok(domain.set_memory_flags(kib(changes.memory_mib), scope)?),
        Change::MaxVcpus => {
            let count = changes.max_vcpus.unwrap_or_default();
            Ok(domain.set_vcpus_flags(count, scope | sys::VIR_DOMAIN_VCPU_MAXIMUM)?)
        }
        Change::Vcpus => Ok(domain.set_vcpus_flags(changes.vcpus.unwrap_or_default(), scope)?),
        Change::Name => Ok(domain.rename(changes.name.as_deref().unwrap_or_default(), 0)?),
    }
}

/// Sets title or description; an empty one is none.
fn set_text(domain: &Domain, kind: u32, text: Option<&str>, scope: u32) -> Result<()> {
    let text = text.filter(|text| !text.is_empty());
    Ok(domain.set_metadata(kind_number(kind)?, text, None, None, scope)?)
}

fn set_access(domain: &Domain, changes: &Changes, scope: u32) -> Result<()> {
    let kind = kind_number(sys::VIR_DOMAIN_METADATA_ELEMENT)?;
    // One of the two is asked: the definition where there is one.
    let one = if scope & sys::VIR_DOMAIN_AFFECT_CONFIG != 0 { sys::VIR_DOMAIN_AFFECT_CONFIG } else { scope };
    let before = match domain.metadata(kind, Some(ACCESS_NAMESPACE), one).map_err(LibvirtError::from) {
        Ok(element) => Some(element),
        Err(error) if error.code == NO_METADATA => None,
        Err(error) => return Err(error),
    };
    let known = xml::definition(&domain.xml_desc(0)?).map_err(unreadable)?.access;
    let access = Access {
        users: changes.users.clone().unwrap_or(known.users),
        groups: changes.groups.clone().unwrap_or(known.groups),
    };
    let element = xml::access_element(before.as_deref(), &access).map_err(unreadable)?;
    Ok(domain.set_metadata(kind, Some(&element), Some(ACCESS_PREFIX), Some(ACCESS_NAMESPACE), scope)?)
}

fn kind_number(kind: u32) -> Result<i32> {
    i32::try_from(kind).map_err(|error| LibvirtError::of(INVALID_ARGUMENT, error.to_string()))
}
