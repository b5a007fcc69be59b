//! What is copied because only the source has it: that it is, what lies below it, and whether there is room.

use std::collections::{BTreeMap, BTreeSet};

use api::finding::Finding;

use super::say::{advice, blocker, command, note, shell_word, size, warning};
use crate::model::definition::Disk;
use crate::model::facts::{DomainFacts, Facts, HostFacts};
use crate::plan::{self, path_of};

/// What becomes of an image on the source that was copied.
pub(super) fn left_behind(facts: &Facts, domain: &DomainFacts) -> String {
    if !facts.wanted.delete_source_disks {
        return "The one here stays.".to_owned();
    }
    let proof = if domain.is_active() { "to run there" } else { "to be there" };
    format!(
        "The one here is removed once {} was seen {proof}, unless something else uses it or it has changed since.",
        domain.name
    )
}

/// Only the source has it, and it is copied.
pub(super) fn goes_along(
    facts: &Facts,
    destination: &HostFacts,
    domain: &DomainFacts,
    disk: &Disk,
    path: &str,
) -> Finding {
    let how = if domain.is_active() { "while the guest runs" } else { "with its definition" };
    let mut finding = note(
        "disk-copied",
        &disk.target,
        format!(
            "{} does not have the image of {}: it is copied there {how}. {}",
            destination.name,
            disk.target,
            left_behind(facts, domain)
        ),
        format!("{path} on {}: nothing is there", destination.name),
    );
    finding.cost = domain
        .image(&disk.target)
        .map(|image| format!("{} to copy, of {}", size(image.allocation_bytes), size(image.capacity_bytes)));
    finding
}

/// What lies below the images of a stopped domain is known.
pub(super) fn chains(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(source), Some(domain)) = (facts.source.known(), &facts.domain) else { return };
    let (shell, plan) = (facts.source.shell(), plan::files(facts));
    let path = |target: &str| {
        let disk = domain.definition.disks.iter().find(|disk| disk.target == target)?;
        path_of(domain, disk)
    };
    for (target, why) in &domain.chains_unread {
        // An image that is gone is another finding.
        let seen = shell.and_then(|shell| shell.path(path(target)?));
        if seen.is_some_and(|seen| !seen.exists()) {
            continue;
        }
        let severe = if plan.has_disk(target) { blocker } else { warning };
        findings.push(severe(
            "chain-unread",
            target,
            format!("Whether another image lies below that of {target} could not be read: if one does, it must be on {} as well.", facts.destination.name()),
            why.clone(),
            command(
                "See whether one does; qemu-img comes with qemu-utils.",
                format!("qemu-img info --backing-chain {}", path(target).map_or_else(String::new, shell_word)),
                Some(&source.name),
            ),
        ));
    }
}

/// There is room on the destination for what is copied.
pub(super) fn room(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((_, destination, domain)) = facts.all() else { return };
    let shell = facts.destination.shell();
    let plan = plan::files(facts);
    let carried = plan.carried.iter().map(|file| (&file.new, file.allocated_bytes));
    let copied = plan.copied.iter().map(|disk| (&disk.new, disk.allocated_bytes));
    let flattened = plan.flattened.iter().map(|disk| (&disk.new, disk.allocated_bytes));
    // What is asked into a pool: which, and what is left of it.
    let pools: BTreeMap<String, (String, u64)> = (domain.definition.disks.iter())
        .filter_map(|disk| plan::place(facts, domain, disk)?.ok())
        .map(|place| (place.path, (format!("the pool {}", place.pool), place.available_bytes)))
        .collect();
    // By file system: what comes into it now, and what may come into it in time.
    let mut wanted: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    for (new, allocated_bytes) in carried.chain(copied).chain(flattened) {
        // What becomes one image is carried beside it first.
        let becomes = plan.flattened.iter().find(|disk| disk.from == new.path);
        let path = becomes.map_or(&new.path, |disk| &disk.new.path);
        let by_pool = pools.get(path).map(|(name, left)| (name.as_str(), *left));
        let by_path = || shell?.path(path).map(|place| (place.mounted_from.as_str(), place.free_bytes));
        let Some((place, free_bytes)) = by_pool.or_else(by_path) else { continue };
        let sums = wanted.entry(place).or_insert((0, 0, free_bytes));
        sums.0 = sums.0.saturating_add(allocated_bytes);
        sums.1 = sums.1.saturating_add(new.capacity_bytes.max(allocated_bytes));
    }
    for (place, (now, in_time, free)) in wanted {
        let remedy = || advice("Make room there, or choose a destination that has it.");
        if now > free {
            findings.push(blocker(
                "space-short",
                &destination.name,
                format!("{} has too little room for the disks of {}.", destination.name, domain.name),
                format!("{} to copy, {} free on {place}", size(now), size(free)),
                remedy(),
            ));
        } else if in_time > free {
            findings.push(warning(
                "space-tight",
                &destination.name,
                format!(
                    "The disks of {} fit on {} now, and not any more if they grow to their full size.",
                    domain.name, destination.name
                ),
                format!("up to {}, {} free on {place}", size(in_time), size(free)),
                remedy(),
            ));
        }
    }
}

/// Files are made through the pool over their directory, or one that is made for the while. That cannot be where a pool is defined over
/// it that is not active (libvirt: "Storage source conflict").
pub(super) fn directories(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((_, destination, domain)), Some(reception)) = (facts.all(), &facts.reception) else { return };
    let plan = plan::files(facts);
    let directory = |path: &str| path.rsplit_once('/').map(|(directory, _)| directory.to_owned());
    let carried = plan.carried.iter().map(|file| &file.new.path);
    let copied = plan.copied.iter().map(|disk| &disk.new.path);
    let flattened = plan.flattened.iter().map(|disk| &disk.new.path);
    let made = carried.chain(copied).chain(flattened).filter_map(|path| directory(path));
    let made: BTreeSet<String> = made.collect();
    for directory in made {
        let over = || reception.pools.iter().filter(|pool| pool.target.as_ref() == Some(&directory));
        let Some(idle) = over().find(|pool| !pool.active).filter(|_| !over().any(|pool| pool.active)) else {
            continue;
        };
        findings.push(blocker(
            "pool-inactive",
            &idle.name,
            format!("The storage pool {} of {} is not active.", idle.name, destination.name),
            format!("files of {} are to be made in its directory {directory}", domain.name),
            command(
                "Start it.",
                format!("virsh pool-start {}", shell_word(&idle.name)),
                Some(&destination.name),
            ),
        ));
    }
}

/// An encrypted image of a guest that runs is copied as the guest sees it: QEMU reads it here and encrypts it anew there.
pub(super) fn in_clear(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, domain)) = facts.all().filter(|_| !facts.wanted.transport.tls) else {
        return;
    };
    for disk in plan::files(facts).copied.iter().filter(|disk| disk.new.luks.is_some()) {
        findings.push(warning(
            "disk-copied-in-clear",
            &disk.target,
            format!(
                "{} of {} is encrypted, and goes from {} to {} as the guest sees it: whoever reads along on the network between them reads it.",
                disk.target, domain.name, source.name, destination.name
            ),
            format!("{} is encrypted again there, with the same secret", disk.new.path),
            advice("Have QEMU encrypt what goes between the hosts (--tls), or move the virtual machine stopped: the image goes as it is then."),
        ));
    }
}
