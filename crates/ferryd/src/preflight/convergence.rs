//! Whether the copy comes to an end. The forecast from measured rates belongs here.

use api::finding::Finding;

use super::say::{note, size};
use crate::model::facts::Facts;

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
