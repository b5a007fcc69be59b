//! The virtual machine's own hardware: what the destination's QEMU must offer.

use api::finding::Finding;

use super::say::{advice, blocker, command, note, shell_word, warning};
use crate::model::facts::{Facts, version};
use crate::plan;

/// The destination's QEMU knows the machine type.
pub(super) fn machine_type(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((source, destination, domain)), Some(reception)) = (facts.all(), &facts.reception) else {
        return;
    };
    let Some(Err(said)) = &reception.machine else { return };
    let (name, machine) = (&destination.name, &domain.definition.machine);
    if destination.domain_types.iter().all(|offered| *offered != domain.definition.domain_type) {
        // Said already.
        return;
    }
    findings.push(blocker(
        "machine-type-missing",
        name,
        format!("{name} cannot run a machine of the type {machine}."),
        format!(
            "{said}; QEMU {} there, {} on {}",
            version(destination.hypervisor_version),
            version(source.hypervisor_version),
            source.name
        ),
        advice(
            "Choose a destination with a newer QEMU; or shut it down, give it a machine type that both hosts have (virsh edit, \
             <type machine=…>; virsh capabilities lists them), and start it.",
        ),
    ));
}

/// QEMU is where the definition says.
pub(super) fn emulator(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((_, destination, domain)), Some(shell)) = (facts.all(), facts.destination.shell()) else {
        return;
    };
    let Some(path) = &domain.there().emulator else { return };
    if shell.path(path).is_none_or(|found| found.exists()) {
        return;
    }
    let name = &destination.name;
    findings.push(match plan::host_files(facts).get(path) {
        Some(other) => note(
            "emulator-mapped",
            path,
            format!("QEMU is at another path on {name}; {} is defined with that one there.", domain.name),
            format!("{path} is not there, {other} is"),
        ),
        None => blocker(
            "emulator-missing",
            path,
            format!("{name} has no QEMU at {path}, where {} says that it is.", domain.name),
            "nothing is there".to_owned(),
            advice("Install QEMU there."),
        ),
    });
}

/// The firmware and what its variables are made from are there.
pub(super) fn firmware(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, domain)) = facts.all() else { return };
    let (name, firmware) = (&destination.name, &domain.there().firmware);
    let mapped = plan::host_files(facts);
    let missing = |path: &&String| {
        let found = facts.destination.shell().and_then(|shell| shell.path(path));
        found.is_some_and(|found| !found.exists()) && !mapped.contains_key(*path)
    };
    if let Some((loader, other)) = firmware.loader.as_ref().and_then(|loader| mapped.get_key_value(loader)) {
        findings.push(note(
            "firmware-mapped",
            loader,
            format!(
                "The firmware of {} is at another path on {name}; it is defined with that one there.",
                domain.name
            ),
            format!("{loader} is not there, {other} is, and as large"),
        ));
    }
    if let Some(loader) = firmware.loader.as_ref().filter(missing) {
        findings.push(blocker(
            "firmware-missing",
            loader,
            format!("{name} does not have the firmware of {}.", domain.name),
            format!("{loader} is not there"),
            command(
                "Install the same firmware there, or bring the file over.",
                format!("scp -p {0} {1}:{0}", shell_word(loader), shell_word(&destination.hostname)),
                Some(&source.name),
            ),
        ));
    }
    if let Some(template) = firmware.nvram_template.as_ref().filter(missing)
        && firmware.nvram.as_ref().is_none_or(|nvram| missing(&nvram))
    {
        findings.push(blocker(
            "nvram-template-missing",
            template,
            format!(
                "{name} does not have what the variables of the firmware of {} are made from.",
                domain.name
            ),
            format!("{template} is not there"),
            command(
                "Install the same firmware there, or bring the file over.",
                format!("scp -p {0} {1}:{0}", shell_word(template), shell_word(&destination.hostname)),
                Some(&source.name),
            ),
        ));
    }
    let machine = facts.reception.as_ref().and_then(|reception| reception.machine.as_ref()?.as_ref().ok());
    if firmware.secure && machine.is_some_and(|machine| !machine.secure_boot && !machine.loaders.is_empty()) {
        findings.push(blocker(
            "secure-boot-missing",
            name,
            format!("{} enforces secure boot, which {name} does not offer.", domain.name),
            "no firmware with secure boot in its domain capabilities".to_owned(),
            advice("Install a firmware with secure boot there (package ovmf or edk2-ovmf)."),
        ));
    }
}

/// The TPM can be had.
pub(super) fn tpm(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, domain)) = facts.all() else { return };
    let Some(tpm) = &domain.definition.tpm else { return };
    let name = &destination.name;
    if tpm.backend == "passthrough" {
        findings.push(blocker(
            "tpm-passed-through",
            "tpm",
            format!("{} uses the TPM of its host, which cannot move with it.", domain.name),
            "backend passthrough".to_owned(),
            advice("Give it an emulated TPM."),
        ));
        return;
    }
    let (here, there) = (facts.source.shell(), facts.destination.shell());
    let Some(there) = there.filter(|_| tpm.backend == "emulator") else { return };
    match (&there.swtpm, here.and_then(|shell| shell.swtpm.as_ref())) {
        (None, _) => findings.push(blocker(
            "swtpm-missing",
            name,
            format!("{name} has no swtpm, which the emulated TPM of {} needs.", domain.name),
            "swtpm does not run there".to_owned(),
            command(
                "Install it.",
                "apt install swtpm swtpm-tools || dnf install swtpm swtpm-tools".to_owned(),
                Some(name),
            ),
        )),
        (Some(theirs), Some(ours)) if swtpm_version(theirs) < swtpm_version(ours) => findings.push(warning(
            "swtpm-older",
            name,
            format!("{name} has an older swtpm than {}: it may not read the TPM's state.", source.name),
            format!("{ours} on {}, {theirs} on {name}", source.name),
            command("Bring it up to date.", "apt install --only-upgrade swtpm".to_owned(), Some(name)),
        )),
        _ => {}
    }
}

