//! Where disks go that are asked into a storage pool of the destination, and which arrive as one image: pure.

use api::task::StorageMapping;

use crate::model::definition::{Disk, Drive, Source};
use crate::model::facts::{DomainFacts, Facts, PoolFacts};

/// A mapping's word for every disk that is not named itself.
pub const EVERY: &str = "*";

/// The kinds of storage pools that are a directory in the end.
const DIRECTORIES: [&str; 3] = ["dir", "fs", "netfs"];

/// A place in a storage pool of the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The pool.
    pub pool: String,
    /// The file in it.
    pub path: String,
    /// What is left of the pool.
    pub available_bytes: u64,
}

/// Why a disk has no place in the pool that it is asked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// It is none that is moved into another pool: why not.
    Disk(&'static str),
    /// The destination does not have the pool.
    Missing(String),
    /// The pool is not active.
    Inactive(String),
    /// The pool is no directory: its name and kind.
    Kind(String, String),
    /// There is something of that name in the pool, or another disk goes there: the path.
    Taken(String),
}

/// The mapping that is meant for a disk.
fn mapping<'a>(facts: &'a Facts, disk: &Disk) -> Option<&'a StorageMapping> {
    let of = |name: &str| facts.wanted.storage.iter().find(|mapping| mapping.disk == name);
    let others = fixed(disk).is_none() && !facts.vouched(disk);
    of(&disk.target).or_else(|| of(EVERY).filter(|_| others))
}

/// Why a disk is none that is moved into another pool.
fn fixed(disk: &Disk) -> Option<&'static str> {
    if disk.drive != Drive::Disk {
        return Some("only disks are made in another storage pool");
    }
    if disk.shareable {
        return Some("others write to it as well");
    }
    let is_image = matches!(disk.source, Source::File(_) | Source::Block(_) | Source::Volume { .. });
    (!is_image).then_some("it is no file and no block device")
}

/// The path that libvirt uses for a disk on the source: its own, or that of its volume.
#[must_use]
pub fn path_of<'a>(domain: &'a DomainFacts, disk: &'a Disk) -> Option<&'a str> {
    disk.source.path().or_else(|| domain.volume_path(&disk.target))
}

/// Whether a path is that of a device.
fn is_device(path: &str) -> bool {
    path.starts_with("/dev/")
}

/// The file that a disk becomes in a pool.
fn file_name(domain: &DomainFacts, disk: &Disk, mapping: &StorageMapping) -> Option<String> {
    if let Some(volume) = &mapping.volume {
        return Some(volume.clone());
    }
    let path = path_of(domain, disk)?;
    // The name of a device says nothing of whose it is.
    if matches!(disk.source, Source::Block(_)) || is_device(path) {
        let format = disk.format.as_deref().unwrap_or("raw");
        return Some(format!("{}-{}.{format}", domain.name.replace('/', "-"), disk.target));
    }
    path.rsplit_once('/').map(|(_, name)| name.to_owned()).filter(|name| !name.is_empty())
}

/// The place of a disk in the pool that it is asked into; none where it is not asked into any.
#[must_use]
pub fn place(facts: &Facts, domain: &DomainFacts, disk: &Disk) -> Option<Result<Place, NoPlace>> {
    let found = wanted_place(facts, domain, disk)?;
    let Ok(place) = &found else { return Some(found) };
    let others = domain.definition.disks.iter().take_while(|other| other.target != disk.target);
    let doubled = others
        .filter_map(|other| wanted_place(facts, domain, other)?.ok())
        .any(|other| other.path == place.path);
    Some(if doubled { Err(NoPlace::Taken(place.path.clone())) } else { found })
}

/// The same, whatever other disks want.
fn wanted_place(facts: &Facts, domain: &DomainFacts, disk: &Disk) -> Option<Result<Place, NoPlace>> {
    let mapping = mapping(facts, disk)?;
    if let Some(why) = fixed(disk) {
        return Some(Err(NoPlace::Disk(why)));
    }
    let pools = facts.reception.as_ref().map(|reception| reception.pools.as_slice()).unwrap_or_default();
    let Some(name) = file_name(domain, disk, mapping) else {
        return Some(Err(NoPlace::Disk("the volume that it is cannot be found")));
    };
    Some(match pools.iter().find(|pool| pool.name == mapping.pool) {
        None => Err(NoPlace::Missing(mapping.pool.clone())),
        Some(pool) => place_in(pool, &name),
    })
}

