//! Every reason against a migration, found before anything moves: pure functions from facts to findings.
//!
//! Each subject is a file; [`CHECKS`] lists all checks. A check answers with everything it finds and never with the first thing
//! only. What could not be found out is no reason against a migration by itself: libvirt refuses what is truly impossible, and a
//! check that must know says that it does not.

mod access;
pub mod codes;
mod convergence;
mod copies;
mod cpu;
mod devices;
mod domain;
mod hosts;
mod kept;
mod leaving;
mod machine;
mod network;
mod places;
mod say;
mod secrets;
mod servers;
mod sharing;
mod snapshots;
mod storage;
mod transport;

use api::finding::{Finding, Severity};

pub use sharing::{needs_no_source, sharing_proven};

use crate::model::facts::Facts;

/// A check: looks at the facts and adds what it finds.
type Check = fn(&Facts, &mut Vec<Finding>);

/// All checks, in the order their findings are shown.
const CHECKS: &[Check] = &[
    hosts::reachable,
    hosts::looked_at,
    hosts::different,
    hosts::hypervisor,
    hosts::architecture,
    hosts::versions,
    hosts::clocks,
    hosts::memory,
    hosts::huge_pages,
    hosts::locked_memory,
    hosts::lock_managers,
    hosts::processors,
    hosts::placement,
    hosts::security_labels,
    access::peer_address,
    access::peer_name,
    access::login,
    access::hostname,
    access::migration_port,
    access::sessions,
    transport::supported,
    transport::via,
    transport::rdma,
    transport::tls,
    transport::unused,
    cpu::features,
    cpu::passed_on,
    machine::machine_type,
    machine::emulator,
    machine::firmware,
    machine::tpm,
    machine::launch_security,
    machine::devices_offered,
    storage::sources,
    sharing::shared,
    places::places,
    places::flat,
    copies::chains,
    copies::room,
    copies::directories,
    copies::in_clear,
    servers::servers,
    servers::pools,
    storage::ejected,
    storage::media,
    secrets::secrets,
    storage::kinds,
    storage::in_use,
    storage::caches,
    storage::errors,
    network::networks,
    network::bridges,
    network::vlans,
    network::filters,
    network::addresses,
    network::mtu,
    devices::passed_through,
    devices::characters,
    devices::filesystems,
    devices::shared_memory,
    devices::screens,
    devices::clients,
    devices::files,
    devices::vsock,
    devices::qemu_arguments,
    domain::present,
    domain::movable,
    domain::kept_beside,
    kept::saved_memory,
    kept::tpm_state,
    leaving::copy,
    domain::idle,
    domain::name_and_uuid_free,
    domain::title_free,
    snapshots::snapshots,
    domain::checkpoints,
    domain::block_jobs,
    domain::responding,
    domain::guest_agent,
    convergence::first_pass,
    convergence::post_copy,
    // The last: it speaks where no other has found why.
    machine::definition_taken,
];

/// Everything that is found in these facts, the gravest first.
#[must_use]
pub fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for check in CHECKS {
        check(facts, &mut findings);
    }
    // Stable: within one severity the order of the checks stays.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// Whether any of them forbids the start.
#[must_use]
pub fn forbids(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Blocker)
}

/// Leaves out warnings and notes whose codes are named.
///
/// # Errors
/// The code of a blocker among those named: what would fail or do harm is not ignored.
pub fn ignore(findings: &mut Vec<Finding>, codes: &[String]) -> Result<(), String> {
    let named = |finding: &Finding| codes.contains(&finding.code);
    let blocker = findings.iter().find(|finding| finding.severity == Severity::Blocker && named(finding));
    if let Some(blocker) = blocker {
        return Err(blocker.code.clone());
    }
    findings.retain(|finding| !named(finding));
    Ok(())
}

#[cfg(test)]
mod tests;
