//! The guest's CPU.

use api::finding::Finding;

use super::say::{advice, blocker, note, warning};
use crate::model::facts::{CpuVerdict, Facts};

/// The destination has every feature that the running guest was given.
pub(super) fn features(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((_, destination, domain)), Some(reception)) = (facts.all(), &facts.reception) else { return };
    // A stopped one is given its CPU anew when it starts.
    if !domain.is_active() {
        return;
    }
    let name = &destination.name;
    match &reception.cpu {
        None | Some(CpuVerdict::Fits) => {}
        Some(CpuVerdict::Missing { features, said }) => {
            let what = if features.is_empty() { "something of it".to_owned() } else { features.join(", ") };
            let model = domain.definition.cpu.model.as_deref().unwrap_or("its CPU");
            let evidence = if said.is_empty() {
                "libvirt there says that it is incompatible".to_owned()
            } else {
                said.clone()
            };
            findings.push(blocker(
                "cpu-features-missing",
                name,
                format!("{name} lacks CPU features that {} was started with: {what}.", domain.name),
                format!("{model}; {evidence}"),
                advice(
                    "Shut it down, give it a CPU that both hosts have (virsh hypervisor-cpu-baseline finds it from both hosts' virsh \
                     domcapabilities), start it and move it then; or choose another destination.",
                ),
            ));
        }
        Some(CpuVerdict::Unknown(why)) => findings.push(note(
            "cpu-not-compared",
            name,
            format!(
                "Whether {name} has everything that the CPU of {} needs could not be compared.",
                domain.name
            ),
            why.clone(),
        )),
    }
}

/// A CPU that is the host's own, handed on as it is, differs on another host unless that is the same.
pub(super) fn passed_on(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((source, destination, domain)), Some(reception)) = (facts.all(), &facts.reception) else {
        return;
    };
    let Some(mode @ ("host-passthrough" | "maximum")) = domain.definition.cpu.mode.as_deref() else { return };
    if !domain.is_active() {
        return;
    }
    let there = reception.machine.as_ref().and_then(|machine| machine.as_ref().ok()?.host_model.as_ref());
    if let (Some(here), Some(there)) = (&domain.host_model, there)
        && here == there
        && source.hypervisor_version == destination.hypervisor_version
    {
        return;
    }
    findings.push(warning(
        "cpu-host-passthrough",
        &destination.name,
        format!(
            "{} sees the CPU of its host as it is ({mode}), and {}'s is not known to be the same: the guest may crash when it uses \
             what is missing there.",
            domain.name, destination.name
        ),
        format!("CPU mode {mode}; what libvirt tells of the two hosts' CPUs or QEMUs differs, or is not known"),
        advice("Between machines that are alike this is fine. Otherwise give it a CPU model that both have, and start it anew."),
    ));
}
