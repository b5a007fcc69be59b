//! The two machines: do they answer, are they two, do they fit.

use std::collections::BTreeSet;

use api::finding::Finding;

use super::say::{advice, blocker, command, note, size, warning};
use crate::model::facts::{Facts, HostFacts, HostKnowledge, version};

/// From here on clocks that differ are worth a word: the guest's own jumps by as much.
const CLOCKS_DIFFER_MS: u64 = 2_000;
/// What QEMU needs besides the guest's memory.
const QEMU_ITSELF_BYTES: u64 = 512 << 20;

/// Both hosts answer. Each way of not answering has a code of its own.
pub(super) fn reachable(facts: &Facts, findings: &mut Vec<Finding>) {
    for host in [&facts.source, &facts.destination] {
        if let HostKnowledge::Unreachable { name, code, message, evidence, remedy } = host {
            findings.push(blocker(code, name, message.clone(), evidence.clone(), advice(remedy)));
        }
    }
}

/// Its shell answers: what it did not tell was not checked, and that must not look like "nothing found".
pub(super) fn looked_at(facts: &Facts, findings: &mut Vec<Finding>) {
    for host in [&facts.source, &facts.destination].into_iter().filter_map(HostKnowledge::known) {
        if !host.shell_silent {
            continue;
        }
        findings.push(warning(
            "host-not-looked-at",
            &host.name,
            format!("{} did not answer in time what only its shell can tell: files, bridges, free memory and ports were not checked there.", host.name),
            "no answer by ssh within the limit".to_owned(),
            command(
                "Try again; where it stays so, see what hangs there: a dead file server makes every look at its mounts wait.",
                "timeout 5 df -h".to_owned(),
                Some(&host.name),
            ),
        ));
    }
}

fn both(facts: &Facts) -> Option<(&HostFacts, &HostFacts)> {
    Some((facts.source.known()?, facts.destination.known()?))
}

/// Source and destination are two machines: told by the host UUID, whatever names and addresses lead there.
pub(super) fn different(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination)) = both(facts) else { return };
    if source.uuid == destination.uuid {
        let message = if source.name == destination.name {
            format!("{} is the host it is on.", source.name)
        } else {
            format!("{} and {} are the same machine.", source.name, destination.name)
        };
        let remedy = advice(
            "Choose another destination. If these really are two machines, they carry the same host UUID: give each its own \
             (host_uuid in /etc/libvirt/libvirtd.conf, then restart libvirtd).",
        );
        let evidence = format!("host UUID {} ({}) on both", source.uuid, source.hostname);
        findings.push(blocker("same-host", &destination.name, message, evidence, remedy));
    }
}

/// Both run the same hypervisor, and the destination can run this type of domain.
pub(super) fn hypervisor(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination)) = both(facts) else { return };
    if source.hypervisor != destination.hypervisor {
        let evidence = format!(
            "{}: {}, {}: {}",
            source.name, source.hypervisor, destination.name, destination.hypervisor
        );
        findings.push(blocker(
            "hypervisor-differs",
            &destination.name,
            "A running virtual machine cannot change its hypervisor.".to_owned(),
            evidence,
            advice("Choose a destination with the same hypervisor."),
        ));
        return;
    }
    let Some(domain) = &facts.domain else { return };
    let wanted = &domain.definition.domain_type;
    if !destination.domain_types.contains(wanted) {
        findings.push(blocker(
            "domain-type-missing",
            &destination.name,
            format!("{} cannot run a virtual machine of type \"{wanted}\".", destination.name),
            format!("{} offers: {}", destination.name, destination.domain_types.join(", ")),
            command(
                "Where the CPU can virtualise, enable it in the firmware and load the kvm module.",
                "modprobe kvm_intel || modprobe kvm_amd".to_owned(),
                Some(&destination.name),
            ),
        ));
    }
}

/// Both machines have the same architecture.
pub(super) fn architecture(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination)) = both(facts) else { return };
    if source.architecture != destination.architecture {
        let evidence = format!(
            "{}: {}, {}: {}",
            source.name, source.architecture, destination.name, destination.architecture
        );
        findings.push(blocker(
            "architecture-differs",
            &destination.name,
            "A running virtual machine cannot change its architecture.".to_owned(),
            evidence,
            advice("Choose a destination of the same architecture."),
        ));
    }
}

