//! Disks that are asked into a storage pool of the destination, or as one image with what lies below them.

use api::finding::Finding;

use super::copies;
use super::say::{advice, blocker, command, names, note, shell_word, size};
use crate::model::definition::Disk;
use crate::model::facts::{DomainFacts, Facts, HostFacts};
use crate::plan::{self, Files, NoPlace, Place};

/// Each disk that is asked into a pool has a place there.
pub(super) fn places(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((_, destination, domain)) = facts.all() else { return };
    for unknown in plan::unknown_disks(facts, domain) {
        let disks = names(domain.definition.disks.iter().map(|disk| disk.target.as_str()));
        findings.push(blocker(
            "storage-disk-unknown",
            unknown,
            format!("{} has no disk {unknown}.", domain.name),
            format!("disks: {disks}"),
            advice("Name a disk as the virtual machine names it (virsh domblklist)."),
        ));
    }
    // The pools of a destination that did not say are not known to be missing.
    let Some(reception) = &facts.reception else { return };
    let pools = names(reception.pools.iter().map(|pool| pool.name.as_str()));
    for disk in &domain.definition.disks {
        match plan::place(facts, domain, disk) {
            Some(Err(why)) => findings.push(no_place(destination, domain, disk, &why, &pools)),
            Some(Ok(place)) => findings.extend(stays(facts, domain, disk, &place)),
            None => {}
        }
    }
}

fn no_place(
    destination: &HostFacts,
    domain: &DomainFacts,
    disk: &Disk,
    why: &NoPlace,
    pools: &str,
) -> Finding {
    let (target, there) = (&disk.target, &destination.name);
    match why {
        NoPlace::Disk(why) => blocker(
            "storage-disk-fixed",
            target,
            format!("{target} of {} cannot be made in another storage pool: {why}.", domain.name),
            disk.source.describe(),
            advice("Leave it out of --storage."),
        ),
        NoPlace::Missing(pool) => blocker(
            "storage-pool-missing",
            pool,
            format!("{there} has no storage pool {pool}, which {target} of {} is asked into.", domain.name),
            format!("pools of {there}: {pools}"),
            command(
                "Name one of them, or make it.",
                format!(
                    "virsh pool-define-as {0} dir --target /var/lib/libvirt/{0} && virsh pool-build {0} && virsh pool-start {0}",
                    shell_word(pool)
                ),
                Some(there),
            ),
        ),
        NoPlace::Inactive(pool) => blocker(
            "storage-pool-inactive",
            pool,
            format!("The storage pool {pool} of {there} is not active."),
            format!("{target} of {} is asked into it", domain.name),
            command("Start it.", format!("virsh pool-start {}", shell_word(pool)), Some(there)),
        ),
        NoPlace::Kind(pool, kind) => blocker(
            "storage-pool-kind",
            pool,
            format!("The storage pool {pool} of {there} is no directory: no image can be made in it."),
            format!("a pool of the kind {kind}"),
            advice("Name a pool over a directory or a mounted file system (dir, fs, netfs)."),
        ),
        NoPlace::Taken(path) => blocker(
            "storage-name-taken",
            target,
            format!("There is something by the name that {target} of {} would have on {there}.", domain.name),
            path.clone(),
            advice(
                "Give it another name: --storage DISK=POOL/NAME; or move what is there out of the way, if nothing needs it.",
            ),
        ),
    }
}

/// It has a place, and cannot be copied there.
fn stays(facts: &Facts, domain: &DomainFacts, disk: &Disk, place: &Place) -> Option<Finding> {
    if plan::files(facts).has_disk(&disk.target) {
        return None;
    }
    let why = plan::stays(facts, domain, disk).unwrap_or("how large it is could not be read");
    Some(blocker(
        "storage-disk-stays",
        &disk.target,
        format!(
            "{} of {} cannot be copied into the storage pool {}: {why}.",
            disk.target, domain.name, place.pool
        ),
        format!("{} to {}", disk.source.describe(), place.path),
        advice("Leave it out of --storage, or move the virtual machine stopped."),
    ))
}

/// It is copied to its place in a pool.
pub(super) fn goes_to_its_place(
    facts: &Facts,
    destination: &HostFacts,
    domain: &DomainFacts,
    disk: &Disk,
    path: &str,
    place: &Place,
) -> Finding {
    let how = if domain.is_active() { "while the guest runs" } else { "with its definition" };
    let mut finding = note(
        "disk-copied",
        &disk.target,
        format!(
            "The image of {} is copied into the storage pool {} of {} {how}. {}",
            disk.target,
            place.pool,
            destination.name,
            copies::left_behind(facts, domain)
        ),
        format!("{path} to {}", place.path),
    );
    finding.cost = domain
        .image(&disk.target)
        .map(|image| format!("{} to copy, of {}", size(image.allocation_bytes), size(image.capacity_bytes)));
    finding
}

/// Whether what lies below a disk does not matter: QEMU copies it into the same image.
pub(super) fn needs_nothing_below(facts: &Facts, domain: &DomainFacts, plan: &Files, disk: &Disk) -> bool {
    plan.has_disk(&disk.target)
        && plan::flattens(facts, domain, disk)
        && plan::is_copied_by_qemu(domain, disk)
}

/// Disks that are asked to be one image can be.
pub(super) fn flat(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(domain) = facts.domain.as_ref().filter(|_| facts.wanted.flatten) else { return };
    let plan = plan::files(facts);
    let copied = |disk: &&Disk| plan.has_disk(&disk.target) && plan::wants_flat(facts, disk);
    let mut any = false;
    for disk in domain.definition.disks.iter().filter(copied) {
        any = true;
        let Some(why) = plan::not_flattened(facts, domain, disk) else { continue };
        findings.push(blocker(
            "flatten-impossible",
            &disk.target,
            format!(
                "{} of {} cannot become one image with what lies below it: {why}.",
                disk.target, domain.name
            ),
            names(disk.backing.iter().map(|base| base.source.path().unwrap_or("what is no file"))),
            advice("Leave --flatten out: then the chain stays as it is."),
        ));
    }
    if !any {
        findings.push(note(
            "flatten-nothing",
            &domain.name,
            format!(
                "Nothing lies below a disk of {} that is copied: --flatten changes nothing.",
                domain.name
            ),
            "no chain of images is copied".to_owned(),
        ));
    }
}
