//! The domain's drives: they can move, their images are where they should be, and nobody else writes to them.

use api::finding::Finding;

use super::say::{advice, blocker, command, note, shell_word, warning};
use crate::model::definition::{Disk, Drive, Source};
use crate::model::facts::{DomainFacts, Facts, Sharing};
use crate::plan::{self, path_of};

/// Drives whose data must be there: what is copied or shared, and not a medium that can be taken out.
pub(super) fn disks(domain: &DomainFacts) -> impl Iterator<Item = &Disk> {
    domain.definition.disks.iter().filter(|disk| matches!(disk.drive, Drive::Disk | Drive::Lun))
}

/// The source can read its own images.
pub(super) fn sources(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(source), Some(domain), Some(shell)) =
        (facts.source.known(), &facts.domain, facts.source.shell())
    else {
        return;
    };
    for disk in domain.disks_that_move() {
        let Some(path) = path_of(domain, disk) else { continue };
        if shell.path(path).is_some_and(|found| !found.exists()) {
            findings.push(blocker(
                "disk-source-missing",
                &disk.target,
                format!("The image of {} is not where {} says any more.", disk.target, domain.name),
                format!("{path} is not on {}", source.name),
                advice("Bring the file back to its path (a running QEMU still has it open: virsh blockcopy saves it elsewhere)."),
            ));
        }
    }
}

/// Drives that are to be empty on the destination.
pub(super) fn ejected(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(domain) = &facts.domain else { return };
    for disk in domain.definition.disks.iter().filter(|disk| domain.is_ejected(disk)) {
        findings.push(note(
            "medium-ejected",
            &disk.target,
            format!(
                "{} of {} will be empty on {}: what lies in it stays. A guest that is reading from it gets an error.",
                disk.target,
                domain.name,
                facts.destination.name()
            ),
            disk.source.describe(),
        ));
    }
}

/// CD-ROMs and floppies that are in their drives are on the destination, too.
pub(super) fn media(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((source, destination, domain)), Some(shell)) = (facts.all(), facts.destination.shell()) else {
        return;
    };
    let drives = domain.disks_that_move().filter(|disk| matches!(disk.drive, Drive::Cdrom | Drive::Floppy));
    for disk in drives {
        let Some(path) = path_of(domain, disk) else { continue };
        if shell.path(path).is_none_or(|found| found.exists()) {
            continue;
        }
        let evidence = format!("{path} is not on {}", destination.name);
        // libvirt drops such a medium by itself (`startupPolicy`).
        if matches!(disk.startup_policy.as_deref(), Some("optional" | "requisite")) {
            findings.push(note(
                "medium-dropped",
                &disk.target,
                format!(
                    "The medium in {} of {} is not on {}: the drive will be empty there.",
                    disk.target, domain.name, destination.name
                ),
                evidence,
            ));
            continue;
        }
        findings.push(blocker(
            "medium-missing",
            &disk.target,
            format!("The medium in {} of {} is not on {}.", disk.target, domain.name, destination.name),
            evidence,
            command(
                &format!(
                    "Have the drive empty there, with --eject {}; or bring the file over; or take it out of the drive here, also for the next start, by:",
                    disk.target
                ),
                format!(
                    "virsh change-media {} {} --eject --force{}{}",
                    shell_word(&domain.name),
                    shell_word(&disk.target),
                    if domain.is_active() { " --live" } else { "" },
                    if domain.sight.persistent { " --config" } else { "" }
                ),
                Some(&source.name),
            ),
        ));
    }
}

/// Kinds of drives that cannot move.
pub(super) fn kinds(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(domain) = &facts.domain else { return };
    for disk in domain.disks_that_move() {
        let target = &disk.target;
        if disk.transient && domain.is_active() {
            findings.push(blocker(
                "disk-transient",
                target,
                format!(
                    "What is written to {target} of {} goes when it ends: libvirt does not move such a disk.",
                    domain.name
                ),
                "transient".to_owned(),
                advice("Make the disk an ordinary one, or move it after it was shut down."),
            ));
        }
        if let Source::Other(kind) = &disk.source {
            findings.push(blocker(
                "disk-of-host",
                target,
                format!(
                    "{target} of {} is a device of its host ({kind}), which cannot move with it.",
                    domain.name
                ),
                format!("disk type {kind}"),
                advice("Detach it (virsh detach-disk), move, and attach one of the destination's."),
            ));
        }
        if disk.reservations {
            findings.push(warning(
                "disk-reservations",
                target,
                format!("{target} of {} holds SCSI reservations through a helper of its host (qemu-pr-helper).", domain.name),
                "persistent reservations".to_owned(),
                advice("Make sure that the helper runs on the destination, and that the reservation is not tied to the source's path."),
            ));
        }
    }
}

