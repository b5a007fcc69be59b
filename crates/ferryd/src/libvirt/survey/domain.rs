//! The facts of one domain on its source.

use std::collections::BTreeMap;

use virt::connect::Connect;
use virt::domain::Domain;
use virt_sys as sys;

use super::{Result, unreadable};
use crate::libvirt::ffi;
use crate::libvirt::host::sight;
use crate::libvirt::xml;
use crate::model::DomainUuid;
use crate::model::definition::{Backing, Definition, Link, Source};
use crate::model::facts::{BlockJob, DiskImage, DomainFacts, NetworkFacts, PoolFacts, SavedMemory};
use crate::ssh::scripts::Chain;

/// What libvirt asks the domain's QEMU itself for.
#[derive(Clone, Debug, Default)]
pub struct QemuFacts {
    /// Jobs on its disks.
    pub block_jobs: Vec<BlockJob>,
    /// Its images as libvirt measures them.
    pub images: Vec<DiskImage>,
    /// Reads and writes that failed, by the drive's name.
    pub disk_errors: Vec<(String, String)>,
}

/// What only QEMU can tell of the domain; it may take as long as QEMU does to answer.
///
/// # Errors
/// What libvirt says; `VIR_ERR_NO_DOMAIN` where it is not there.
pub fn qemu_facts(connect: &Connect, uuid: DomainUuid, definition: &Definition) -> Result<QemuFacts> {
    let domain = connect.lookup_domain_by_uuid(uuid.0)?;
    let active = domain.is_active()?;
    Ok(QemuFacts {
        block_jobs: if active { block_jobs(&domain, definition) } else { Vec::new() },
        images: images(&domain, definition),
        disk_errors: if active { ffi::disk_errors(&domain).unwrap_or_default() } else { Vec::new() },
    })
}

/// The facts of one domain on its source: those that libvirt knows without asking its QEMU. What that tells, [`qemu_facts`] adds.
///
/// # Errors
/// What libvirt says; `VIR_ERR_NO_DOMAIN` where it is not there.
pub fn domain_facts(connect: &Connect, uuid: DomainUuid) -> Result<DomainFacts> {
    let domain = connect.lookup_domain_by_uuid(uuid.0)?;
    let sight = sight(&domain)?;
    let described = domain.xml_desc(0)?;
    let definition = xml::definition(&described).map_err(unreadable)?;
    // Without VIR_DOMAIN_XML_SECURE: passwords in it must not reach the database.
    let persistent_xml =
        sight.persistent.then(|| domain.xml_desc(sys::VIR_DOMAIN_XML_INACTIVE)).transpose()?;
    let next_start = persistent_xml.as_deref().map(xml::definition).transpose().map_err(unreadable)?;
    let active = domain.is_active()?;
    let migratable_xml = active.then(|| domain.xml_desc(sys::VIR_DOMAIN_XML_MIGRATABLE)).transpose()?;
    let name = domain.name()?;
    Ok(DomainFacts {
        uuid,
        sight,
        xml: described,
        arriving: None,
        next_start,
        persistent_xml,
        migratable_xml,
        // A driver that has none of these says so by an error: then there are none.
        snapshots: snapshots(&domain, 0).unwrap_or_default(),
        external_snapshots: snapshots(&domain, sys::VIR_DOMAIN_SNAPSHOT_LIST_EXTERNAL).unwrap_or_default(),
        checkpoints: ffi::checkpoint_names(&domain).unwrap_or_default(),
        saved: if active { None } else { saved(&domain, &name) },
        tpm_state: None,
        chains_unread: Vec::new(),
        block_jobs: Vec::new(),
        images: Vec::new(),
        volume_paths: volume_paths(connect, &definition),
        idle_pools: idle_pools(connect),
        networks: networks(connect, &definition),
        host_model: host_model(connect, &definition),
        not_responding: if active { ffi::control_trouble(&domain).unwrap_or_default() } else { None },
        disk_errors: Vec::new(),
        definition,
        name,
    })
}

/// Its saved memory. libvirt says that there is some of what it has saved itself since it was started; what it was saved with, it says
/// of every file that is there.
fn saved(domain: &Domain, name: &str) -> Option<SavedMemory> {
    let described = ffi::saved_xml(domain);
    if described.is_err() && !domain.has_managed_save(0).unwrap_or(false) {
        return None;
    }
    let (definition, unread) = match described.map(|text| xml::definition(&text)) {
        Ok(Ok(definition)) => (Some(definition), None),
        Ok(Err(error)) => (None, Some(error.to_string())),
        Err(error) => (None, Some(error.message)),
    };
    Some(SavedMemory { path: SavedMemory::usual_path(name), definition, compressed_by: None, unread })
}

