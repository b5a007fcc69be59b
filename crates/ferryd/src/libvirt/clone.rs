//! A stopped domain's clone: looked at, its volumes copied on the host itself, its definition written.

use std::collections::BTreeMap;

use virt::connect::Connect;
use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt_sys as sys;

use super::error::{LibvirtError, NO_DOMAIN, NO_VOLUME, OPERATION_INVALID, VOLUME_EXISTS, XML_ERROR};
use super::files;
use super::host::{lookup, sight};
use super::xml::{self, Replaced, XmlError};
use crate::hypervisor::{FileSight, NewFile};
use crate::model::action::{Objection, in_a_job, is_active};
use crate::model::clone::{ClonePlan, Part, Place, parts};
use crate::model::definition::Definition;
use crate::model::{DomainUuid, TaskId};

type Told<T> = Result<T, LibvirtError>;

fn unreadable(error: XmlError) -> LibvirtError {
    LibvirtError::of(XML_ERROR, error.to_string())
}

/// The definition of a domain that is to be cloned, or what speaks against that. The second value: it has saved memory, which its disks
/// do not go without.
///
/// # Errors
/// What libvirt says.
pub fn look(connect: &Connect, domain: DomainUuid) -> Told<Result<(Definition, bool), Objection>> {
    let domain = lookup(connect, domain)?;
    let seen = sight(&domain)?;
    if is_active(seen.state) {
        return Ok(Err(Objection::State(seen.state)));
    }
    if in_a_job(&seen) {
        return Ok(Err(Objection::Job));
    }
    let definition = xml::definition(&domain.xml_desc(sys::VIR_DOMAIN_XML_INACTIVE)?).map_err(unreadable)?;
    Ok(Ok((definition, domain.has_managed_save(0)?)))
}

/// What was done about a part of the original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It is copied: the path of the copy.
    Whole(String),
    /// There is none: firmware that was never run has no variables yet.
    Nothing,
    /// The pool has too little room.
    NoRoom {
        /// The pool.
        pool: String,
        /// What it needs.
        needed_bytes: u64,
        /// What there is.
        available_bytes: u64,
    },
    /// The pool takes it for something else than the domain does: libvirt would interpret what the guest wrote, and read whatever
    /// that names. It is to be copied byte by byte, into this file.
    ByBytes {
        /// What is copied.
        from: String,
        /// What is made for it.
        into: NewFile,
    },
}

/// Copies a part of the original by libvirt's own means: sharing its blocks where the file system can, or else whole, with all that
/// lies below an image. What is there under the new name already is not touched.
///
/// # Errors
/// What libvirt says; [`VOLUME_EXISTS`] where something has the name.
pub fn copy_part(connect: &Connect, task: TaskId, part: &Part) -> Told<Copied> {
    let (pool, volume) = match volume(connect, task, &part.original) {
        Ok(found) => found,
        Err(error) if part.target.is_none() && error.code == NO_VOLUME => return Ok(Copied::Nothing),
        Err(error) => return Err(error),
    };
    if pool.lookup_storage_vol_by_name(&part.name).is_ok() {
        return Err(LibvirtError::of(VOLUME_EXISTS, format!("{} is there already", part.name)));
    }
    let shape = xml::shape(&volume.xml_desc(0)?).map_err(unreadable)?;
    let mut new = NewFile {
        path: beside(&volume.path()?, &part.name),
        format: part.format.clone(),
        capacity_bytes: shape.capacity_bytes,
        ..NewFile::default()
    };
    if shape.format != part.format {
        let seen = xml::file(&volume.xml_desc(0)?).map_err(unreadable)?;
        new.format = "raw".to_owned();
        new.capacity_bytes = seen.length_bytes;
        return Ok(Copied::ByBytes { from: volume.path()?, into: new });
    }
    let xml = xml::new_file(&part.name, &new);
    if part.format == "raw"
        && let Ok(copy) =
            StorageVol::create_xml_from(&pool, &xml, &volume, sys::VIR_STORAGE_VOL_CREATE_REFLINK)
    {
        return Ok(Copied::Whole(copy.path()?));
    }
    let room = xml::pool(&pool.xml_desc(0)?).map_err(unreadable)?;
    if room.available_bytes < shape.allocated_bytes {
        return Ok(Copied::NoRoom {
            pool: room.name,
            needed_bytes: shape.allocated_bytes,
            available_bytes: room.available_bytes,
        });
    }
    Ok(Copied::Whole(StorageVol::create_xml_from(&pool, &xml, &volume, 0)?.path()?))
}

/// What is seen of a part of the original; none where there is none.
///
/// # Errors
/// What libvirt says.
pub fn part_sight(connect: &Connect, task: TaskId, original: &Place) -> Told<Option<FileSight>> {
    let volume = match volume(connect, task, original) {
        Ok((_, volume)) => volume,
        Err(error) if error.code == NO_VOLUME => return Ok(None),
        Err(error) => return Err(error),
    };
    xml::file(&volume.xml_desc(0)?).map(Some).map_err(unreadable)
}

