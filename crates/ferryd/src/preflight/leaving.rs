//! What stays on the source because it was asked for.

use api::finding::Finding;

use super::say::{advice, blocker, warning};
use crate::model::definition::{Drive, Source};
use crate::model::facts::{DomainFacts, Facts, is_networked};
use crate::plan;

/// A copy that stays on the source shares nothing that is written to with what goes: two that run on one disk destroy it.
pub(super) fn copy(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, domain)) = facts.all().filter(|_| facts.wanted.copy) else { return };
    let name = &domain.name;
    if !domain.sight.persistent {
        findings.push(blocker(
            "copy-transient",
            name,
            format!("{name} has no definition on {} of which a copy could stay.", source.name),
            "it is transient".to_owned(),
            advice("Move it without --copy."),
        ));
    }
    let plan = plan::files(facts);
    let disks = domain.definition.disks.iter();
    let written = disks.filter(|disk| matches!(disk.drive, Drive::Disk | Drive::Lun) && !disk.readonly);
    for disk in written.filter(|disk| disk.source != Source::Empty && !plan.has_disk(&disk.target)) {
        findings.push(blocker(
            "copy-shared",
            &disk.target,
            format!("{} of {name} is not copied: a copy that stays on {} would have the same disk as {name} on {}, and both must never run.", disk.target, source.name, destination.name),
            disk.source.describe(),
            advice("Move it without --copy; or put the disk where only the source sees it."),
        ));
    }
    if let Some(path) = shared_nvram(facts, domain) {
        findings.push(blocker(
            "copy-shared",
            name,
            format!("Both hosts see one file with the variables of the firmware of {name}, which a copy would have too."),
            path.to_owned(),
            advice("Move it without --copy."),
        ));
    }
    if domain.definition.tpm.as_ref().is_some_and(|tpm| tpm.backend == "emulator") {
        findings.push(warning(
            "copy-new-tpm",
            name,
            format!("The TPM of {name} goes with it: the copy that stays on {} begins with a new one.", source.name),
            "an emulated TPM belongs to one virtual machine".to_owned(),
            advice("What the guest has sealed with its TPM (the key of an encrypted disk) the copy asks for anew: have it at hand."),
        ));
    }
}

/// The path of the variables of its firmware, where both hosts see one file.
fn shared_nvram<'a>(facts: &Facts, domain: &'a DomainFacts) -> Option<&'a str> {
    let nvram = domain.definition.firmware.nvram.as_deref()?;
    let proven = facts.meeting.as_ref().is_some_and(|meeting| meeting.is_shared(nvram));
    // Of a guest that runs that is not tried.
    let seen = facts.source.shell().and_then(|shell| shell.path(nvram));
    (proven || seen.is_some_and(|seen| is_networked(&seen.filesystem))).then_some(nvram)
}
