//! Whether both hosts see one and the same image: proven, not guessed. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::marks::Found;
use super::questions::directory_of;
use crate::model::definition::Source;
use crate::model::facts::{DomainFacts, PathFacts, PathKind, Sharing, ShellFacts, is_networked};

/// The directories of the domain's images that are files.
pub(super) fn directories(domain: &DomainFacts) -> Vec<String> {
    let files = images(domain).into_iter().filter(|(is_block, _)| !is_block);
    let directories: BTreeSet<String> =
        files.filter_map(|(_, path)| directory_of(&path).map(str::to_owned)).collect();
    directories.into_iter().collect()
}

/// Paths of the domain's images (and of what else of it is a file), those below them too, with whether each is a block device.
fn images(domain: &DomainFacts) -> Vec<(bool, String)> {
    let all = domain.definition.disks.iter().flat_map(|disk| {
        std::iter::once(&disk.source).chain(disk.backing.iter().map(|backing| &backing.source))
    });
    let mut found: Vec<(bool, String)> = Vec::new();
    for source in all {
        let image = match source {
            Source::File(path) => (false, path.clone()),
            Source::Block(path) => (true, path.clone()),
            _ => continue,
        };
        if !found.contains(&image) {
            found.push(image);
        }
    }
    // Of a stopped domain the variables of its firmware lie in their file alone.
    found.extend(
        domain.definition.firmware.nvram.clone().filter(|_| !domain.is_active()).map(|path| (false, path)),
    );
    found.extend(domain.kept_files().map(|path| (false, path.to_owned())));
    let volumes = domain.volume_paths.iter().map(|(_, path)| (path.starts_with("/dev/"), path.clone()));
    found.extend(volumes);
    found
}

/// What both hosts see of each image. `marked`: whether a mark could be written into each directory on the source; `found`: whether
/// the destination sees it.
pub(super) fn judge(
    domain: &DomainFacts,
    source: Option<&ShellFacts>,
    destination: Option<&ShellFacts>,
    marked: Option<&BTreeMap<String, Result<(), String>>>,
    found: Option<&Found>,
) -> Vec<(String, Sharing)> {
    let judged = images(domain).into_iter().map(|(is_block, path)| {
        let (here, there) =
            (source.and_then(|shell| shell.path(&path)), destination.and_then(|shell| shell.path(&path)));
        let directory = directory_of(&path).unwrap_or("/");
        let written = marked.and_then(|marked| marked.get(directory));
        let seen = found.and_then(|found| found.seen.get(directory)).copied();
        let sharing = match (here, there) {
            (Some(here), Some(there)) if is_block => block(here, there),
            (Some(here), Some(there)) => file(here, there, written, seen),
            _ if is_block => {
                Sharing::Unknown("a host offers no shell to read the device's identity by".to_owned())
            }
            (_, there) => {
                let volume = found.is_some_and(|found| found.volumes.contains(&path));
                volume_of_pool(written, seen, volume || there.is_some_and(PathFacts::exists))
            }
        };
        (path, sharing)
    });
    judged.collect()
}

fn block(here: &PathFacts, there: &PathFacts) -> Sharing {
    if !there.exists() {
        return Sharing::Missing;
    }
    if there.kind != PathKind::Block {
        return Sharing::Different("what is there is no block device".to_owned());
    }
    match (&here.serial, &there.serial) {
        (Some(one), Some(other)) if one == other => Sharing::Shared(format!("both have the identity {one}")),
        (Some(one), Some(other)) => Sharing::Different(format!("identity {one} here, {other} there")),
        _ => Sharing::Unknown(
            "the device tells no identity (WWN, serial number, device-mapper UUID)".to_owned(),
        ),
    }
}

/// Two hosts see one directory, and not the same in it: nothing is made there, it might be the source's own.
const NOT_SEEN: &str = "the directory is shared, but the file was not seen in it there";

