//! What else on a host uses a file: other domains, and images that lie over it.

use std::collections::BTreeSet;

use virt::connect::Connect;
use virt::storage_pool::StoragePool;
use virt_sys as sys;

use super::error::{LibvirtError, XML_ERROR};
use super::files::pool_over;
use super::xml;
use crate::model::definition::{Definition, Drive, Source};
use crate::model::{DomainUuid, TaskId};

type Told<T> = Result<T, LibvirtError>;

/// Files by who uses them.
type Users = Vec<(String, String)>;

/// Which of these files others than this domain use.
///
/// # Errors
/// What libvirt says: then nobody knows.
pub(super) fn users_of(connect: &Connect, task: TaskId, but: DomainUuid, paths: &[String]) -> Told<Users> {
    let mut users = Users::new();
    let mut directories: BTreeSet<String> = paths.iter().filter_map(|path| directory_of(path)).collect();
    for domain in connect.list_all_domains(0)? {
        if domain.uuid()? == but.0 {
            continue;
        }
        let name = domain.name()?;
        for flags in [0, sys::VIR_DOMAIN_XML_INACTIVE] {
            // One that goes meanwhile uses nothing.
            let Ok(text) = domain.xml_desc(flags) else { continue };
            let definition =
                xml::definition(&text).map_err(|error| LibvirtError::of(XML_ERROR, error.to_string()))?;
            for (drive, path) in drives(connect, &definition) {
                // (A CD-ROM's may be somebody's home.)
                directories.extend(directory_of(&path).filter(|_| drive == Drive::Disk));
                if paths.contains(&path) {
                    users.push((path, format!("the virtual machine {name}")));
                }
            }
        }
    }
    // What lies over a file may be known to no domain.
    let mut looked_at = BTreeSet::new();
    for directory in directories {
        let pool = match pool_over(connect, task, &directory, false) {
            Ok(pool) => pool,
            Err(error) if error.is_no_file() => continue,
            Err(error) => return Err(error),
        };
        pool.refresh(0)?;
        looked_at.insert(pool.name()?);
        images_over(&pool, paths, &mut users)?;
    }
    for pool in connect.list_all_storage_pools(sys::VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE)? {
        if looked_at.insert(pool.name()?) {
            images_over(&pool, paths, &mut users)?;
        }
    }
    Ok(users)
}

fn directory_of(path: &str) -> Option<String> {
    let (directory, _) = path.rsplit_once('/')?;
    Some(directory.to_owned()).filter(|directory| !directory.is_empty())
}

/// Paths of a domain's drives and of what lies below them.
fn drives(connect: &Connect, definition: &Definition) -> Vec<(Drive, String)> {
    let sources = definition.disks.iter().flat_map(|disk| {
        let below = disk.backing.iter().map(|backing| &backing.source);
        std::iter::once(&disk.source).chain(below).map(|source| (disk.drive, source))
    });
    let path = |source: &Source| match source {
        Source::File(path) => Some(path.clone()),
        Source::Volume { pool, volume } => {
            let pool = connect.lookup_storage_pool_by_name(pool).ok()?;
            pool.lookup_storage_vol_by_name(volume).ok()?.path().ok()
        }
        _ => None,
    };
    sources.filter_map(|(drive, source)| Some((drive, path(source)?))).collect()
}

fn images_over(pool: &StoragePool, paths: &[String], users: &mut Users) -> Told<()> {
    for volume in pool.list_all_volumes(0)? {
        let path = volume.path()?;
        // One that goes meanwhile lies over nothing.
        let (false, Ok(text)) = (paths.contains(&path), volume.xml_desc(0)) else { continue };
        let below = xml::backing(&text).map_err(|error| LibvirtError::of(XML_ERROR, error.to_string()))?;
        if let Some((below, _)) = below.filter(|(below, _)| paths.contains(below)) {
            users.push((below, format!("the image {path}")));
        }
    }
    Ok(())
}
