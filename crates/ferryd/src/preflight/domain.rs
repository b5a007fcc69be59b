//! The domain itself: is it there, can it move now, is its place free.

use api::finding::Finding;
use api::vm::VmState;

use super::say::{advice, blocker, command, note, shell_word, warning};
use crate::model::facts::{DomainFacts, Facts, HostFacts, Sharing};
use crate::plan;

/// The source (still) has it.
pub(super) fn present(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(source) = facts.source.known() else { return };
    if facts.domain.is_none() {
        findings.push(blocker(
            "vm-gone",
            &source.name,
            format!("The virtual machine is not on {} any more.", source.name),
            format!("{}'s libvirt has no such domain", source.name),
            command("See where it is.", "ferry vm list".to_owned(), None),
        ));
    }
}

/// It is in a state that can move.
pub(super) fn movable(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(domain) = &facts.domain else { return };
    let state = domain.sight.state;
    if matches!(state, VmState::Running | VmState::Blocked | VmState::Paused | VmState::Shutoff) {
        return;
    }
    findings.push(blocker(
        "vm-state",
        &domain.name,
        format!("{} cannot be moved while its state is \"{}\".", domain.name, state.as_str()),
        format!("state {}", state.as_str()),
        advice("Wait until it is running, paused or stopped."),
    ));
}

/// Of a stopped one: the variables of its firmware, in a file of the source's.
pub(super) fn kept_beside(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(source), Some(domain)) = (facts.source.known(), &facts.domain) else { return };
    if domain.is_active() {
        return;
    }
    if let Some(path) = domain.definition.firmware.nvram.as_deref() {
        findings.extend(nvram(facts, source, domain, path));
    }
}

/// The variables of its firmware: carried, already there, or in the way.
fn nvram(facts: &Facts, source: &HostFacts, domain: &DomainFacts, path: &str) -> Option<Finding> {
    let meeting = facts.meeting.as_ref()?;
    let there = facts.destination.name();
    match meeting.sharing_of(path) {
        Some(Sharing::Shared(_)) => None,
        Some(Sharing::Missing) if plan::files(facts).has_nvram() => Some(note(
            "nvram-carried",
            &domain.name,
            format!("The variables of the firmware of {} are carried to {there}.", domain.name),
            path.to_owned(),
        )),
        // It has not been started yet: they are made at its first start.
        Some(Sharing::Missing) if facts.source.shell().is_some() => None,
        Some(Sharing::Different(what)) => Some(blocker(
            "nvram-taken",
            &domain.name,
            format!("On {there} there are variables of a firmware by the path of those of {}.", domain.name),
            format!("{path}: {what}"),
            command(
                "If they are a leftover, move them out of the way.",
                format!("mv {0} {0}.old", shell_word(path)),
                Some(there),
            ),
        )),
        _ => Some(blocker(
            "nvram-stays",
            &domain.name,
            format!(
                "The variables of the firmware of {} lie in a file on {}, and cannot be carried.",
                domain.name, source.name
            ),
            path.to_owned(),
            command(
                "Start it and move it running: then they go along.",
                format!("virsh start {}", shell_word(&domain.name)),
                Some(&source.name),
            ),
        )),
    }
}

/// No job is at work on it.
pub(super) fn idle(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(source), Some(domain)) = (facts.source.known(), &facts.domain) else { return };
    if domain.sight.job {
        let name = shell_word(&domain.name);
        findings.push(blocker(
            "job-active",
            &domain.name,
            format!("A job of libvirt's is at work on {} (a migration, backup, save or dump).", domain.name),
            "virDomainGetJobStats reports an active job".to_owned(),
            command(
                "Wait for it to end, or abort it.",
                format!("virsh domjobinfo {name}; virsh domjobabort {name}"),
                Some(&source.name),
            ),
        ));
    }
}