fn snapshots(domain: &Domain, kinds: u32) -> Result<Vec<String>> {
    let all = domain.list_all_snapshots(kinds)?;
    all.iter().map(|snapshot| Ok(snapshot.name()?)).collect()
}

fn block_jobs(domain: &Domain, definition: &Definition) -> Vec<BlockJob> {
    let with_medium = definition.disks.iter().filter(|disk| disk.source != Source::Empty);
    let jobs = with_medium.filter_map(|disk| {
        let kind = ffi::block_job(domain, &disk.target).ok()??;
        Some(BlockJob { target: disk.target.clone(), kind })
    });
    jobs.collect()
}

/// What libvirt measures of the images. One that it cannot measure (gone, or on a server that does not answer) is left out; the
/// checks of storage say what is the matter.
fn images(domain: &Domain, definition: &Definition) -> Vec<DiskImage> {
    let with_medium = definition.disks.iter().filter(|disk| disk.source != Source::Empty);
    let measured = with_medium.filter_map(|disk| {
        let info = domain.block_info(&disk.target, 0).ok()?;
        Some(DiskImage {
            target: disk.target.clone(),
            capacity_bytes: info.capacity,
            allocation_bytes: info.allocation,
            physical_bytes: info.physical,
        })
    });
    measured.collect()
}

/// Paths of the drives that are volumes; one whose pool or volume is gone is left out.
fn volume_paths(connect: &Connect, definition: &Definition) -> Vec<(String, String)> {
    let paths = definition.disks.iter().filter_map(|disk| {
        let Source::Volume { pool, volume } = &disk.source else { return None };
        let found =
            connect.lookup_storage_pool_by_name(pool).ok()?.lookup_storage_vol_by_name(volume).ok()?;
        Some((disk.target.clone(), found.path().ok()?))
    });
    paths.collect()
}

/// Pools that are not active; one that cannot be read is left out.
fn idle_pools(connect: &Connect) -> Vec<PoolFacts> {
    let idle = connect.list_all_storage_pools(sys::VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE);
    let read = idle.unwrap_or_default().into_iter();
    read.filter_map(|pool| xml::pool(&pool.xml_desc(0).ok()?).ok()).collect()
}

/// No image lies over more others than this.
const DEEPEST: usize = 200;

/// What lies below these images, as the storage pools over them say.
#[must_use]
pub fn chains(connect: &Connect, images: &[String]) -> BTreeMap<String, Chain> {
    let chain = |path: &String| {
        let (mut below, mut at) = (Vec::new(), path.clone());
        loop {
            let read = connect.lookup_storage_vol_by_path(&at).and_then(|volume| volume.xml_desc(0));
            let xml = match read {
                Ok(xml) => xml,
                Err(error) => return Chain::Unread(error.message().to_owned()),
            };
            match xml::backing(&xml) {
                Ok(Some((path, format))) if below.len() < DEEPEST => {
                    // libvirt tells where it is, and not how it is named.
                    below.push(Backing { by_place: true, ..Backing::file(&path, format.as_deref()) });
                    at = path;
                }
                Ok(_) => return Chain::Read(below),
                Err(error) => return Chain::Unread(error.to_string()),
            }
        }
    };
    images.iter().map(|path| (path.clone(), chain(path))).collect()
}

/// The networks that it is connected to; one that is gone is left out.
fn networks(connect: &Connect, definition: &Definition) -> Vec<NetworkFacts> {
    let mut found: Vec<NetworkFacts> = Vec::new();
    for interface in &definition.interfaces {
        let Link::Network { name, .. } = &interface.link else { continue };
        if found.iter().any(|network| network.name == *name) {
            continue;
        }
        let read = connect.lookup_network_by_name(name).and_then(|network| network.xml_desc(0));
        found.extend(read.ok().and_then(|xml| xml::network(&xml).ok()));
    }
    found
}

/// Asked only where it is of use: of a CPU that is the host's own.
fn host_model(connect: &Connect, definition: &Definition) -> Option<String> {
    let mode = definition.cpu.mode.as_deref()?;
    if !matches!(mode, "host-passthrough" | "maximum" | "host-model") {
        return None;
    }
    let (architecture, machine) = (definition.architecture.as_str(), definition.machine.as_str());
    let xml = connect
        .domain_capabilities(
            definition.emulator.as_deref(),
            Some(architecture),
            Some(machine),
            Some(&definition.domain_type),
            0,
        )
        .ok()?;
    xml::machine_support(&xml).ok()?.host_model
}
