//! What a migration would do.

use api::plan::{Manner, PlanReport, PlannedFile};

use super::finding::findings;
use super::unit;

/// The whole plan: the steps first.
pub(crate) fn plan(plan: &PlanReport) -> String {
    let manner = match plan.manner {
        Manner::Running => "while it runs",
        Manner::Paused => "paused, as it is",
        Manner::Stopped => "stopped, as it is",
    };
    let mut lines = vec![format!("{} goes from {} to {}, {manner}:", plan.vm, plan.source, plan.destination)];
    lines.extend(
        plan.steps
            .iter()
            .enumerate()
            .map(|(at, step)| format!("  {}. on {}: {}", at + 1, step.host, step.what)),
    );
    section(&mut lines, &format!("Made on {}:", plan.destination), plan.creates.iter().map(file));
    section(&mut lines, &format!("Goes from {}:", plan.source), plan.removes.iter().cloned());
    section(&mut lines, &format!("Stays on {}:", plan.source), plan.leaves.iter().cloned());
    section(&mut lines, "libvirt's flags:", plan.libvirt_flags.iter().cloned());
    let parameters = plan.libvirt_parameters.iter().map(|(name, value)| format!("{name} = {value}"));
    section(&mut lines, "libvirt's parameters:", parameters);
    if let Some(diff) = &plan.definition_diff {
        lines.push("What its definition has otherwise there:".to_owned());
        lines.extend(diff.lines().map(|line| format!("  {line}")));
    }
    if !plan.findings.is_empty() {
        lines.push(findings(&plan.findings));
    }
    lines.push("Nothing was done.".to_owned());
    lines.join("\n")
}

fn section(lines: &mut Vec<String>, title: &str, entries: impl Iterator<Item = String>) {
    let mut entries = entries.map(|entry| format!("  {entry}")).peekable();
    if entries.peek().is_some() {
        lines.push(title.to_owned());
        lines.extend(entries);
    }
}

fn file(file: &PlannedFile) -> String {
    let how = match (file.carried, file.temporary) {
        (true, true) => "carried, and removed again",
        (true, false) => "carried",
        (false, _) => "filled there",
    };
    let from = file.from.as_ref().map_or_else(String::new, |from| format!(", from {from}"));
    let base = file.base.as_ref().map_or_else(String::new, |base| format!(", over {base}"));
    format!(
        "{} ({}, {}, {} of {} to copy, {how}{from}{base})",
        file.path,
        file.role,
        file.format,
        unit::bytes(file.copy_bytes),
        unit::bytes(file.capacity_bytes)
    )
}

#[cfg(test)]
mod tests {
    use api::plan::PlannedStep;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn it_reads_from_top_to_bottom() {
        let told = plan(&PlanReport {
            vm: "web1".to_owned(),
            vm_uuid: Uuid::from_u128(7),
            source: "kvm1".to_owned(),
            destination: "kvm2".to_owned(),
            manner: Manner::Running,
            steps: vec![PlannedStep { host: "kvm2".to_owned(), what: "let web1 run".to_owned() }],
            libvirt_flags: vec!["VIR_MIGRATE_LIVE".to_owned()],
            libvirt_parameters: vec![("migrate_disks".to_owned(), "vda".to_owned())],
            creates: vec![PlannedFile {
                role: "the image of vda".to_owned(),
                path: "/images/web1.qcow2".to_owned(),
                format: "qcow2".to_owned(),
                capacity_bytes: 20 << 30,
                copy_bytes: 5 << 30,
                base: Some("/images/base.raw".to_owned()),
                carried: false,
                from: Some("/dev/vg/web1".to_owned()),
                temporary: false,
            }],
            removes: vec!["the definition of web1 on kvm1".to_owned()],
            leaves: vec!["/images/web1.qcow2".to_owned()],
            definition_diff: Some(
                "--- a\n+++ b\n@@ -1 +1 @@\n-<name>web1</name>\n+<name>web2</name>\n".to_owned(),
            ),
            findings: vec![],
        });
        assert_eq!(
            told,
            "web1 goes from kvm1 to kvm2, while it runs:\n  1. on kvm2: let web1 run\n\
             Made on kvm2:\n  /images/web1.qcow2 (the image of vda, qcow2, 5 GiB of 20 GiB to copy, filled there, from \
             /dev/vg/web1, over /images/base.raw)\nGoes from kvm1:\n  the definition of web1 on kvm1\nStays on kvm1:\n  /images/web1.qcow2\n\
             libvirt's flags:\n  VIR_MIGRATE_LIVE\nlibvirt's parameters:\n  migrate_disks = vda\nWhat its definition has otherwise there:\n  --- a\n  +++ b\n  \
             @@ -1 +1 @@\n  -<name>web1</name>\n  +<name>web2</name>\nNothing was done."
        );
    }
}
