//! Whether the copy comes to an end. The forecast from measured rates belongs here.

use api::finding::Finding;

use super::say::{advice, blocker, command, note, size, warning};
use crate::model::facts::Facts;
use crate::plan;

/// With a limit of the bandwidth, how long one pass over the memory takes at the least.
pub(super) fn first_pass(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(domain), Some(limit_mib_s)) = (&facts.domain, facts.wanted.bandwidth_mib_s) else { return };
    if !domain.is_active() || limit_mib_s == 0 {
        return;
    }
    let memory_bytes = domain.definition.current_memory_bytes;
    let seconds = memory_bytes as f64 / (limit_mib_s << 20) as f64;
    let mut finding = note(
        "bandwidth-limited",
        &domain.name,
        format!("With this limit, one pass over the memory of {} takes up to {seconds:.0} s.", domain.name),
        format!("{} at {limit_mib_s} MiB/s", size(memory_bytes)),
    );
    finding.cost = Some(format!("up to {seconds:.0} s a pass"));
    findings.push(finding);
}

/// What stands against post-copy, and what it risks.
pub(super) fn post_copy(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some(domain), Some(_)) = (&facts.domain, facts.wanted.post_copy) else { return };
    if !domain.is_active() {
        return;
    }
    findings.push(warning(
        "post-copy-risk",
        &domain.name,
        format!(
            "Once {} is switched to {}, its memory is in two places until all of it has followed: should either host or QEMU fail \
             then, the memory is lost; a link that breaks is waited for, and both are joined again.",
            domain.name,
            facts.destination.name()
        ),
        "post-copy was asked for".to_owned(),
        advice("Without --post-copy the guest runs on the source until everything has arrived."),
    ));
    let copied = plan::files(facts).copied;
    if let Some(disk) = copied.first() {
        findings.push(blocker(
            "post-copy-with-disks",
            &disk.target,
            format!(
                "The image of {} is copied along, and with post-copy a guest whose link breaks could not read it any more.",
                disk.target
            ),
            format!("{} is only on {}", disk.new.path, facts.source.name()),
            advice("Move it without --post-copy, or put its images on storage that both hosts have."),
        ));
    }
    let refusing = [&facts.source, &facts.destination].into_iter().filter_map(|host| {
        let refuses = host.shell()?.userfaultfd == Some(false);
        refuses.then(|| host.name())
    });
    for name in refusing {
        findings.push(warning(
            "post-copy-not-allowed",
            name,
            format!(
                "The kernel of {name} lets only privileged processes handle page faults, which post-copy needs: a QEMU that does not \
                 run as root is refused."
            ),
            "vm.unprivileged_userfaultfd = 0".to_owned(),
            command(
                "Allow it, until the next boot; a file in /etc/sysctl.d keeps it.",
                "sysctl -w vm.unprivileged_userfaultfd=1".to_owned(),
                Some(name),
            ),
        ));
    }
}
