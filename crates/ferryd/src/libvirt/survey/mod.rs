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
use api::vm::VmState;
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
    pub state: VmState,
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

/// All domains of a host, and the sizes of those that do not run. Processors and memory are what their definitions say, which are read
/// apart. `before` is what was told at the look before, where no event has told of a change since: this is asked about every second, and
/// then little is.
///
/// # Errors
/// What libvirt says.
pub fn domains(connect: &Connect, before: Option<&[Listed]>) -> Result<(Vec<Listed>, HashMap<Uuid, Sizes>)> {
    let shut_off = shut_off(connect);
    let sizes = shut_off.iter().filter_map(|stats| Some((stats.uuid, size(stats)?))).collect();
    let unchanged = match before {
        Some(before) => {
            let off: HashSet<Uuid> = shut_off.iter().map(|stats| stats.uuid).collect();
            let none_runs = before.iter().all(|domain| off.contains(&domain.uuid));
            let of = sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE;
            let active = if none_runs { Vec::new() } else { ffi::all_domain_stats(connect, KINDS, of)? };
            each_once(active, shut_off, before)
        }
        None => None,
    };
    let (stats, transient) = match unchanged {
        Some(unchanged) => unchanged,
        // There are next to no transient ones, while nearly all are persistent.
        None => (
            ffi::all_domain_stats(connect, KINDS, 0)?,
            uuids(connect, sys::VIR_CONNECT_LIST_DOMAINS_TRANSIENT)?,
        ),
    };
    let autostart = uuids(connect, sys::VIR_CONNECT_LIST_DOMAINS_AUTOSTART)?;
    Ok((stats.iter().map(|stats| listed(stats, &transient, &autostart)).collect(), sizes))
}

/// What libvirt knows without asking QEMU: one that stands still would keep the answer for all.
const KINDS: u32 = sys::VIR_DOMAIN_STATS_STATE | sys::VIR_DOMAIN_STATS_CPU_TOTAL;

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

/// The domains that do not run, with their sizes. QEMU is not asked: of a domain without one libvirt tells what its definition says
/// (`qemuDomainGetStatsBalloon`, `qemuDomainGetStatsVcpu`), and it does not wait for one that is being started. A libvirt that does not
/// know how tells of none.
fn shut_off(connect: &Connect) -> Vec<DomainStats> {
    let kinds = sys::VIR_DOMAIN_STATS_BALLOON | sys::VIR_DOMAIN_STATS_VCPU;
    let told = ffi::all_domain_stats(connect, kinds, sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE);
    told.unwrap_or_else(|error| {
        tracing::debug!(%error, "sizes of domains are not told");
        Vec::new()
    })
}

/// All domains, each as it was told of last, and which of them are transient; nothing where they are not those of before: one may have
/// started or ended between the two calls, and have been told of by neither, and of a new one there is more to ask. (That a domain gets
/// its definition or loses it, while it stays, is told by an event.)
fn each_once(
    active: Vec<DomainStats>,
    shut_off: Vec<DomainStats>,
    before: &[Listed],
) -> Option<(Vec<DomainStats>, HashSet<Uuid>)> {
    let run: HashSet<Uuid> = active.iter().map(|stats| stats.uuid).collect();
    let mut all = active;
    all.extend(shut_off.into_iter().filter(|stats| !run.contains(&stats.uuid)));
    let told: HashSet<Uuid> = all.iter().map(|stats| stats.uuid).collect();
    let same = told.len() == before.len() && before.iter().all(|domain| told.contains(&domain.uuid));
    let transient = before.iter().filter(|domain| !domain.persistent).map(|domain| domain.uuid).collect();
    same.then_some((all, transient))
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

fn listed(stats: &DomainStats, transient: &HashSet<Uuid>, autostart: &HashSet<Uuid>) -> Listed {
    let figure = |name: &str| stats.values.get(name).and_then(TypedValue::as_u64);
    Listed {
        uuid: stats.uuid,
        name: stats.name.clone(),
        state: match stats.values.get("state.state") {
            Some(state) => {
                translate::state(state.as_u64().and_then(|state| i32::try_from(state).ok()).unwrap_or(0))
            }
            // It was told of as one without a QEMU (`qemuProcessStop` leaves no other state).
            None => VmState::Shutoff,
        },
        persistent: !transient.contains(&stats.uuid),
        autostart: autostart.contains(&stats.uuid),
        vcpus: 0,
        max_memory_bytes: 0,
        memory_bytes: 0,
        cpu_time_ns: figure("cpu.time").unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(uuid: u128, state: Option<i64>) -> DomainStats {
        let values =
            state.map(|state| ("state.state".to_owned(), TypedValue::Int(state))).into_iter().collect();
        DomainStats { uuid: Uuid::from_u128(uuid), name: uuid.to_string(), values }
    }

    fn seen(active: &[u128], shut_off: &[u128], before: &[u128]) -> Option<Vec<(u128, VmState)>> {
        let (none, one) = (HashSet::new(), HashSet::from([Uuid::from_u128(1)]));
        let active = active.iter().map(|uuid| told(*uuid, Some(1))).collect();
        let shut_off = shut_off.iter().map(|uuid| told(*uuid, None)).collect();
        let before: Vec<_> = before.iter().map(|uuid| listed(&told(*uuid, None), &one, &none)).collect();
        let (stats, transient) = each_once(active, shut_off, &before)?;
        assert_eq!(transient, one, "1 was, and is");
        Some(stats.iter().map(|stats| (stats.uuid.as_u128(), listed(stats, &none, &none).state)).collect())
    }

    #[test]
    fn domains_that_start_and_end_meanwhile_are_neither_doubled_nor_missed() {
        use VmState::{Running, Shutoff};
        assert_eq!(seen(&[1], &[2], &[1, 2]), Some(vec![(1, Running), (2, Shutoff)]));
        assert_eq!(seen(&[1, 2], &[2], &[1, 2]), Some(vec![(1, Running), (2, Running)]), "2 was started");
        assert_eq!(seen(&[1], &[], &[1, 2]), None, "2 has ended, or is gone: all are asked for at once");
        assert_eq!(seen(&[1], &[2, 3], &[1, 2]), None, "3 is new");
        assert_eq!(seen(&[1], &[3], &[1, 2]), None);
    }
}