fn file(
    here: &PathFacts,
    there: &PathFacts,
    written: Option<&Result<(), String>>,
    seen: Option<bool>,
) -> Sharing {
    match (written, seen) {
        (Some(Ok(())), Some(true)) if !there.exists() => Sharing::Different(NOT_SEEN.to_owned()),
        // The directory is the same. A link in it may still lead to two places.
        (Some(Ok(())), Some(true)) if same_file(here, there) => {
            Sharing::Shared("a mark written next to it was seen".to_owned())
        }
        (Some(Ok(())), Some(true)) if may_be_numbered_apart(here, there) => Sharing::Unknown(
            "the directory is shared, but the file has another number there: its file system may number files for each host".to_owned(),
        ),
        (Some(Ok(())), Some(true)) => Sharing::Different(format!(
            "the directory is shared, but the file is not the same: {} bytes here, {} there",
            here.size_bytes, there.size_bytes
        )),
        (Some(Ok(())), Some(false)) if !there.exists() => Sharing::Missing,
        (Some(Ok(())), Some(false)) => Sharing::Different(format!(
            "a mark written next to it was not seen; the file there has {} bytes, this one {}",
            there.size_bytes, here.size_bytes
        )),
        (written, _) => unmarked(here, there, written),
    }
}

/// Where a host offers no shell, and its storage pools were asked: they tell names, and no more of a file.
fn volume_of_pool(written: Option<&Result<(), String>>, seen: Option<bool>, there: bool) -> Sharing {
    match (written, seen) {
        (Some(Ok(())), Some(true)) if there => {
            Sharing::Shared("a mark made next to it by a storage pool was seen".to_owned())
        }
        (Some(Ok(())), Some(false)) if there => {
            Sharing::Different("a mark made next to it by a storage pool was not seen".to_owned())
        }
        (Some(Ok(())), Some(true)) => Sharing::Different(NOT_SEEN.to_owned()),
        (Some(Ok(())), Some(false)) => Sharing::Missing,
        (Some(Ok(())), None) => Sharing::Unknown(
            "the other host offers no shell, and has no active storage pool there".to_owned(),
        ),
        (Some(Err(why)), _) => Sharing::Unknown(format!("no mark could be made next to it ({why})")),
        (None, _) => Sharing::Unknown(
            "the hosts offer no shell, and did not answer for their storage pools".to_owned(),
        ),
    }
}

/// Where no mark could be written, two mounts of one place are as good.
fn unmarked(here: &PathFacts, there: &PathFacts, written: Option<&Result<(), String>>) -> Sharing {
    if !there.exists() {
        return Sharing::Missing;
    }
    let networked = is_networked(&here.filesystem) && here.filesystem == there.filesystem;
    if networked && here.mounted_from == there.mounted_from && same_file(here, there) {
        return Sharing::Shared(format!(
            "both have {} mounted, and the file is the same in it",
            here.mounted_from
        ));
    }
    let why = match written {
        Some(Err(why)) => format!("no mark could be written next to it ({why})"),
        _ => "no mark was written next to it".to_owned(),
    };
    Sharing::Unknown(why)
}

fn same_file(here: &PathFacts, there: &PathFacts) -> bool {
    // Some user-space file systems number their files differently on each machine.
    here.inode == there.inode || (here.filesystem.starts_with("fuse") && here.size_bytes == there.size_bytes)
}