/// From a newer QEMU to an older one a machine goes only with what the older one knows too.
pub(super) fn versions(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination)) = both(facts) else { return };
    for (code, what, here, there) in [
        ("qemu-older", "QEMU", source.hypervisor_version, destination.hypervisor_version),
        ("libvirt-older", "libvirt", source.libvirt_version, destination.libvirt_version),
    ] {
        if there < here {
            findings.push(warning(
                code,
                &destination.name,
                format!(
                    "{} has an older {what} than {}: what only the newer one knows cannot be taken along.",
                    destination.name, source.name
                ),
                format!("{}: {}, {}: {}", source.name, version(here), destination.name, version(there)),
                advice("The other checks tell what is known to be missing. Bring both hosts to one release when you can."),
            ));
        }
    }
}

/// The clocks agree.
pub(super) fn clocks(facts: &Facts, findings: &mut Vec<Finding>) {
    let offset = |host: &HostFacts| host.shell.as_ref()?.clock_offset_ms;
    let Some((source, destination)) = both(facts) else { return };
    let (Some(here), Some(there)) = (offset(source), offset(destination)) else { return };
    let apart_ms = here.abs_diff(there);
    if apart_ms < CLOCKS_DIFFER_MS {
        return;
    }
    let seconds = apart_ms as f64 / 1000.0;
    let wrong = if here.unsigned_abs() > there.unsigned_abs() { source } else { destination };
    findings.push(warning(
        "clocks-differ",
        &wrong.name,
        format!(
            "The clocks of {} and {} are {seconds:.1} s apart; the guest's may jump by as much.",
            source.name, destination.name
        ),
        format!("against Ferry's own clock: {} {here} ms, {} {there} ms", source.name, destination.name),
        command(
            "Have it keep time by the network.",
            "timedatectl set-ntp true".to_owned(),
            Some(&wrong.name),
        ),
    ));
}

/// The destination has the memory.
pub(super) fn memory(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((_, destination, domain)) = facts.all() else { return };
    let definition = &domain.definition;
    if facts.same_machine() || !definition.memory_backing.huge_pages_kib.is_empty() || !domain.is_active() {
        return;
    }
    let needed = definition.memory_bytes;
    let name = &destination.name;
    let shell = destination.shell.as_ref();
    let all = shell.and_then(|shell| shell.memory_and_swap_bytes).unwrap_or(destination.memory_bytes);
    if needed > all {
        findings.push(blocker(
            "memory-exceeds-host",
            name,
            format!("{} is larger than {name}: QEMU cannot allocate its memory there.", domain.name),
            format!("{} needed, {name} has {} with swap", size(needed), size(all)),
            advice("Choose a destination with more memory."),
        ));
        return;
    }
    if let Some(limit) = shell.and_then(|shell| shell.daemon_address_space_bytes)
        && limit < needed.saturating_add(QEMU_ITSELF_BYTES)
    {
        findings.push(blocker(
            "memory-limit",
            name,
            format!("libvirt's daemon on {name} is limited to less memory than {} needs.", domain.name),
            format!("{} needed, address space limited to {} (RLIMIT_AS)", size(needed), size(limit)),
            command(
                "Lift the limit: LimitAS in the service's unit, and for the daemon that runs now:",
                "for f in /run/libvirtd.pid /run/virtqemud.pid; do [ ! -e $f ] || prlimit --as=unlimited --pid $(cat $f); done".to_owned(),
                Some(name),
            ),
        ));
    }
    let Some(available) = shell.and_then(|shell| shell.memory_available_bytes) else { return };
    let arriving = facts.reception.as_ref().map_or(0, |reception| reception.memory_arriving_bytes);
    let free = available.saturating_sub(arriving);
    if needed > free {
        let at_once = definition.memory_backing.locked || definition.memory_backing.allocated_at_once;
        let evidence = format!(
            "{} needed, {} available there, {} of it for others on their way",
            size(needed),
            size(available),
            size(arriving)
        );
        let message = format!("{name} has too little free memory for {}.", domain.name);
        let remedy =
            advice("Move or stop something there first, or choose a destination with more free memory.");
        findings.push(if at_once {
            blocker("memory-short", name, message, evidence, remedy)
        } else {
            warning(
                "memory-short",
                name,
                format!("{message} It will swap, or the kernel will end something."),
                evidence,
                remedy,
            )
        });
    } else if let Some(reception) = &facts.reception
        && reception.memory_promised_bytes.saturating_add(needed).saturating_add(arriving)
            > destination.memory_bytes
    {
        findings.push(note(
            "memory-overcommitted",
            name,
            format!("With {}, the virtual machines on {name} may want more memory than it has.", domain.name),
            format!(
                "{} promised to those that run there, {} for this one, {name} has {}",
                size(reception.memory_promised_bytes),
                size(needed),
                size(destination.memory_bytes)
            ),
        ));
    }
}

