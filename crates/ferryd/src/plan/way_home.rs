//! What both hosts have after a move that has not been made, so that the way home can be checked before it: pure.

use std::collections::BTreeSet;

use super::Files;
use super::files::files;
use super::places::flattens;
use crate::model::definition::{Drive, Source};
use crate::model::facts::{
    DomainFacts, Facts, HostKnowledge, LeftImage, PathFacts, PathKind, Sharing, ShellFacts,
};

/// A file that goes along.
struct Gone {
    /// Where it is on the destination then.
    path: String,
    /// Where it lies on the source.
    from: String,
    /// Whether it is an image.
    is_image: bool,
}

/// Has the disks of the domain be where the move puts them, and drives be empty that it empties (`eject`).
pub fn disks_as_moved(there: &Facts, eject: &BTreeSet<String>, domain: &mut DomainFacts) {
    let Some(before) = &there.domain else { return };
    let drives = domain.definition.disks.iter_mut();
    let removable = drives.filter(|disk| matches!(disk.drive, Drive::Cdrom | Drive::Floppy));
    for disk in removable.filter(|disk| eject.contains(&disk.target)) {
        disk.source = Source::Empty;
        domain.volume_paths.retain(|(of, _)| *of != disk.target);
    }
    for (target, path) in files(there).moved {
        let was = before.definition.disks.iter().find(|disk| disk.target == target);
        let flat = was.is_some_and(|disk| flattens(there, before, disk));
        if let Some(disk) = domain.definition.disks.iter_mut().find(|disk| disk.target == target) {
            disk.source = Source::File(path.to_string_lossy().into_owned());
            if flat {
                disk.backing.clear();
            }
        }
        domain.volume_paths.retain(|(of, _)| *of != target);
    }
}

/// Makes of what was found for the way home what will be found when the move `there` is over: what goes along is on the host that it
/// leaves then, and what stays behind is where it comes back to.
pub fn files_as_moved(there: &Facts, home: &mut Facts) {
    for gone in all_gone(&files(there)) {
        let seen = there.source.shell().and_then(|shell| shell.path(&gone.from)).cloned().unwrap_or_default();
        if let Some(shell) = shell_of(&mut home.source) {
            arrive(shell.paths.entry(gone.path.clone()).or_default(), &seen);
        }
        let removed = if gone.is_image { there.wanted.delete_source_disks } else { !there.wanted.copy };
        let same_path = gone.path == gone.from;
        let back =
            shell_of(&mut home.destination).map(|shell| shell.paths.entry(gone.path.clone()).or_default());
        let occupied = match back {
            Some(found) if same_path && removed => {
                found.kind = PathKind::Missing;
                false
            }
            Some(found) => found.exists(),
            None => same_path && !removed,
        };
        let sharing = match occupied {
            true => Sharing::Different("what the move there leaves".to_owned()),
            false => Sharing::Missing,
        };
        if let Some(meeting) = &mut home.meeting {
            meeting.sharing.retain(|(of, _)| *of != gone.path);
            meeting.sharing.push((gone.path.clone(), sharing));
        }
        if let Some(reception) = home.reception.as_mut().filter(|_| occupied && same_path && gone.is_image) {
            reception.left.push(LeftImage { path: gone.path, task: None });
        }
    }
}

fn all_gone(went: &Files) -> Vec<Gone> {
    let from_of =
        |chain: &str| went.carried.iter().find(|file| file.new.path == chain).map(|file| file.source_path());
    let carried =
        went.carried.iter().filter(|file| !went.temporary.contains(&file.new.path)).map(|file| Gone {
            path: file.new.path.clone(),
            from: file.source_path().to_owned(),
            is_image: file.role.is_image(),
        });
    let of_disk =
        |path: &str, from: &str| Gone { path: path.to_owned(), from: from.to_owned(), is_image: true };
    let copied = went.copied.iter().map(|disk| of_disk(&disk.new.path, disk.source_path()));
    let flattened = went
        .flattened
        .iter()
        .map(|disk| of_disk(&disk.new.path, from_of(&disk.from).unwrap_or(&disk.new.path)));
    carried.chain(copied).chain(flattened).collect()
}

fn shell_of(host: &mut HostKnowledge) -> Option<&mut ShellFacts> {
    match host {
        HostKnowledge::Known(host) => host.shell.as_mut(),
        HostKnowledge::Unreachable { .. } => None,
    }
}

/// It will be there, on the file system that is there.
fn arrive(place: &mut PathFacts, seen: &PathFacts) {
    if place.exists() {
        return;
    }
    place.kind = PathKind::File;
    (place.size_bytes, place.allocated_bytes) = (seen.size_bytes, seen.allocated_bytes);
    place.modified_s = seen.modified_s;
}
