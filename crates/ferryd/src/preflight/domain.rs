//! The domain itself: is it there, can it move now, is its place free.

use api::finding::Finding;
use api::vm::VmState;

use super::{advice, blocker, command};
use crate::model::facts::Facts;

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
    let (Some(source), Some(domain)) = (facts.source.known(), &facts.domain) else { return };
    let state = domain.sight.state;
    let (code, message, remedy) = match state {
        VmState::Running | VmState::Blocked | VmState::Paused => return,
        VmState::Shutoff => (
            "vm-stopped",
            format!(
                "{} is stopped. Moving stopped virtual machines comes next; today only running and paused ones move.",
                domain.name
            ),
            command(
                "Start it first.",
                format!("virsh start {}", shell_word(&domain.name)),
                Some(&source.name),
            ),
        ),
        _ => (
            "vm-state",
            format!("{} cannot be moved while its state is \"{}\".", domain.name, state.as_str()),
            advice("Wait until it is running, paused or stopped."),
        ),
    };
    findings.push(blocker(code, &domain.name, message, format!("state {}", state.as_str()), remedy));
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

/// Nothing of the machine's own is given to it.
pub(super) fn passed_through(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(domain) = &facts.domain else { return };
    for device in &domain.passed_through {
        findings.push(blocker(
            "device-passed-through",
            &device.what,
            format!("{} uses a device of its host, which cannot move with it.", domain.name),
            format!("passed through: {}", device.what),
            advice("Detach the device (virsh detach-device), move, and attach one of the destination's."),
        ));
    }
}

/// Its name and UUID are free on the destination. (libvirt itself would overwrite a stopped domain of the same name and UUID
/// without a word.)
pub(super) fn name_and_uuid_free(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(destination), Some(domain)) = (facts.destination.known(), &facts.domain) else { return };
    if facts.source.known().is_some_and(|source| source.uuid == destination.uuid) {
        // Its namesake on the same machine is the domain itself, and nothing to be removed.
        return;
    }
    for other in &facts.namesakes {
        let state = if other.active { "running" } else { "stopped" };
        let evidence = format!("{} has {} ({}), {state}", destination.name, other.name, other.uuid);
        let word = shell_word(&other.name);
        let remedy = if other.active {
            advice("Find out which of the two is the right one, and stop and remove the other.")
        } else {
            command(
                "If that definition is a leftover, remove it; it refers to disks, which stay.",
                format!("virsh undefine --keep-nvram {word}"),
                Some(&destination.name),
            )
        };
        let (code, what) =
            if other.uuid == domain.uuid { ("uuid-taken", "UUID") } else { ("name-taken", "name") };
        findings.push(blocker(
            code,
            &other.name,
            format!("{} already has a virtual machine with the {what} of {}.", destination.name, domain.name),
            evidence,
            remedy,
        ));
    }
}

/// A name as it can be pasted into a shell.
fn shell_word(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.is_empty() && !name.starts_with('-') && name.chars().all(plain) {
        return name.to_owned();
    }
    let quoted = format!("'{}'", name.replace('\'', r"'\''"));
    if name.starts_with('-') { format!("-- {quoted}") } else { quoted }
}

#[cfg(test)]
mod tests {
    use super::shell_word;

    #[test]
    fn names_are_safe_to_paste() {
        assert_eq!(shell_word("web1"), "web1");
        assert_eq!(shell_word("my vm"), "'my vm'");
        assert_eq!(shell_word("a'; reboot"), r"'a'\''; reboot'");
        assert_eq!(shell_word("-x"), "-- '-x'");
    }
}
