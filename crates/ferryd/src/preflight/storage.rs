//! The domain's drives: is their data where the destination sees it, and only there.

use api::finding::{Finding, Remedy};

use super::say::{advice, blocker, command, note, shell_word, size, warning};
use super::{copies, places};
use crate::model::definition::{Disk, Drive, Source};
use crate::model::facts::{DomainFacts, Facts, HostFacts, LeftImage, PathFacts, Sharing, ShellFacts};
use crate::plan::{self, Files, path_of};

/// Drives whose data must be there: what is copied or shared, and not a medium that can be taken out.
fn disks(domain: &DomainFacts) -> impl Iterator<Item = &Disk> {
    domain.definition.disks.iter().filter(|disk| matches!(disk.drive, Drive::Disk | Drive::Lun))
}

/// The source can read its own images.
pub(super) fn sources(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(source), Some(domain), Some(shell)) =
        (facts.source.known(), &facts.domain, facts.source.shell())
    else {
        return;
    };
    for disk in &domain.definition.disks {
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

/// Each disk's data, and that of the images below it, is one and the same on both hosts: proven, where that can be.
pub(super) fn shared(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((source, destination, domain)), Some(meeting)) = (facts.all(), &facts.meeting) else { return };
    let of = |path: &str| meeting.sharing_of(path);
    let plan = plan::files(facts);
    for disk in disks(domain) {
        let Some(path) = path_of(domain, disk) else { continue };
        if let Some(place) = plan::place(facts, domain, disk) {
            // That it cannot go there is another finding.
            let place = place.ok().filter(|_| plan.has_disk(&disk.target));
            let goes = |place| places::goes_to_its_place(facts, destination, domain, disk, path, &place);
            findings.extend(place.map(goes));
        } else if let Some(sharing) = of(path) {
            if plan.has_disk(&disk.target) {
                findings.push(copies::goes_along(facts, destination, domain, disk, path));
            } else {
                findings.extend(judge(facts, source, destination, domain, disk, path, sharing));
            }
        }
        // The disk itself says it already, where it does not go along.
        let apart = |path: &str| matches!(of(path), Some(Sharing::Missing | Sharing::Different(_)));
        if (apart(path) && !plan.has_disk(&disk.target))
            || places::needs_nothing_below(facts, domain, &plan, disk)
        {
            continue;
        }
        for below in disk.backing.iter().filter_map(|backing| backing.source.path()) {
            if let Some(sharing) = of(below).filter(|_| apart(below)) {
                findings.push(judge_below(facts, source, destination, &plan, disk, below, sharing));
            }
        }
    }
}

/// An image below a disk's that is not one and the same on both hosts.
fn judge_below(
    facts: &Facts,
    source: &HostFacts,
    destination: &HostFacts,
    plan: &Files,
    disk: &Disk,
    below: &str,
    sharing: &Sharing,
) -> Finding {
    let target = &disk.target;
    if *sharing == Sharing::Missing && plan.has_path(below) {
        return note(
            "backing-carried",
            target,
            format!(
                "Below the image of {target} lies another one that {} does not have: it is carried over first.",
                destination.name
            ),
            below.to_owned(),
        );
    }
    if is_copied(facts, below) {
        return warning(
            "backing-copied",
            target,
            format!("Below the image of {target} lies another one, of which each host has a copy."),
            format!("{below}: {}", seen(sharing)),
            command(
                "Make sure that they are equal: compare the two sums.",
                format!(
                    "sha256sum {0}; ssh {1} sha256sum {0}",
                    shell_word(below),
                    shell_word(&destination.hostname)
                ),
                Some(&source.name),
            ),
        );
    }
    blocker(
        "backing-missing",
        target,
        format!("Below the image of {target} lies another one that {} does not have.", destination.name),
        format!("{below} on {}: {}", destination.name, seen(sharing)),
        copy_remedy(source, destination, below),
    )
}