/// "TPM emulator version 0.7.1, Copyright …" as numbers.
fn swtpm_version(text: &str) -> Vec<u32> {
    let word = text.split([' ', ',']).find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    word.unwrap_or_default().split('.').filter_map(|part| part.parse().ok()).collect()
}

/// Memory that its host encrypts stays on that host.
pub(super) fn launch_security(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(domain) = facts.domain.as_ref().filter(|domain| domain.is_active()) else { return };
    if let Some(kind) = &domain.definition.launch_security {
        findings.push(blocker(
            "launch-security",
            &domain.name,
            format!("The memory of {} is encrypted by its host's processor ({kind}), and cannot move while it runs.", domain.name),
            format!("launchSecurity type {kind}"),
            advice("Shut it down, move it, and start it on the other host."),
        ));
    }
}

/// The destination's QEMU has devices of these kinds.
pub(super) fn devices_offered(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((_, destination, domain)), Some(reception)) = (facts.all(), &facts.reception) else { return };
    let Some(Ok(machine)) = &reception.machine else { return };
    let definition = &domain.definition;
    let mut wanted: Vec<(&str, &str, String)> = Vec::new();
    wanted.extend(
        definition.graphics.iter().map(|screen| ("graphics.type", screen.kind.as_str(), "screen".to_owned())),
    );
    wanted.extend(
        definition.disks.iter().map(|disk| ("disk.bus", disk.bus.as_str(), format!("disk {}", disk.target))),
    );
    wanted.extend(
        definition
            .filesystems
            .iter()
            .map(|fs| ("filesystem.driverType", fs.driver.as_str(), format!("directory {}", fs.target))),
    );
    for (property, value, what) in wanted {
        // What an old libvirt does not list is no news.
        if !machine.lists(property) || machine.offers(property, value) || value.is_empty() {
            continue;
        }
        let offered = machine.devices.get(property).cloned().unwrap_or_default();
        findings.push(blocker(
            "device-not-offered",
            &destination.name,
            format!("The QEMU of {} offers no {value} for the {what} of {}.", destination.name, domain.name),
            format!(
                "{property}: {}",
                if offered.is_empty() { "none".to_owned() } else { offered.join(", ") }
            ),
            advice("Install the package of QEMU that has it, or give the virtual machine another device."),
        ));
    }
    if let Some(nvram) = &definition.firmware.nvram
        && facts.destination.shell().and_then(|shell| shell.path(nvram)).is_some_and(|found| found.exists())
    {
        findings.push(note(
            "nvram-present",
            nvram,
            format!(
                "{} has variables of a firmware under the path of {}'s already; they are overwritten.",
                destination.name, domain.name
            ),
            format!("{nvram} is there"),
        ));
    }
}

/// The destination's libvirt takes the definition as a whole: what no other check knows of shows here.
pub(super) fn definition_taken(facts: &Facts, findings: &mut Vec<Finding>) {
    /// What makes it refuse, too, and is told better by a check of its own.
    const TOLD: &[&str] = &[
        "machine-type-missing",
        "domain-type-missing",
        "emulator-missing",
        "emulator-mapped",
        "firmware-missing",
        "firmware-mapped",
        "swtpm-missing",
        "device-not-offered",
        "cpu-features-missing",
        "secure-boot-missing",
        "processors-too-many",
        "pool-missing",
        "pool-inactive",
        "secret-missing",
        "secret-empty",
        "network-missing",
        "network-inactive",
        "filter-missing",
    ];
    let (Some((source, destination, domain)), Some(reception)) = (facts.all(), &facts.reception) else {
        return;
    };
    let Some(said) = &reception.refused else { return };
    if findings.iter().any(|finding| TOLD.contains(&finding.code.as_str())) {
        return;
    }
    let name = &destination.name;
    findings.push(blocker(
        "definition-refused",
        name,
        format!("The libvirt of {name} does not take the definition of {} as it is.", domain.name),
        format!(
            "{said}; libvirt {} and QEMU {} there, {} and {} on {}",
            version(destination.libvirt_version),
            version(destination.hypervisor_version),
            version(source.libvirt_version),
            version(source.hypervisor_version),
            source.name
        ),
        advice(
            "Shut it down, remove or replace what it does not know (virsh edit), start it and move it then; or choose a \
             destination with a newer libvirt and QEMU.",
        ),
    ));
}

#[cfg(test)]
mod tests {
    use super::swtpm_version;

    #[test]
    fn versions_of_swtpm_are_compared_as_numbers() {
        let of = swtpm_version;
        assert!(
            of("TPM emulator version 0.7.1, Copyright (c) 2014")
                < of("TPM emulator version 0.10.0, Copyright (c) 2014")
        );
    }
}
