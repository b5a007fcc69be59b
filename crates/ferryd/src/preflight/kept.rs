//! Of a stopped domain: what libvirt keeps beside its definition, in files of the source's – saved memory, the state of a TPM.

use api::finding::Finding;

use super::say::{blocker, command, note, shell_word, size};
use crate::model::definition::Definition;
use crate::model::facts::{
    CpuVerdict, DomainFacts, Facts, HostFacts, SavedMemory, Sharing, TpmState, version,
};
use crate::plan::{self, Files, Role};

/// Its saved memory goes along, and can be loaded on the destination.
pub(super) fn saved_memory(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, domain)) = facts.all() else { return };
    let Some(saved) = domain.saved.as_ref().filter(|_| !domain.is_active()) else { return };
    let plan = plan::files(facts);
    let Some(why) = why_not(facts, source, destination, domain, saved, &plan) else {
        let mut finding = note(
            "managed-save-carried",
            &domain.name,
            format!(
                "The saved memory of {} is carried to {}: started there, it goes on from it.",
                domain.name, destination.name
            ),
            saved.path.clone(),
        );
        let file = plan.carried.iter().find(|file| file.role == Role::SavedMemory);
        finding.cost = file.map(|file| format!("{} to copy", size(file.allocated_bytes)));
        findings.push(finding);
        return;
    };
    let name = shell_word(&domain.name);
    findings.push(blocker(
        "managed-save",
        &domain.name,
        format!(
            "The memory of {} is saved on {}, and cannot go along: {why}.",
            domain.name, source.name
        ),
        saved.path.clone(),
        command(
            &format!(
                "Start it from there and move it running; or, where that memory is not needed, drop it (virsh managedsave-remove {name}): \
                 then it starts anew from its disks."
            ),
            format!("virsh start {name}"),
            Some(&source.name),
        ),
    ));
}

/// Why saved memory cannot be carried, or not be loaded there; none where it can.
fn why_not(
    facts: &Facts,
    source: &HostFacts,
    destination: &HostFacts,
    domain: &DomainFacts,
    saved: &SavedMemory,
    plan: &Files,
) -> Option<String> {
    if let Some(unread) = &saved.unread {
        return Some(format!("it could not be looked at ({unread})"));
    }
    if facts.wanted.copy {
        return Some(
            "a copy that stays (--copy) must not start from disks that this memory belongs to".to_owned(),
        );
    }
    let name = &destination.name;
    for (what, there, here) in [
        ("QEMU", destination.hypervisor_version, source.hypervisor_version),
        ("libvirt", destination.libvirt_version, source.libvirt_version),
    ] {
        if there < here {
            return Some(format!(
                "{what} {} on {name} is older than {}, by which it was saved",
                version(there),
                version(here)
            ));
        }
    }
    let unpacks =
        |program: &String| facts.destination.shell().is_some_and(|shell| shell.programs.contains(program));
    if let Some(program) = saved.compressed_by.as_ref().filter(|program| !unpacks(program)) {
        return Some(format!("{name} does not have {program}, by which it is compressed"));
    }
    let reception = facts.reception.as_ref();
    if let Some(Err(said)) = reception.and_then(|reception| reception.machine.as_ref()) {
        return Some(format!("{name} cannot run the machine that it was saved with ({said})"));
    }
    if let Some(CpuVerdict::Missing { said, features }) =
        reception.and_then(|reception| reception.cpu.as_ref())
    {
        let what = if features.is_empty() { said.clone() } else { features.join(", ") };
        return Some(format!("the CPU of {name} lacks what it was saved with ({what})"));
    }
    if saved.definition.as_ref().is_some_and(|definition| drives(definition) != drives(&domain.definition)) {
        return Some("the definition was given other drives since it was saved".to_owned());
    }
    match sharing_of(facts, &saved.path) {
        Some(Sharing::Different(what)) => {
            Some(format!("something else is there by its path on {name} ({what})"))
        }
        Some(Sharing::Shared(_)) => Some("both hosts see one and the same file".to_owned()),
        _ if plan.has_saved_memory() => None,
        _ => Some("how large it is, or whether there is room, could not be read".to_owned()),
    }
}

/// The drives by name and source, in the order of their names.
fn drives(definition: &Definition) -> Vec<(&str, String)> {
    let mut drives: Vec<(&str, String)> =
        definition.disks.iter().map(|disk| (disk.target.as_str(), disk.source.describe())).collect();
    drives.sort();
    drives
}

fn sharing_of<'a>(facts: &'a Facts, path: &str) -> Option<&'a Sharing> {
    facts.meeting.as_ref()?.sharing_of(path)
}

/// The state of its emulated TPM goes along, or both hosts have it.
pub(super) fn tpm_state(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, domain)) = facts.all() else { return };
    let Some(state) = domain.tpm_state.as_ref().filter(|_| !domain.is_active()) else { return };
    let name = &destination.name;
    let taken = |path: &&String| matches!(sharing_of(facts, path), Some(Sharing::Different(_)));
    if let Some(path) = state.files.iter().find(taken) {
        let place = shell_word(&state.place);
        findings.push(blocker(
            "tpm-state-taken",
            &domain.name,
            format!("On {name} there is a state of a TPM by the path of that of {}.", domain.name),
            path.clone(),
            command(
                "If it is a leftover, move it out of the way.",
                format!("mv {place} {place}.old"),
                Some(name),
            ),
        ));
        return;
    }
    if let Some(why) = tpm_stays(facts, state) {
        findings.push(blocker(
            "tpm-state-stays",
            &domain.name,
            format!(
                "The state of the TPM of {} lies on {}, and cannot be carried: {why}.",
                domain.name, source.name
            ),
            state.place.clone(),
            command(
                "Start it and move it running: then it goes along.",
                format!("virsh start {}", shell_word(&domain.name)),
                Some(&source.name),
            ),
        ));
    } else if plan::files(facts).carried.iter().any(|file| file.role == Role::TpmState) {
        findings.push(note(
            "tpm-state-carried",
            &domain.name,
            format!("The state of the TPM of {} is carried to {name}.", domain.name),
            state.place.clone(),
        ));
    }
}

/// Why the state of a TPM cannot be carried; none where it can, where there is none yet, or where both hosts see it.
fn tpm_stays(facts: &Facts, state: &TpmState) -> Option<String> {
    if let Some(unread) = &state.unread {
        return Some(format!("it could not be looked at ({unread})"));
    }
    let plan = plan::files(facts);
    let apart = |path: &&String| !matches!(sharing_of(facts, path), Some(Sharing::Shared(_)));
    let unknown = state.files.iter().filter(apart).find(|path| !plan.has_path(path))?;
    Some(format!("whether {} has {unknown} could not be found out", facts.destination.name()))
}
