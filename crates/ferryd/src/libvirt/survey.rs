//! What is read of a whole host at once: few bulk calls, however many domains it has.

use std::collections::HashSet;

use api::host::HostInfo;
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt_sys as sys;

use super::error::LibvirtError;
use super::ffi::{self, DomainStats, TypedValue};
use super::host::sight;
use super::translate;
use super::xml;
use crate::model::DomainUuid;
use crate::model::facts::{DomainFacts, Namesake};

type Result<T> = std::result::Result<T, LibvirtError>;

/// A domain in the inventory; the host's name is the inventory's to add.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: api::vm::VmState,
    /// Whether its definition outlives its run.
    pub persistent: bool,
    /// Whether it starts with its host.
    pub autostart: bool,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Largest memory.
    pub max_memory_bytes: u64,
    /// Memory now.
    pub memory_bytes: u64,
    /// CPU time since it started.
    pub cpu_time_ns: u64,
}

/// What the machine is, and the domain types that its guests may have.
///
/// # Errors
/// What libvirt says, or capabilities that make no sense.
pub fn machine(connect: &Connect) -> Result<(HostInfo, Vec<String>)> {
    let capabilities = xml::capabilities(&connect.capabilities()?).map_err(unreadable)?;
    let node = connect.node_info()?;
    let info = HostInfo {
        hostname: connect.hostname()?,
        uuid: capabilities.host_uuid,
        hypervisor: connect.driver_type()?,
        architecture: capabilities.architecture,
        libvirt_version: translate::version(connect.lib_version()?),
        hypervisor_version: translate::version(connect.hyp_version()?),
        cpus: node.cpus,
        memory_bytes: node.memory.saturating_mul(1024),
    };
    Ok((info, capabilities.domain_types))
}

fn unreadable(error: xml::XmlError) -> LibvirtError {
    // VIR_ERR_XML_ERROR
    LibvirtError { code: 27, domain: 0, message: error.to_string() }
}

/// All domains of a host.
///
/// # Errors
/// What libvirt says.
pub fn domains(connect: &Connect) -> Result<Vec<Listed>> {
    let kinds = sys::VIR_DOMAIN_STATS_STATE
        | sys::VIR_DOMAIN_STATS_CPU_TOTAL
        | sys::VIR_DOMAIN_STATS_BALLOON
        | sys::VIR_DOMAIN_STATS_VCPU;
    let stats = ffi::all_domain_stats(connect, kinds)?;
    let persistent = uuids(connect, sys::VIR_CONNECT_LIST_DOMAINS_PERSISTENT)?;
    let autostart = uuids(connect, sys::VIR_CONNECT_LIST_DOMAINS_AUTOSTART)?;
    Ok(stats.iter().map(|stats| listed(stats, &persistent, &autostart)).collect())
}

fn uuids(connect: &Connect, flags: u32) -> Result<HashSet<Uuid>> {
    let domains = connect.list_all_domains(flags)?;
    domains.iter().map(|domain| Ok(domain.uuid()?)).collect()
}

fn listed(stats: &DomainStats, persistent: &HashSet<Uuid>, autostart: &HashSet<Uuid>) -> Listed {
    let figure = |name: &str| stats.values.get(name).and_then(TypedValue::as_u64);
    let max_kib = figure("balloon.maximum").unwrap_or(0);
    Listed {
        uuid: stats.uuid,
        name: stats.name.clone(),
        state: translate::state(
            figure("state.state").and_then(|state| i32::try_from(state).ok()).unwrap_or(0),
        ),
        persistent: persistent.contains(&stats.uuid),
        autostart: autostart.contains(&stats.uuid),
        vcpus: figure("vcpu.current").and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        max_memory_bytes: max_kib.saturating_mul(1024),
        memory_bytes: figure("balloon.current").unwrap_or(max_kib).saturating_mul(1024),
        cpu_time_ns: figure("cpu.time").unwrap_or(0),
    }
}

/// The facts of one domain on its source.
///
/// # Errors
/// What libvirt says; `VIR_ERR_NO_DOMAIN` where it is not there.
pub fn domain_facts(connect: &Connect, uuid: DomainUuid) -> Result<DomainFacts> {
    let domain = connect.lookup_domain_by_uuid(uuid.0)?;
    let sight = sight(&domain)?;
    let live = xml::domain(&domain.xml_desc(0)?).map_err(unreadable)?;
    // Without VIR_DOMAIN_XML_SECURE: passwords in it must not reach the database.
    let persistent_xml =
        sight.persistent.then(|| domain.xml_desc(sys::VIR_DOMAIN_XML_INACTIVE)).transpose()?;
    Ok(DomainFacts {
        uuid,
        name: domain.name()?,
        sight,
        domain_type: live.domain_type,
        architecture: live.architecture,
        persistent_xml,
        passed_through: live.passed_through,
    })
}

/// Domains with this name or UUID.
///
/// # Errors
/// What libvirt says.
pub fn namesakes(connect: &Connect, name: &str, uuid: DomainUuid) -> Result<Vec<Namesake>> {
    let found = [connect.lookup_domain_by_uuid(uuid.0), connect.lookup_domain_by_name(name)];
    let mut namesakes: Vec<Namesake> = Vec::new();
    for domain in found {
        match domain {
            Ok(domain) => {
                let namesake = namesake(&domain)?;
                if !namesakes.contains(&namesake) {
                    namesakes.push(namesake);
                }
            }
            Err(error) => {
                let error = LibvirtError::from(error);
                if error.code != super::error::NO_DOMAIN {
                    return Err(error);
                }
            }
        }
    }
    Ok(namesakes)
}

fn namesake(domain: &Domain) -> Result<Namesake> {
    Ok(Namesake { name: domain.name()?, uuid: DomainUuid(domain.uuid()?), active: domain.is_active()? })
}
