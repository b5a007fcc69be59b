//! What is copied because only the source has it: that it is, what lies below it, and whether there is room.

use std::collections::{BTreeMap, BTreeSet};

use api::finding::Finding;

use super::say::{advice, blocker, command, note, shell_word, size, warning};
use crate::hypervisor::{NewFile, SPARE_BYTES};
use crate::model::definition::Disk;
use crate::model::facts::{DomainFacts, Facts, HostFacts, PoolFacts};
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

/// What is wanted of a file system, in bytes.
#[derive(Default)]
struct Wanted {
    now: u64,
    in_time: u64,
    spare: u64,
    free: u64,
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
    let is_carried = |new: &NewFile| plan.carried.iter().any(|file| file.new.path == new.path);
    // By file system: what comes into it now, what may come into it in time, and what is to stay free meanwhile.
    let mut wanted: BTreeMap<&str, Wanted> = BTreeMap::new();
    for (new, allocated_bytes) in carried.chain(copied).chain(flattened) {
        // What becomes one image is carried beside it first.
        let becomes = plan.flattened.iter().find(|disk| disk.from == new.path);
        let path = becomes.map_or(&new.path, |disk| &disk.new.path);
        let by_pool = pools.get(path).map(|(name, left)| (name.as_str(), *left));
        let by_path = || shell?.path(path).map(|place| (place.mounted_from.as_str(), place.free_bytes));
        let Some((place, free_bytes)) = by_pool.or_else(by_path) else { continue };
        let sums = wanted.entry(place).or_insert(Wanted { free: free_bytes, ..Wanted::default() });
        sums.now = sums.now.saturating_add(allocated_bytes);
        sums.in_time = sums.in_time.saturating_add(new.capacity_bytes.max(allocated_bytes));
        if is_carried(new) {
            sums.spare = sums.spare.saturating_add(new.capacity_bytes).min(SPARE_BYTES);
        }
    }
    for (place, Wanted { now, in_time, spare, free }) in wanted {
        let remedy = || advice("Make room there, or choose a destination that has it.");
        if now.saturating_add(spare) > free {
            findings.push(blocker(
                "space-short",
                &destination.name,
                format!("{} has too little room for the disks of {}.", destination.name, domain.name),
                format!("{} to copy and {} to spare, {} free on {place}", size(now), size(spare), size(free)),
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

/// Files are read and made through the pool over their directory, or one that is made for the while. That cannot be where one is defined
/// over it that is not active (libvirt: "Storage source conflict").
pub(super) fn directories(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, domain)) = facts.all() else { return };
    let plan = plan::files(facts);
    let read = plan.carried.iter().map(|file| file.source_path());
    let carried = plan.carried.iter().map(|file| file.new.path.as_str());
    let copied = plan.copied.iter().map(|disk| disk.new.path.as_str());
    let flattened = plan.flattened.iter().map(|disk| disk.new.path.as_str());
    let made = carried.chain(copied).chain(flattened);
    let there = facts.reception.iter().flat_map(|reception| &reception.pools).filter(|pool| !pool.active);
    let name = &domain.name;
    for (pool, directory) in idle_over(&domain.idle_pools, read) {
        let evidence = format!("files of {name} are to be read in its directory {directory}");
        findings.push(idle_pool(source, pool, evidence));
    }
    for (pool, directory) in idle_over(there, made) {
        let evidence = format!("files of {name} are to be made in its directory {directory}");
        findings.push(idle_pool(destination, pool, evidence));
    }
}

/// Those of these pools that lie over the directory of one of these files, with the directory. (libvirt compares pools of one kind, and
/// one that is made for the while is over a directory.)
fn idle_over<'a>(
    idle: impl IntoIterator<Item = &'a PoolFacts>,
    files: impl Iterator<Item = &'a str>,
) -> impl Iterator<Item = (&'a PoolFacts, &'a str)> {
    let directories: BTreeSet<&str> = files.filter_map(|path| Some(path.rsplit_once('/')?.0)).collect();
    idle.into_iter().filter(|pool| pool.kind == "dir").filter_map(move |pool| {
        let over = directories.get(pool.target.as_deref()?)?;
        Some((pool, *over))
    })
}

/// A pool that is needed, and not active.
pub(super) fn idle_pool(host: &HostFacts, pool: &PoolFacts, evidence: String) -> Finding {
    blocker(
        "pool-inactive",
        &pool.name,
        format!("The storage pool {} of {} is not active.", pool.name, host.name),
        evidence,
        command("Start it.", format!("virsh pool-start {}", shell_word(&pool.name)), Some(&host.name)),
    )
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