/// Removes what was made for a part. Nothing there is success.
///
/// # Errors
/// What libvirt says, also that the volume is still being written.
pub fn remove_part(connect: &Connect, task: TaskId, part: &Part) -> Told<()> {
    let pool = match volume(connect, task, &part.original) {
        Ok((pool, _)) => pool,
        // Only a directory has no pool of its own; without the original there is still that.
        Err(error) if error.code == NO_VOLUME => return remove_beside(connect, task, part),
        Err(error) => return Err(error),
    };
    let look = || pool.lookup_storage_vol_by_name(&part.name).map_err(LibvirtError::from);
    let found = look().or_else(|_| {
        pool.refresh(0)?;
        look()
    });
    match found {
        Ok(copy) => Ok(copy.delete(0)?),
        Err(error) if error.code == NO_VOLUME => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove_beside(connect: &Connect, task: TaskId, part: &Part) -> Told<()> {
    match &part.original {
        Place::Path(path) => files::remove(connect, task, &beside(path, &part.name)),
        Place::Volume { .. } => Ok(()),
    }
}

/// Where a volume is; none where there is none, or in no pool.
///
/// # Errors
/// What libvirt says.
pub fn path_of(connect: &Connect, task: TaskId, place: &Place) -> Told<Option<String>> {
    match volume(connect, task, place) {
        Ok((_, volume)) => Ok(Some(volume.path()?)),
        Err(error) if error.code == NO_VOLUME => Ok(None),
        Err(error) => Err(error),
    }
}

fn beside(path: &str, name: &str) -> String {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    format!("{directory}/{name}")
}

fn volume(connect: &Connect, task: TaskId, place: &Place) -> Told<(StoragePool, StorageVol)> {
    match place {
        Place::Volume { pool, volume } => {
            let pool = connect.lookup_storage_pool_by_name(pool)?;
            let volume = pool.lookup_storage_vol_by_name(volume)?;
            Ok((pool, volume))
        }
        Place::Path(path) => {
            if let Ok(volume) = connect.lookup_storage_vol_by_path(path) {
                return Ok((volume.lookup_storage_pool()?, volume));
            }
            let missing =
                || LibvirtError::of(NO_VOLUME, format!("{path} is not there, or in no storage pool"));
            // What stands for a device in a directory is no volume of it: a copy would not be a device.
            if path.starts_with("/dev/") {
                return Err(missing());
            }
            files::volume(connect, task, path)?.ok_or_else(missing)
        }
    }
}

/// Whether the clone is defined.
///
/// # Errors
/// What libvirt says, but that there is none.
pub fn is_defined(connect: &Connect, clone: DomainUuid) -> Told<bool> {
    match lookup(connect, clone) {
        Ok(_) => Ok(true),
        Err(error) if error.code == NO_DOMAIN => Ok(false),
        Err(error) => Err(error),
    }
}

/// Defines the clone, whose parts lie at these paths now (by the names of disks; the firmware's variables by none).
///
/// # Errors
/// What libvirt says; [`OPERATION_INVALID`] where the original is not what was copied any more.
pub fn define(connect: &Connect, plan: &ClonePlan, made: &[(Part, String)]) -> Told<()> {
    let original = lookup(connect, plan.domain)?;
    if is_active(sight(&original)?.state) {
        return Err(LibvirtError::of(OPERATION_INVALID, "it was started meanwhile"));
    }
    // With everything in it, passwords too: it is neither stored nor logged.
    let text = original.xml_desc(sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE)?;
    let definition = xml::definition(&text).map_err(unreadable)?;
    if parts(&definition, plan.identity.uuid).as_ref() != Ok(&plan.parts) {
        return Err(LibvirtError::of(OPERATION_INVALID, "its disks were changed meanwhile"));
    }
    let clone = xml::cloned(&text, &plan.identity, &replaced(plan, made)).map_err(unreadable)?;
    Ok(connect.define_domain_xml(&clone).map(drop)?)
}

fn replaced(plan: &ClonePlan, made: &[(Part, String)]) -> Replaced {
    let disks = made.iter().filter_map(|(part, path)| {
        let new = match &part.original {
            Place::Path(_) => path.clone(),
            Place::Volume { .. } => part.name.clone(),
        };
        Some((part.target.clone()?, new))
    });
    let disks: BTreeMap<String, String> = disks.collect();
    // Also where there are none yet: libvirt makes them when the clone is started.
    let nvram = plan.parts.iter().find(|part| part.target.is_none()).and_then(|part| match &part.original {
        Place::Path(path) => Some(beside(path, &part.name)),
        Place::Volume { .. } => None,
    });
    Replaced { disks, nvram }
}
