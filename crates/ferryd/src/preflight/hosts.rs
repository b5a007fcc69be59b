//! The two machines: do they answer, are they two, do they fit.

use api::finding::Finding;

use super::{advice, blocker, command};
use crate::model::facts::{Facts, HostKnowledge};

/// Both hosts answer. Each way of not answering has a code of its own.
pub(super) fn reachable(facts: &Facts, findings: &mut Vec<Finding>) {
    for host in [&facts.source, &facts.destination] {
        if let HostKnowledge::Unreachable { name, code, message, evidence, remedy } = host {
            findings.push(blocker(code, name, message.clone(), evidence.clone(), advice(remedy)));
        }
    }
}

/// Source and destination are two machines: told by the host UUID, whatever names and addresses lead there.
pub(super) fn different(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(source), Some(destination)) = (facts.source.known(), facts.destination.known()) else { return };
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
        findings.push(blocker(
            "same-host",
            &destination.name,
            message,
            format!("host UUID {} ({}) on both", source.uuid, source.hostname),
            remedy,
        ));
    }
}

/// Both run the same hypervisor, and the destination can run this type of domain.
pub(super) fn hypervisor(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(source), Some(destination)) = (facts.source.known(), facts.destination.known()) else { return };
    if source.hypervisor != destination.hypervisor {
        findings.push(blocker(
            "hypervisor-differs",
            &destination.name,
            "A running virtual machine cannot change its hypervisor.".to_owned(),
            format!(
                "{}: {}, {}: {}",
                source.name, source.hypervisor, destination.name, destination.hypervisor
            ),
            advice("Choose a destination with the same hypervisor."),
        ));
        return;
    }
    let Some(domain) = &facts.domain else { return };
    if !destination.domain_types.contains(&domain.domain_type) {
        findings.push(blocker(
            "domain-type-missing",
            &destination.name,
            format!("{} cannot run a virtual machine of type \"{}\".", destination.name, domain.domain_type),
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
    let (Some(source), Some(destination)) = (facts.source.known(), facts.destination.known()) else { return };
    if source.architecture != destination.architecture {
        findings.push(blocker(
            "architecture-differs",
            &destination.name,
            "A running virtual machine cannot change its architecture.".to_owned(),
            format!(
                "{}: {}, {}: {}",
                source.name, source.architecture, destination.name, destination.architecture
            ),
            advice("Choose a destination of the same architecture."),
        ));
    }
}

/// The source's libvirt has an address to reach the destination by.
pub(super) fn peer_address(facts: &Facts, findings: &mut Vec<Finding>) {
    if facts.destination_peer_uri.is_some() {
        return;
    }
    let name = facts.destination.name();
    findings.push(blocker(
        "no-peer-uri",
        name,
        format!("{name} is registered by an address that only its own machine understands."),
        "its URI is local, and no peer URI was given".to_owned(),
        command(
            "Register it again with the URI by which the other hosts reach it.",
            format!("ferry host remove {name} && ferry host add {name} qemu:///system --peer-uri qemu+ssh://root@ADDRESS/system"),
            None,
        ),
    ));
}
