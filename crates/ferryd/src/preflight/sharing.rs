//! Is the data of the domain's disks one and the same on both hosts, and may libvirt be told so?

use api::finding::{Finding, Remedy};

use super::say::{advice, blocker, command, note, shell_word, size, warning};
use super::storage::disks;
use super::{copies, places};
use crate::model::definition::{Disk, Source};
use crate::model::facts::{DomainFacts, Facts, HostFacts, LeftImage, PathFacts, Sharing, ShellFacts};
use crate::plan::{self, Files, path_of};

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
            // (One that is said to be shared, and is missing there, is copied all the same.)
            if plan.has_disk(&disk.target) {
                findings.push(copies::goes_along(facts, destination, domain, disk, path));
            } else if let Some(refuted) = refuted(facts, disk, path, sharing) {
                findings.push(refuted);
            } else {
                findings.extend(judge(facts, source, destination, domain, disk, path, sharing));
            }
        }
        let of_disk =
            (!plan.has_disk(&disk.target) && plan::place(facts, domain, disk).is_none()).then_some(path);
        let below = disk.backing.iter().filter_map(|backing| backing.source.path());
        let below = below.filter(|below| {
            !is_copied(facts, below) && !places::needs_nothing_below(facts, domain, &plan, disk)
        });
        let unknown = |path| match of(path) {
            Some(Sharing::Unknown(why)) => Some((path, why.as_str())),
            _ => None,
        };
        let unknown: Vec<_> = of_disk.into_iter().chain(below).filter_map(unknown).collect();
        findings.extend(unproven(facts, domain, disk, plan.has_disk(&disk.target), &unknown));
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
            Some(not_shared(facts, destination, domain, disk, path, sharing))
        }
        // That is told with what lies below it.
        Sharing::Unknown(_) => None,
    }
}

/// A disk that is written to, is not one and the same on both hosts, and does not go along.
fn not_shared(
    facts: &Facts,
    destination: &HostFacts,
    domain: &DomainFacts,
    disk: &Disk,
    path: &str,
    sharing: &Sharing,
) -> Finding {
    let (target, name) = (&disk.target, &destination.name);
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
        format!(
            "{target} of {} is not on storage that both hosts see, and cannot be copied: {why}.",
            domain.name
        ),
        format!("{path} on {name}: {}", seen(sharing)),
        remedy,
    );
    finding.cost = domain
        .image(target)
        .map(|image| format!("{} to copy, of {}", size(image.allocation_bytes), size(image.capacity_bytes)));
    finding
}

/// A disk of which, or of what lies below which, it could not be proven that it is the same on both hosts: each path, and why.
/// `goes_along`: the disk itself is copied.
fn unproven(
    facts: &Facts,
    domain: &DomainFacts,
    disk: &Disk,
    goes_along: bool,
    unknown: &[(&str, &str)],
) -> Option<Finding> {
    let target = &disk.target;
    let evidence: Vec<String> = unknown.iter().map(|(path, why)| format!("{path}: {why}")).collect();
    let evidence = evidence.join("; ");
    let is_own = |path: &str| path_of(domain, disk) == Some(path);
    let what = match unknown.iter().any(|(path, _)| is_own(path)) {
        _ if unknown.is_empty() => return None,
        true => format!("{target} of {}", domain.name),
        false => format!("what lies below {target} of {}", domain.name),
    };
    if facts.vouched(disk) {
        let told = domain.is_active() && sharing_proven(facts);
        let told = if told { ", and libvirt is told so (virsh migrate --unsafe)" } else { "" };
        let message = format!("That {what} is the same on both hosts is your word alone{told}.");
        return Some(note("sharing-vouched", target, message, evidence));
    }
    let message = format!("Whether {what} is the same on both hosts could not be proven.");
    let nobody_else = |path: &str| !is_own(path) || nobody_else_asks(facts, domain, disk, path);
    Some(if unknown.iter().any(|(path, _)| nobody_else(path)) && !disk.readonly {
        let flatten = goes_along
            && plan::is_copied_by_qemu(domain, disk)
            && plan::not_flattened(facts, domain, disk).is_none();
        let flatten = if flatten { " Or have all of it copied as one image: --flatten." } else { "" };
        // The two exclude each other.
        let instead = if plan::place(facts, domain, disk).is_some() { ", instead of --storage" } else { "" };
        let remedy = format!(
            "If you know that it is, say so: --shared {target}{instead}. If it is not, the guest would go on there with other data.{flatten}"
        );
        blocker("sharing-unproven", target, message, evidence, advice(&remedy))
    } else {
        let remedy = advice(&format!(
            "Make sure of it yourself; where libvirt refuses it, say so: --shared {target}."
        ));
        warning("sharing-unproven", target, message, evidence, remedy)
    })
}