/// The destination has the huge pages.
pub(super) fn huge_pages(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((_, destination, domain)) = facts.all() else { return };
    let definition = &domain.definition;
    let Some(shell) = destination.shell.as_ref().filter(|_| domain.is_active()) else { return };
    let default_kib = shell.huge_pages_free.keys().next().copied().unwrap_or(2048);
    for size_kib in &definition.memory_backing.huge_pages_kib {
        let size_kib = if *size_kib == 0 { default_kib } else { *size_kib };
        let needed = definition.memory_bytes.div_ceil(size_kib << 10);
        let free = shell.huge_pages_free.get(&size_kib).copied();
        if free.is_some_and(|free| free >= needed) {
            continue;
        }
        let name = &destination.name;
        let evidence = match free {
            Some(free) => format!("{needed} pages of {size_kib} KiB needed, {free} free"),
            None => {
                format!("{needed} pages of {size_kib} KiB needed, the kernel there has none of that size")
            }
        };
        findings.push(blocker(
            "huge-pages-short",
            name,
            format!("{name} has too few free huge pages for {}.", domain.name),
            evidence,
            command(
                "Set them aside (as many as are used there already, and these).",
                format!("echo {needed} > /sys/kernel/mm/hugepages/hugepages-{size_kib}kB/nr_hugepages"),
                Some(name),
            ),
        ));
    }
}

/// A domain whose memory is locked may lock it there, too.
pub(super) fn locked_memory(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((_, destination, domain)) = facts.all() else { return };
    let definition = &domain.definition;
    let limit = destination.shell.as_ref().and_then(|shell| shell.daemon_locked_memory_limit_bytes);
    let Some(limit) = limit.filter(|_| definition.memory_backing.locked && domain.is_active()) else {
        return;
    };
    let needed = definition.memory_bytes.saturating_add(QEMU_ITSELF_BYTES);
    if limit >= needed {
        return;
    }
    findings.push(warning(
        "locked-memory-limit",
        &destination.name,
        format!(
            "libvirt's daemon on {} may not lock as much memory as {} wants locked. It raises the limit by itself, unless it is confined.",
            destination.name, domain.name
        ),
        format!("{} wanted, at most {} (RLIMIT_MEMLOCK)", size(needed), size(limit)),
        command(
            "Lift the limit: LimitMEMLOCK in the service's unit, and for the daemon that runs now:",
            "for f in /run/libvirtd.pid /run/virtqemud.pid; do [ ! -e $f ] || prlimit --memlock=unlimited --pid $(cat $f); done".to_owned(),
            Some(&destination.name),
        ),
    ));
}

/// The same lock manager guards the images on both: one that holds no lock does not see the other's.
pub(super) fn lock_managers(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, domain)) = facts.all() else { return };
    let (Some(here), Some(there)) = (&source.shell, &destination.shell) else { return };
    if here.lock_manager == there.lock_manager || domain.definition.disks.is_empty() {
        return;
    }
    let of = |manager: &Option<String>| manager.clone().unwrap_or_else(|| "none".to_owned());
    findings.push(warning(
        "lock-managers-differ",
        &destination.name,
        format!(
            "{} and {} do not guard images by the same lock manager: neither sees what the other has locked.",
            source.name, destination.name
        ),
        format!(
            "lock_manager of qemu.conf: {} on {}, {} on {}",
            of(&here.lock_manager),
            source.name,
            of(&there.lock_manager),
            destination.name
        ),
        advice("Set lock_manager in /etc/libvirt/qemu.conf to the same on both, and restart libvirt there."),
    ));
}