/// Whether each host has a file of the same size and time there: an image that is only read, brought over with its time (`scp -p`).
fn is_copied(facts: &Facts, path: &str) -> bool {
    let of = |shell: Option<&ShellFacts>| shell?.path(path).map(|found| (found.size_bytes, found.modified_s));
    let (here, there) = (of(facts.source.shell()), of(facts.destination.shell()));
    here.is_some_and(|(size_bytes, _)| size_bytes > 0) && here == there
}

fn seen(sharing: &Sharing) -> String {
    match sharing {
        Sharing::Missing => "nothing is there".to_owned(),
        Sharing::Different(what) | Sharing::Shared(what) | Sharing::Unknown(what) => what.clone(),
    }
}

/// A read-only image may as well be a copy.
fn copy_remedy(source: &HostFacts, destination: &HostFacts, path: &str) -> Option<Remedy> {
    let word = shell_word(path);
    command(
        "Put the storage where both hosts see it; or, of an image that is only read, bring a copy over.",
        format!("scp -p {word} {}:{word}", shell_word(&destination.hostname)),
        Some(&source.name),
    )
}

fn judge(
    facts: &Facts,
    source: &HostFacts,
    destination: &HostFacts,
    domain: &DomainFacts,
    disk: &Disk,
    path: &str,
    sharing: &Sharing,
) -> Option<Finding> {
    let (target, name) = (&disk.target, &destination.name);
    // What nobody writes to may lie on both hosts as two copies; whether they are equal is the administrator's.
    let only_read = disk.readonly;
    let here = facts.source.shell().and_then(|shell| shell.path(path));
    match sharing {
        Sharing::Shared(how) => libvirt_does_not_know(domain, disk, here).then(|| {
            note(
                "sharing-proven",
                target,
                format!("libvirt does not know the file system of {target} as shared; Ferry has proven that it is, and tells libvirt so (virsh migrate --unsafe)."),
                format!("{path}: {how}"),
            )
        }),
        Sharing::Missing if only_read => Some(blocker(
            "disk-missing",
            target,
            format!("{name} does not have {target} of {}, which is only read.", domain.name),
            format!("{path}: nothing is there"),
            copy_remedy(source, destination, path),
        )),
        Sharing::Different(_) if only_read => None,
        Sharing::Missing | Sharing::Different(_) => {
            let cost = domain.image(target).map(|image| {
                format!("{} to copy, of {}", size(image.allocation_bytes), size(image.capacity_bytes))
            });
            let left = left(facts, path).filter(|_| matches!(sharing, Sharing::Different(_)));
            let (why, remedy) = match (sharing, left) {
                (_, Some(left)) => left_there(left, name),
                (Sharing::Different(_), None) => (
                    "something else is there by its path (an image that an earlier move left, perhaps), which is not written over".to_owned(),
                    advice(&format!(
                        "Move what is there out of the way, if nothing needs it; or put the image on storage that both hosts see by the same path; or have it made in a storage pool of {name}: --storage {target}=POOL."
                    )),
                ),
                _ => (
                    plan::stays(facts, domain, disk).unwrap_or("how large it is could not be read").to_owned(),
                    advice(&format!(
                        "Put the image on storage that both hosts see by the same path; or have it made in a storage pool of {name}: --storage {target}=POOL."
                    )),
                ),
            };
            let mut finding = blocker(
                "disk-not-shared",
                target,
                format!("{target} of {} is not on storage that both hosts see, and cannot be copied: {why}.", domain.name),
                format!("{path} on {name}: {}", seen(sharing)),
                remedy,
            );
            finding.cost = cost;
            Some(finding)
        }
        Sharing::Unknown(why) => Some(warning(
            "sharing-unproven",
            target,
            format!("Whether {target} of {} is the same on both hosts could not be proven.", domain.name),
            format!("{path}: {why}"),
            advice("Make sure of it yourself. libvirt refuses local files, but takes a block device of the same path for the same device."),
        )),
    }
}

/// What a move is known to have left there by this path, and nobody else uses.
fn left<'a>(facts: &'a Facts, path: &str) -> Option<&'a LeftImage> {
    let reception = facts.reception.as_ref()?;
    let used = reception.occupied.iter().any(|other| other.paths.iter().any(|used| used == path));
    reception.left.iter().find(|left| left.path == path && !used)
}