/// Its name and UUID are free on the destination. (libvirt itself would overwrite a stopped domain of the same name and UUID
/// without a word.)
pub(super) fn name_and_uuid_free(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(destination), Some(domain)) = (facts.destination.known(), &facts.domain) else { return };
    let Some(reception) = facts.reception.as_ref().filter(|_| !facts.same_machine()) else { return };
    for other in &reception.namesakes {
        let state = if other.active { "running" } else { "stopped" };
        let evidence = format!("{} has {} ({}), {state}", destination.name, other.name, other.uuid);
        let word = shell_word(&other.name);
        let remedy = if other.active {
            advice(
                "Find out which of the two is the right one, and stop and remove the other; or, of two that only have one name, \
                 move this one under another (--rename).",
            )
        } else {
            command(
                "If that definition is a leftover, remove it; it refers to disks, which stay.",
                format!("virsh undefine --keep-nvram {word}"),
                Some(&destination.name),
            )
        };
        let (code, whose) = if other.uuid == domain.uuid {
            ("uuid-taken", format!("the UUID of {}", domain.name))
        } else {
            ("name-taken", format!("the name {}", domain.there().name))
        };
        findings.push(blocker(
            code,
            &other.name,
            format!("{} already has a virtual machine with {whose}.", destination.name),
            evidence,
            remedy,
        ));
    }
}

/// Its title is nobody else's there: two of one title confuse people.
pub(super) fn title_free(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((_, destination, domain)), Some(reception)) = (facts.all(), &facts.reception) else { return };
    let Some(title) = &domain.definition.title else { return };
    for other in reception.occupied.iter().filter(|other| other.title.as_ref() == Some(title)) {
        findings.push(warning(
            "title-taken",
            &other.domain,
            format!("{} on {} has the same title as {}.", other.domain, destination.name, domain.name),
            format!("title \"{title}\""),
            command(
                "Give one of them another title.",
                format!(
                    "virsh desc --title {} {}",
                    shell_word(&other.domain),
                    shell_word(&format!("{title} (2)"))
                ),
                Some(&destination.name),
            ),
        ));
    }
}

/// It has no checkpoints: libvirt moves it, and forgets them.
pub(super) fn checkpoints(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(source), Some(domain)) = (facts.source.known(), &facts.domain) else { return };
    let (name, list) = (shell_word(&domain.name), &domain.checkpoints);
    let Some(last) = list.last() else { return };
    findings.push(warning(
        "checkpoints",
        &domain.name,
        format!(
            "The libvirt of {} will not know the checkpoints of {}: backups that build on them begin anew.",
            facts.destination.name(),
            domain.name
        ),
        format!("{} checkpoints: {}", list.len(), list.join(", ")),
        command(
            "Keep their XML, and tell it to libvirt after the move (virsh checkpoint-create --redefine); the images keep what is \
             theirs.",
            format!("virsh checkpoint-dumpxml {name} {}", shell_word(last)),
            Some(&source.name),
        ),
    ));
}

/// No job is at work on its disks.
pub(super) fn block_jobs(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(source), Some(domain)) = (facts.source.known(), &facts.domain) else { return };
    // A backup is a job of the whole domain's, and is told as that.
    for job in domain.block_jobs.iter().filter(|job| job.kind != "backup") {
        let (name, target) = (shell_word(&domain.name), shell_word(&job.target));
        findings.push(blocker(
            "block-job-active",
            &job.target,
            format!("A {} is at work on disk {} of {}.", job.kind, job.target, domain.name),
            format!("virDomainGetBlockJobInfo reports a {}", job.kind),
            command(
                "Wait for it to end, or abort it.",
                format!("virsh blockjob {name} {target} --abort"),
                Some(&source.name),
            ),
        ));
    }
}

/// libvirt can speak with its QEMU.
pub(super) fn responding(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(source), Some(domain)) = (facts.source.known(), &facts.domain) else { return };
    if let Some(trouble) = &domain.not_responding {
        findings.push(blocker(
            "not-responding",
            &domain.name,
            format!("libvirt cannot speak with the QEMU of {}.", domain.name),
            trouble.clone(),
            command(
                "See what occupies it.",
                format!("virsh domcontrol {}", shell_word(&domain.name)),
                Some(&source.name),
            ),
        ));
    }
}

/// Its guest agent, where it has a channel for one.
pub(super) fn guest_agent(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(domain) = facts.domain.as_ref().filter(|domain| domain.is_active()) else { return };
    let agent = domain.definition.character_devices.iter().find(|device| {
        device.target.as_deref().is_some_and(|target| target.starts_with("org.qemu.guest_agent"))
    });
    if agent.is_some_and(|agent| agent.state.as_deref() == Some("disconnected")) {
        findings.push(note(
            "guest-agent-absent",
            &domain.name,
            format!(
                "The guest agent of {} does not answer; the guest's clock is not set after the move.",
                domain.name
            ),
            "its channel is disconnected".to_owned(),
        ));
    }
}