/// Whether two files of one directory may be one all the same: CIFS can give its files numbers of its own on each host (without
/// `serverino`).
fn may_be_numbered_apart(here: &PathFacts, there: &PathFacts) -> bool {
    matches!(&*here.filesystem, "cifs" | "smb3")
        && here.filesystem == there.filesystem
        && here.size_bytes == there.size_bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DomainUuid;
    use crate::model::definition::{Definition, Disk};
    use crate::model::domain::{DomainSight, Reason};

    const PATH: &str = "/images/a.qcow2";

    fn file_facts(inode: u64) -> PathFacts {
        PathFacts {
            kind: PathKind::File,
            size_bytes: 100,
            inode,
            filesystem: "ext4".to_owned(),
            ..PathFacts::default()
        }
    }

    fn domain(definition: Definition) -> DomainFacts {
        let sight = DomainSight {
            state: api::vm::VmState::Running,
            reason: Reason::Other,
            persistent: true,
            autostart: false,
            job: false,
            run: None,
        };
        DomainFacts::new(DomainUuid(uuid::Uuid::nil()), definition, sight)
    }

    fn judged(
        here: PathFacts,
        there: PathFacts,
        marked: Option<Result<(), String>>,
        seen: Option<bool>,
    ) -> Sharing {
        let source = Source::File(PATH.to_owned());
        let definition =
            Definition { disks: vec![Disk { source, ..Disk::default() }], ..Definition::default() };
        let domain = domain(definition);
        let shell = |facts| ShellFacts { paths: [(PATH.to_owned(), facts)].into(), ..ShellFacts::default() };
        let place = "/images".to_owned();
        let marked = marked.map(|result| BTreeMap::from([(place.clone(), result)]));
        let found =
            seen.map(|seen| Found { seen: BTreeMap::from([(place, seen)]), volumes: BTreeSet::new() });
        judge(&domain, Some(&shell(here)), Some(&shell(there)), marked.as_ref(), found.as_ref()).remove(0).1
    }

    #[test]
    fn a_mark_that_is_seen_proves_it() {
        assert!(matches!(judged(file_facts(7), file_facts(7), Some(Ok(())), Some(true)), Sharing::Shared(_)));
        assert!(matches!(
            judged(file_facts(7), file_facts(8), Some(Ok(())), Some(true)),
            Sharing::Different(_)
        ));
        let on_cifs = |inode| PathFacts { filesystem: "cifs".to_owned(), ..file_facts(inode) };
        assert!(matches!(judged(on_cifs(7), on_cifs(8), Some(Ok(())), Some(true)), Sharing::Unknown(_)));
        let on_nfs = |inode| PathFacts { filesystem: "nfs4".to_owned(), ..file_facts(inode) };
        let linked = judged(on_nfs(7), on_nfs(8), Some(Ok(())), Some(true));
        assert!(matches!(linked, Sharing::Different(_)), "a link may lead to two files");
        let missing = PathFacts::default();
        assert!(matches!(
            judged(file_facts(7), missing.clone(), Some(Ok(())), Some(true)),
            Sharing::Different(_)
        ));
        assert_eq!(judged(file_facts(7), missing, Some(Ok(())), Some(false)), Sharing::Missing);
        // The same number by chance.
        assert!(matches!(
            judged(file_facts(7), file_facts(7), Some(Ok(())), Some(false)),
            Sharing::Different(_)
        ));
    }

    #[test]
    fn without_shells_the_storage_pools_tell() {
        let done = Ok(());
        let refused = Err("no storage pool lies over /images".to_owned());
        assert!(matches!(volume_of_pool(Some(&done), Some(true), true), Sharing::Shared(_)));
        assert!(matches!(volume_of_pool(Some(&done), Some(false), true), Sharing::Different(_)));
        assert_eq!(volume_of_pool(Some(&done), Some(false), false), Sharing::Missing);
        assert!(matches!(volume_of_pool(Some(&done), Some(true), false), Sharing::Different(_)));
        assert!(matches!(volume_of_pool(Some(&done), None, false), Sharing::Unknown(_)));
        assert!(matches!(volume_of_pool(Some(&refused), Some(true), true), Sharing::Unknown(_)));
        assert!(matches!(volume_of_pool(None, None, false), Sharing::Unknown(_)));
    }

    #[test]
    fn without_a_mark_only_a_networked_file_system_tells() {
        let refused = || Some(Err("Read-only file system".to_owned()));
        assert!(matches!(judged(file_facts(7), file_facts(7), refused(), Some(false)), Sharing::Unknown(_)));
        let nfs = |inode, from: &str| PathFacts {
            filesystem: "nfs4".to_owned(),
            mounted_from: from.to_owned(),
            ..file_facts(inode)
        };
        let one = || nfs(7, "store:/a");
        assert!(matches!(judged(one(), one(), refused(), None), Sharing::Shared(_)));
        assert!(matches!(judged(one(), nfs(7, "store:/b"), refused(), None), Sharing::Unknown(_)));
    }

    #[test]
    fn block_devices_are_told_by_their_identity() {
        let device = |serial: Option<&str>| PathFacts {
            kind: PathKind::Block,
            serial: serial.map(str::to_owned),
            ..PathFacts::default()
        };
        assert!(matches!(block(&device(Some("naa.5")), &device(Some("naa.5"))), Sharing::Shared(_)));
        assert!(matches!(block(&device(Some("naa.5")), &device(Some("naa.6"))), Sharing::Different(_)));
        assert!(matches!(block(&device(None), &device(Some("naa.6"))), Sharing::Unknown(_)));
        assert_eq!(block(&device(Some("naa.5")), &PathFacts::default()), Sharing::Missing);
    }
}