fn place_in(pool: &PoolFacts, name: &str) -> Result<Place, NoPlace> {
    if !pool.active {
        return Err(NoPlace::Inactive(pool.name.clone()));
    }
    let directory = pool.target.as_deref().filter(|_| DIRECTORIES.contains(&pool.kind.as_str()));
    let Some(directory) = directory else {
        return Err(NoPlace::Kind(pool.name.clone(), pool.kind.clone()));
    };
    let path = format!("{}/{name}", directory.trim_end_matches('/'));
    if pool.volumes.as_ref().is_some_and(|volumes| volumes.iter().any(|there| there == name)) {
        return Err(NoPlace::Taken(path));
    }
    Ok(Place { pool: pool.name.clone(), path, available_bytes: pool.available_bytes })
}

/// The disks that the request names, and that the domain does not have.
#[must_use]
pub fn unknown_disks<'a>(facts: &'a Facts, domain: &DomainFacts) -> Vec<&'a str> {
    let asked_into = facts.wanted.storage.iter().map(|mapping| mapping.disk.as_str());
    let named = asked_into.chain(facts.wanted.shared.iter().map(String::as_str));
    let has = |name: &str| domain.definition.disks.iter().any(|disk| disk.target == name);
    named.filter(|name| *name != EVERY && !has(name)).collect()
}

/// Whether a disk, if it is copied, arrives as one image with nothing below it.
#[must_use]
pub fn flattens(facts: &Facts, domain: &DomainFacts, disk: &Disk) -> bool {
    wants_flat(facts, disk) && not_flattened(facts, domain, disk).is_none()
}

/// Whether a disk has a chain that is asked to be one image.
#[must_use]
pub fn wants_flat(facts: &Facts, disk: &Disk) -> bool {
    facts.wanted.flatten && !disk.backing.is_empty()
}

/// Whether it is QEMU that copies a disk, if it is copied: of a guest that runs, and that writes to it.
#[must_use]
pub fn is_copied_by_qemu(domain: &DomainFacts, disk: &Disk) -> bool {
    domain.is_active() && !disk.readonly
}

/// Why what lies below a disk cannot become one image with it.
#[must_use]
pub fn not_flattened(facts: &Facts, domain: &DomainFacts, disk: &Disk) -> Option<&'static str> {
    if disk.format.as_deref() != Some("qcow2") {
        return Some("only qcow2 images are made one with what lies below them");
    }
    if disk.encryption.is_some() {
        return Some("it is encrypted");
    }
    if is_copied_by_qemu(domain, disk) {
        return None;
    }
    if !domain.snapshots.is_empty() {
        return Some("its snapshots, which are in the image, would be lost");
    }
    if domain.image(&disk.target).is_none() {
        return Some("how large it is could not be read");
    }
    facts.destination.shell().is_none().then_some("the destination offers no shell to do that by")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(kind: &str) -> PoolFacts {
        PoolFacts {
            name: "fast".to_owned(),
            kind: kind.to_owned(),
            active: true,
            target: Some("/fast/".to_owned()),
            volumes: Some(vec!["old.img".to_owned()]),
            ..PoolFacts::default()
        }
    }

    #[test]
    fn a_file_has_its_place_in_a_directory_alone() {
        for kind in ["dir", "fs", "netfs"] {
            let place = place_in(&pool(kind), "web1.img").expect("a place");
            assert_eq!((place.path.as_str(), place.pool.as_str()), ("/fast/web1.img", "fast"));
        }
        let of_kind = |kind| place_in(&pool(kind), "web1.img");
        assert_eq!(of_kind("logical"), Err(NoPlace::Kind("fast".to_owned(), "logical".to_owned())));
        assert_eq!(place_in(&pool("dir"), "old.img"), Err(NoPlace::Taken("/fast/old.img".to_owned())));
        let stopped = PoolFacts { active: false, ..pool("dir") };
        assert_eq!(place_in(&stopped, "x"), Err(NoPlace::Inactive("fast".to_owned())));
    }
}