/// The destination has the processors.
pub(super) fn processors(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((_, destination, domain)) = facts.all() else { return };
    let (wanted, name) = (domain.definition.vcpus, &destination.name);
    if wanted > destination.cpus && !facts.same_machine() {
        findings.push(warning(
            "processors-fewer",
            name,
            format!("{} has more virtual processors than {name} has real ones.", domain.name),
            format!("{wanted} virtual, {} real", destination.cpus),
            advice("It runs, but slowly; choose a larger destination."),
        ));
    }
    let most =
        facts.reception.as_ref().and_then(|reception| reception.machine.as_ref()?.as_ref().ok()?.vcpus_max);
    if let Some(most) = most.filter(|most| domain.definition.vcpus_max > *most) {
        findings.push(blocker(
            "processors-too-many",
            name,
            format!("{name}'s QEMU cannot give {} as many virtual processors.", domain.name),
            format!(
                "{} wanted, at most {most} with {}",
                domain.definition.vcpus_max, domain.definition.machine
            ),
            advice("Choose a destination with a newer QEMU."),
        ));
    }
}

/// What is pinned to CPUs and NUMA nodes finds them.
pub(super) fn placement(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((_, destination, domain)) = facts.all() else { return };
    let cpus: BTreeSet<u32> = destination.numa_nodes.iter().flat_map(|node| &node.cpus).copied().collect();
    let nodes: BTreeSet<u32> = destination.numa_nodes.iter().map(|node| node.id).collect();
    if cpus.is_empty() {
        return;
    }
    let (name, placement) = (&destination.name, &domain.there().placement);
    for (what, set) in &placement.pinned {
        let wanted = number_set(set);
        let missing: Vec<u32> = wanted.difference(&cpus).copied().collect();
        if missing.is_empty() {
            continue;
        }
        let evidence = format!("{what} pinned to {set}; {name} has CPUs {}", in_words(&cpus));
        let remedy =
            advice("Pin it to CPUs that both hosts have (virsh vcpupin, virsh emulatorpin), or not at all.");
        findings.push(if missing.len() == wanted.len() {
            blocker(
                "pinned-cpus-missing",
                name,
                format!("{name} has none of the CPUs that {what} of {} is pinned to.", domain.name),
                evidence,
                remedy,
            )
        } else {
            warning(
                "pinned-cpus-fewer",
                name,
                format!("{name} has only some of the CPUs that {what} of {} is pinned to.", domain.name),
                evidence,
                remedy,
            )
        });
    }
    if let Some(set) = &placement.numa_nodes
        && !number_set(set).is_subset(&nodes)
        && placement.numa_mode.as_deref() != Some("preferred")
    {
        findings.push(blocker(
            "numa-nodes-missing",
            name,
            format!("{name} does not have the NUMA nodes that the memory of {} must come from.", domain.name),
            format!("nodes {set} wanted, {name} has {}", in_words(&nodes)),
            advice("Change the nodes (virsh numatune), or choose a destination that has them."),
        ));
    }
}

/// A set in libvirt's writing: `0-3,^2,7`.
fn number_set(text: &str) -> BTreeSet<u32> {
    let mut set = BTreeSet::new();
    for part in text.split(',').map(str::trim) {
        let (part, without) = part.strip_prefix('^').map_or((part, false), |part| (part, true));
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else { continue };
        // A set of more CPUs than any machine has is a mistake, and not worth the memory.
        for number in (first..=last).take(1 << 16) {
            if without {
                set.remove(&number);
            } else {
                set.insert(number);
            }
        }
    }
    set
}

fn in_words(set: &BTreeSet<u32>) -> String {
    match (set.first(), set.last()) {
        (Some(first), Some(last))
            if usize::try_from(last - first).is_ok_and(|span| span + 1 == set.len()) && first != last =>
        {
            format!("{first}-{last}")
        }
        _ => set.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
    }
}

/// Labels that are fixed are of the destination's kind.
pub(super) fn security_labels(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((_, destination, domain)) = facts.all() else { return };
    for (model, label) in &domain.there().fixed_labels {
        if model == "dac" || model == "none" || destination.security_model.as_ref() == Some(model) {
            continue;
        }
        let has = destination.security_model.as_deref().unwrap_or("none");
        findings.push(blocker(
            "label-model-missing",
            &destination.name,
            format!(
                "{} has a fixed label of {model}, which {} does not have.",
                domain.name, destination.name
            ),
            format!("label {label}; security model of {}: {has}", destination.name),
            advice("Let libvirt label it by itself: remove the <seclabel type='static'> of that model."),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_as_libvirt_writes_them() {
        assert_eq!(number_set("0-3,^2,7"), BTreeSet::from([0, 1, 3, 7]));
        assert!(number_set("x").is_empty());
        assert_eq!(in_words(&number_set("0-3")), "0-3");
        assert_eq!(in_words(&number_set("0,2")), "0,2");
    }
}