/// Why an image that a move left bars the way, and what clears it.
fn left_there(left: &LeftImage, host: &str) -> (String, Option<Remedy>) {
    let Some(task) = left.task else {
        return (
            format!("the image that the move from {host} leaves there is in its way"),
            advice(&format!(
                "Move it with --delete-source-disks, which leaves none; or remove the image on {host} before it comes back."
            )),
        );
    };
    (
        format!(
            "the image that an earlier move left on {host} is there by its path (task {task}), and is not written over"
        ),
        command(
            "Remove it there, if nothing needs what the disk held before that move; a move with --delete-source-disks leaves none.",
            format!("rm {}", shell_word(&left.path)),
            Some(host),
        ),
    )
}

/// libvirt takes a file for shared by the type of its file system alone (`virFileIsSharedFS`); block devices it never asks.
fn libvirt_does_not_know(domain: &DomainFacts, disk: &Disk, here: Option<&PathFacts>) -> bool {
    let is_file = matches!(disk.source, Source::File(_)) || domain.volume_path(&disk.target).is_some();
    // Of a host without a shell it is not known what libvirt knows.
    is_file && !disk.readonly && here.is_none_or(|here| !crate::model::facts::is_networked(&here.filesystem))
}

/// Whether everything that a running domain needs besides its memory and its definition is proven to be the destination's as well: what
/// a host has for itself alone (firmware variables, the state of a TPM) goes with that host, and so does what it knows of snapshots.
#[must_use]
pub fn needs_no_source(facts: &Facts, domain: &DomainFacts) -> bool {
    let Some(meeting) = &facts.meeting else { return false };
    let shared = |path: &str| meeting.is_shared(path);
    let own = domain.definition.firmware.nvram.is_some() || domain.definition.tpm.is_some();
    let is_there = |source: &Source| match source {
        Source::Empty | Source::Network(_) => true,
        other => other.path().is_some_and(shared),
    };
    let all_there = domain.definition.disks.iter().all(|disk| {
        let own = path_of(domain, disk).map_or_else(|| is_there(&disk.source), shared);
        own && disk.backing.iter().all(|below| is_there(&below.source))
    });
    domain.is_active() && !own && domain.snapshots.is_empty() && all_there && plan::files(facts).is_empty()
}

/// Whether libvirt must be told that the disks are shared, because it does not know their file system for that, and may be told,
/// because every one of them was proven to be.
#[must_use]
pub fn sharing_proven(facts: &Facts) -> bool {
    let (Some(domain), Some(meeting)) = (&facts.domain, &facts.meeting) else { return false };
    let mut needed = false;
    let plan = plan::files(facts);
    for disk in disks(domain).filter(|disk| !disk.readonly && !plan.has_disk(&disk.target)) {
        let Some(path) = path_of(domain, disk) else { continue };
        let proven = meeting.is_shared(path);
        let below = disk.backing.iter().filter_map(|backing| backing.source.path());
        let whole = below.into_iter().all(|below| {
            // One that is carried first is there by then.
            matches!(meeting.sharing_of(below), None | Some(Sharing::Shared(_)))
                || is_copied(facts, below)
                || plan.has_path(below)
        });
        if !proven || !whole {
            return false;
        }
        let here = facts.source.shell().and_then(|shell| shell.path(path));
        needed |= libvirt_does_not_know(domain, disk, here);
    }
    needed
}

/// CD-ROMs and floppies that are in their drives are on the destination, too.
pub(super) fn media(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((source, destination, domain)), Some(shell)) = (facts.all(), facts.destination.shell()) else {
        return;
    };
    let drives =
        domain.definition.disks.iter().filter(|disk| matches!(disk.drive, Drive::Cdrom | Drive::Floppy));
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
                "Take it out of the drive (or bring the file over), of its definition too: without the file it would not start there.",
                format!(
                    "virsh change-media {} {} --eject --force --live{}",
                    shell_word(&domain.name),
                    shell_word(&disk.target),
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
    for disk in &domain.definition.disks {
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
