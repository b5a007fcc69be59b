//! What libvirt is asked for inventory and checks: few bulk calls, however many domains a host has.
//!
//! * [`place_marks`], [`seek_marks`], [`remove_marks`] – whether two hosts see the same directory;
//! * [`domain_facts`], [`qemu_facts`] – the domain on its source; [`reception`] – what the destination has for it;
//! * [`offers()`] – what the host can give, whatever machine it is asked for;
//! * [`usage()`] – how much the guests use.

mod destination;
mod domain;
mod marks;
mod offers;
mod usage;

use std::collections::{HashMap, HashSet};

use api::host::HostInfo;
use uuid::Uuid;
use virt::connect::Connect;
use virt_sys as sys;

pub use destination::{Asked, reception};
pub use domain::{QemuFacts, chains, domain_facts, qemu_facts};
pub use marks::{Sought, place_marks, remove_marks, seek_marks};
pub use offers::offers;
pub use usage::{Usage, usage};

use super::error::{LibvirtError, XML_ERROR};
use super::ffi::{self, DomainStats, TypedValue};
use super::translate;
use super::xml;
use crate::model::definition::Definition;
use crate::model::facts::{HostFacts, version};

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

/// What the machine is. The name it is registered under is the inventory's to add.
///
/// # Errors
/// What libvirt says, or capabilities that make no sense.
pub fn machine(connect: &Connect) -> Result<HostFacts> {
    let capabilities = xml::capabilities(&connect.capabilities()?).map_err(unreadable)?;
    let node = connect.node_info()?;
    Ok(HostFacts {
        name: String::new(),
        uuid: capabilities.host_uuid,
        hostname: connect.hostname()?,
        hypervisor: connect.driver_type()?,
        architecture: capabilities.architecture,
        domain_types: capabilities.domain_types,
        libvirt_version: connect.lib_version()?,
        hypervisor_version: connect.hyp_version()?,
        cpus: node.cpus,
        memory_bytes: node.memory.saturating_mul(1024),
        numa_nodes: capabilities.numa_nodes,
        security_model: capabilities.security_model,
        shell: None,
        shell_silent: false,
    })
}

impl HostFacts {
    /// The machine as clients see it.
    #[must_use]
    pub fn info(&self) -> HostInfo {
        HostInfo {
            hostname: self.hostname.clone(),
            uuid: self.uuid,
            hypervisor: self.hypervisor.clone(),
            architecture: self.architecture.clone(),
            libvirt_version: version(self.libvirt_version),
            hypervisor_version: version(self.hypervisor_version),
            cpus: self.cpus,
            memory_bytes: self.memory_bytes,
        }
    }
}

fn unreadable(error: xml::XmlError) -> LibvirtError {
    LibvirtError::of(XML_ERROR, error.to_string())
}

/// All domains of a host. Processors and memory are what their definitions say, which are read apart.
///
/// # Errors
/// What libvirt says.
pub fn domains(connect: &Connect) -> Result<Vec<Listed>> {
    // Those that libvirt knows without asking QEMU: one that stands still would keep the answer for all.
    let kinds = sys::VIR_DOMAIN_STATS_STATE | sys::VIR_DOMAIN_STATS_CPU_TOTAL;
    let stats = ffi::all_domain_stats(connect, kinds, 0)?;
    let persistent = uuids(connect, sys::VIR_CONNECT_LIST_DOMAINS_PERSISTENT)?;
    let autostart = uuids(connect, sys::VIR_CONNECT_LIST_DOMAINS_AUTOSTART)?;
    Ok(stats.iter().map(|stats| listed(stats, &persistent, &autostart)).collect())
}

/// What is told of a domain's size without reading its definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The most memory it may have.
    pub max_memory_kib: u64,
    /// The memory it has.
    pub memory_kib: u64,
    /// The most virtual CPUs it may have.
    pub max_vcpus: u64,
    /// The virtual CPUs it has.
    pub vcpus: u64,
}

/// The sizes of all domains that do not run, in one call. QEMU is not asked: of a domain without one libvirt tells what its definition
/// says (`qemuDomainGetStatsBalloon`, `qemuDomainGetStatsVcpu`), and it does not wait for one that is being started. A libvirt that
/// does not know how tells of none.
#[must_use]
pub fn sizes(connect: &Connect) -> HashMap<Uuid, Sizes> {
    let kinds = sys::VIR_DOMAIN_STATS_BALLOON | sys::VIR_DOMAIN_STATS_VCPU;
    let flags =
        sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE | sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;
    match ffi::all_domain_stats(connect, kinds, flags) {
        Ok(stats) => stats.iter().filter_map(|stats| Some((stats.uuid, size(stats)?))).collect(),
        Err(error) => {
            tracing::debug!(%error, "sizes of domains are not told");
            HashMap::new()
        }
    }
}

fn size(stats: &DomainStats) -> Option<Sizes> {
    let figure = |name: &str| stats.values.get(name).and_then(TypedValue::as_u64);
    Some(Sizes {
        max_memory_kib: figure("balloon.maximum")?,
        memory_kib: figure("balloon.current")?,
        max_vcpus: figure("vcpu.maximum")?,
        vcpus: figure("vcpu.current")?,
    })
}

/// The virtual CPUs of every domain that runs, by a call for each: libvirt tells them by itself (`qemuDomainGetVcpusFlags`), while in
/// bulk (`VIR_DOMAIN_STATS_VCPU`) it asks the QEMUs too.
///
/// # Errors
/// What libvirt says.
pub fn processors(connect: &Connect) -> Result<HashMap<Uuid, u32>> {
    let running = connect.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE)?;
    // One that ends meanwhile has none.
    let told = running.iter().filter_map(|domain| {
        Some((domain.uuid().ok()?, domain.vcpus_flags(sys::VIR_DOMAIN_AFFECT_LIVE).ok()?))
    });
    Ok(told.collect())
}

/// The definitions of these domains, as they run or would; those that are gone are left out.
///
/// # Errors
/// The connection failed.
pub fn definitions(connect: &Connect, uuids: &[Uuid]) -> Result<Vec<(Uuid, Definition)>> {
    let mut read = Vec::new();
    for uuid in uuids {
        let xml = connect.lookup_domain_by_uuid(*uuid).and_then(|domain| domain.xml_desc(0));
        match xml.map_err(LibvirtError::from) {
            // One that cannot be read must not hide the others.
            Ok(xml) => read.extend(xml::definition(&xml).ok().map(|definition| (*uuid, definition))),
            Err(error) if error.code == super::error::NO_DOMAIN => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

fn uuids(connect: &Connect, flags: u32) -> Result<HashSet<Uuid>> {
    let domains = connect.list_all_domains(flags)?;
    domains.iter().map(|domain| Ok(domain.uuid()?)).collect()
}

fn listed(stats: &DomainStats, persistent: &HashSet<Uuid>, autostart: &HashSet<Uuid>) -> Listed {
    let figure = |name: &str| stats.values.get(name).and_then(TypedValue::as_u64);
    Listed {
        uuid: stats.uuid,
        name: stats.name.clone(),
        state: translate::state(
            figure("state.state").and_then(|state| i32::try_from(state).ok()).unwrap_or(0),
        ),
        persistent: persistent.contains(&stats.uuid),
        autostart: autostart.contains(&stats.uuid),
        vcpus: 0,
        max_memory_bytes: 0,
        memory_bytes: 0,
        cpu_time_ns: figure("cpu.time").unwrap_or(0),
    }
}