/// Nobody else on the destination writes to the same images.
pub(super) fn in_use(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((_, destination, domain)), Some(reception), Some(meeting)) =
        (facts.all(), &facts.reception, &facts.meeting)
    else {
        return;
    };
    for disk in disks(domain).filter(|disk| !disk.shareable && !disk.readonly) {
        let Some(path) = path_of(domain, disk) else { continue };
        // It is made where nothing is.
        if plan::place(facts, domain, disk).is_some() {
            continue;
        }
        // Another file of the same path is another finding.
        let apart = matches!(meeting.sharing_of(path), Some(Sharing::Different(_) | Sharing::Missing));
        for other in
            reception.occupied.iter().filter(|other| !apart && other.paths.iter().any(|used| used == path))
        {
            let evidence = format!("{} on {} has {path}, too", other.domain, destination.name);
            let message = format!(
                "{} of {} is a disk of {} on {}, too.",
                disk.target, domain.name, other.domain, destination.name
            );
            findings.push(if other.active {
                blocker(
                    "disk-in-use",
                    &disk.target,
                    message,
                    evidence,
                    command(
                        "Stop the other one, or detach the disk there.",
                        format!(
                            "virsh detach-disk {} {} --live",
                            shell_word(&other.domain),
                            shell_word(path)
                        ),
                        Some(&destination.name),
                    ),
                )
            } else {
                warning(
                    "disk-in-use",
                    &disk.target,
                    format!("{message} Both must never run."),
                    evidence,
                    advice("Detach the disk from the other one."),
                )
            });
        }
    }
}

/// What the source's host keeps in memory of an image is written out before the destination reads it.
pub(super) fn caches(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(source), Some(domain)) = (facts.source.known(), &facts.domain) else { return };
    for disk in disks(domain).filter(|disk| !disk.readonly && domain.is_active()) {
        let Some(cache) = disk.cache.as_deref() else { continue };
        let changed = advice(
            "Set cache='none' on the disk (virsh edit), and start it anew: migrate it stopped, or after that.",
        );
        if cache == "unsafe" {
            findings.push(warning(
                "disk-cache-unsafe",
                &disk.target,
                format!(
                    "{} of {} is never written out by order: storage that each host caches for itself may show {} old data after the move.",
                    disk.target,
                    domain.name,
                    facts.destination.name()
                ),
                "cache='unsafe'".to_owned(),
                changed,
            ));
        } else if !matches!(cache, "none" | "directsync" | "default")
            && source.hypervisor_version < DROPS_CACHE
            && !matches!(disk.source, Source::Network(_))
        {
            findings.push(blocker(
                "disk-cached",
                &disk.target,
                format!("{} of {} is cached by its host, and its QEMU does not drop the cache: libvirt refuses to migrate it.", disk.target, domain.name),
                format!("cache='{cache}', QEMU {}", crate::model::facts::version(source.hypervisor_version)),
                changed,
            ));
        }
    }
}

/// From this QEMU on a host's cache of an image is dropped on a migration (libvirt's capability `migration-file-drop-cache`); before,
/// libvirt refuses every cache mode that leaves one.
const DROPS_CACHE: u32 = 4_000_000;

/// The drives work.
pub(super) fn errors(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(source), Some(domain)) = (facts.source.known(), &facts.domain) else { return };
    for (target, error) in &domain.disk_errors {
        findings.push(warning(
            "disk-errors",
            target,
            format!("Reading or writing {target} of {} has failed.", domain.name),
            error.clone(),
            command(
                "See which, and mend the storage first.",
                format!("virsh domblkerror {}", shell_word(&domain.name)),
                Some(&source.name),
            ),
        ));
    }
}
