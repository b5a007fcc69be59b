//! Marks next to images, made and looked for through libvirt's storage pools: for hosts that offer no shell. A directory over which
//! there is no active pool is left alone: to make one for the while would be a change.

use std::collections::{BTreeMap, BTreeSet};

use virt::connect::Connect;
use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;

use crate::libvirt::files::active_pool_over;
use crate::model::mark;

/// A mark that is older than this belongs to a check that nobody waits for any more.
const FORGOTTEN_MS: u64 = 600_000;

/// What was found in a directory of the other host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// The mark is there.
    pub seen: bool,
    /// Paths of the volumes that are there.
    pub volumes: BTreeSet<String>,
}

fn pool_over(connect: &Connect, directory: &str) -> Result<StoragePool, String> {
    match active_pool_over(connect, directory) {
        Ok(Some(pool)) => Ok(pool),
        Ok(None) => Err(format!("no active storage pool lies over {directory}")),
        Err(error) => Err(error.message),
    }
}

/// Makes the mark in each of these directories: for each whether that could be done.
#[must_use]
pub fn place_marks(
    connect: &Connect,
    mark: &str,
    directories: &[String],
) -> BTreeMap<String, Result<(), String>> {
    let xml = format!(
        "<volume><name>{mark}</name><capacity>0</capacity><target><format type='raw'/></target></volume>"
    );
    let place = |directory: &String| {
        let pool = pool_over(connect, directory)?;
        forget_old_marks(&pool);
        StorageVol::create_xml(&pool, &xml, 0).map(drop).map_err(|error| error.message().to_owned())
    };
    directories.iter().map(|directory| (directory.clone(), place(directory))).collect()
}

/// Those of checks that were broken off by the end of their ferryd.
fn forget_old_marks(pool: &StoragePool) {
    for name in pool.list_volumes().unwrap_or_default() {
        if mark::age_ms(&name).is_some_and(|age_ms| age_ms > FORGOTTEN_MS)
            && let Ok(volume) = pool.lookup_storage_vol_by_name(&name)
        {
            // It is tried again by the next check.
            let _ = volume.delete(0);
        }
    }
}

/// Looks for the mark in each of these directories; those over which there is no pool are left out.
#[must_use]
pub fn seek_marks(connect: &Connect, mark: &str, directories: &[String]) -> BTreeMap<String, Sought> {
    let mut found = BTreeMap::new();
    for directory in directories {
        let Ok(pool) = pool_over(connect, directory) else { continue };
        // Only then it knows what another host has made there.
        if pool.refresh(0).is_err() {
            continue;
        }
        let Ok(names) = pool.list_volumes() else { continue };
        let sought = Sought {
            seen: names.iter().any(|name| name == mark),
            volumes: names.iter().map(|name| format!("{directory}/{name}")).collect(),
        };
        found.insert(directory.clone(), sought);
    }
    found
}

/// Removes the mark from these directories.
pub fn remove_marks(connect: &Connect, mark: &str, directories: &[String]) {
    for directory in directories {
        let volume = pool_over(connect, directory).and_then(|pool| {
            pool.lookup_storage_vol_by_name(mark).map_err(|error| error.message().to_owned())
        });
        if let Ok(volume) = volume
            && let Err(error) = volume.delete(0)
        {
            tracing::warn!(directory, mark, %error, "a mark was not removed; a check in ten minutes or later does");
        }
    }
}
