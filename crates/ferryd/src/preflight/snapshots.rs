//! Snapshots: what libvirt knows of them goes along, or is left.

use api::finding::Finding;
use api::task::SnapshotsWish;

use super::say::{advice, blocker, command, note, shell_word};
use crate::model::facts::{DomainFacts, Facts};
use crate::plan;

/// Its snapshots can go along, or are not to.
pub(super) fn snapshots(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(domain) = facts.domain.as_ref().filter(|domain| !domain.snapshots.is_empty()) else { return };
    match facts.wanted.snapshots {
        Some(SnapshotsWish::Drop) => findings.push(dropped(facts, domain)),
        None if domain.is_active() => findings.push(not_without_a_word(facts.source.name(), domain)),
        None | Some(SnapshotsWish::Keep) => {
            findings.extend(external(domain));
            findings.extend(in_copied_images(facts, domain));
        }
    }
}

fn names(of: &[String]) -> String {
    format!("{} snapshots: {}", of.len(), of.join(", "))
}

fn dropped(facts: &Facts, domain: &DomainFacts) -> Finding {
    let copied = domain.is_active() && !plan::files(facts).copied.is_empty();
    let images = if copied {
        "in images that are copied they are not, and they stay in those of the source"
    } else {
        "what they are in the images stays in them"
    };
    let to = facts.destination.name();
    note(
        "snapshots-dropped",
        &domain.name,
        format!("The libvirt of {to} will not know the snapshots of {}; {images}.", domain.name),
        names(&domain.snapshots),
    )
}

/// libvirt moves no running domain that has snapshots: it must be made to forget them for the while, and that is not done unasked.
fn not_without_a_word(source: &str, domain: &DomainFacts) -> Finding {
    let name = shell_word(&domain.name);
    let commands: Vec<String> = domain
        .snapshots
        .iter()
        .map(|item| format!("virsh snapshot-delete {name} {} --metadata", shell_word(item)))
        .collect();
    blocker(
        "snapshots",
        &domain.name,
        "libvirt does not move a running virtual machine that has snapshots.".to_owned(),
        names(&domain.snapshots),
        command(
            "Move it with --snapshots keep (libvirt forgets them for the way, and is told of them again at the end) or --snapshots drop \
             (without them; by hand it is this, after virsh snapshot-dumpxml).",
            commands.join(" && "),
            Some(source),
        ),
    )
}

/// Without what libvirt knows of them it is one with images below its own.
fn external(domain: &DomainFacts) -> Option<Finding> {
    let external = &domain.external_snapshots;
    (!external.is_empty()).then(|| {
        blocker(
            "snapshots-external",
            &domain.name,
            format!("Snapshots of {} keep something in files of their own, which are not carried.", domain.name),
            format!("{} external snapshots: {}", external.len(), external.join(", ")),
            advice(
                "Merge them into the image (virsh blockcommit while it runs), or move it without them (--snapshots drop): what they keep \
                 stays on the source.",
            ),
        )
    })
}

/// QEMU copies what a running guest sees of its disks, and not the snapshots in its images.
fn in_copied_images(facts: &Facts, domain: &DomainFacts) -> Option<Finding> {
    if !domain.is_active() {
        return None;
    }
    let copied = plan::files(facts).copied;
    let disks: Vec<&str> = copied.iter().map(|disk| disk.target.as_str()).collect();
    (!disks.is_empty()).then(|| {
        blocker(
            "snapshots-not-copied",
            &domain.name,
            format!(
                "Disks of {} are copied while it runs, and the snapshots in their images would not be in the copies.",
                domain.name
            ),
            format!("{}; copied: {}", names(&domain.snapshots), disks.join(", ")),
            advice("Stop it and move it then: its images go as they are. Or move it without them (--snapshots drop)."),
        )
    })
}