/// Whether it is for the checks to refuse a disk that is not proven to be the same on both hosts. Of a running guest libvirt itself looks
/// at files: it takes those on a file system of the network for shared (whether the destination has the same one mounted, the checks
/// must see), and refuses others; a host without a shell does not tell. Block devices it takes for the same by their path alone, and
/// of a stopped guest it is not asked.
fn nobody_else_asks(facts: &Facts, domain: &DomainFacts, disk: &Disk, path: &str) -> bool {
    let is_device = matches!(disk.source, Source::Block(_)) || path.starts_with("/dev/");
    if is_device || !domain.is_active() {
        return true;
    }
    let of = |shell: Option<&ShellFacts>| shell.and_then(|shell| shell.path(path).cloned());
    match (of(facts.source.shell()), of(facts.destination.shell())) {
        (Some(here), Some(there)) => {
            !crate::model::facts::is_networked(&here.filesystem)
                || (&here.filesystem, &here.mounted_from) != (&there.filesystem, &there.mounted_from)
        }
        (Some(here), None) => !crate::model::facts::is_networked(&here.filesystem),
        (None, _) => false,
    }
}

/// A disk that is the same on both hosts by the word of who asks, and was seen not to be.
fn refuted(facts: &Facts, disk: &Disk, path: &str, sharing: &Sharing) -> Option<Finding> {
    if !facts.vouched(disk) || !matches!(sharing, Sharing::Missing | Sharing::Different(_)) {
        return None;
    }
    let (target, name) = (&disk.target, facts.destination.name());
    Some(blocker(
        "sharing-refuted",
        target,
        format!("{target} is not the same on both hosts, though --shared says so."),
        format!("{path} on {name}: {}", seen(sharing)),
        advice(
            "Mount its storage on the destination by the same path; or leave --shared out: the checks say then whether it can be copied.",
        ),
    ))
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
    let all_there = domain.disks_that_move().all(|disk| {
        let own = path_of(domain, disk).map_or_else(|| is_there(&disk.source), shared);
        own && disk.backing.iter().all(|below| is_there(&below.source))
    });
    domain.is_active() && !own && domain.snapshots.is_empty() && all_there && plan::files(facts).is_empty()
}

/// Whether libvirt must be told that the disks are shared, because it does not know their file system for that, and may be told,
/// because every one of them was proven to be, or is by the word of who asks.
#[must_use]
pub fn sharing_proven(facts: &Facts) -> bool {
    let (Some(domain), Some(meeting)) = (&facts.domain, &facts.meeting) else { return false };
    let mut needed = false;
    let plan = plan::files(facts);
    for disk in disks(domain).filter(|disk| !disk.readonly && !plan.has_disk(&disk.target)) {
        let Some(path) = path_of(domain, disk) else { continue };
        let counts = |path: &str| match meeting.sharing_of(path) {
            Some(Sharing::Shared(_)) => true,
            Some(Sharing::Unknown(_)) => facts.vouched(disk),
            _ => false,
        };
        let below = disk.backing.iter().filter_map(|backing| backing.source.path());
        let whole = below.into_iter().all(|below| {
            // One that is carried first is there by then.
            meeting.sharing_of(below).is_none()
                || counts(below)
                || is_copied(facts, below)
                || plan.has_path(below)
        });
        if !counts(path) || !whole {
            return false;
        }
        let here = facts.source.shell().and_then(|shell| shell.path(path));
        needed |= libvirt_does_not_know(domain, disk, here);
    }
    needed
}
