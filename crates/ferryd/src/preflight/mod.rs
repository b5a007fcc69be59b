//! Every reason against a migration, found before anything moves: pure functions from facts to findings.
//!
//! Each subject is a file; [`CHECKS`] lists them all. A check answers with everything it finds and never with the first thing
//! only.

mod domain;
mod hosts;

use api::finding::{Finding, Remedy, Severity};

use crate::model::facts::Facts;

/// A check: looks at the facts and adds what it finds.
type Check = fn(&Facts, &mut Vec<Finding>);

/// All checks, in the order their findings are shown.
const CHECKS: &[Check] = &[
    hosts::reachable,
    hosts::different,
    hosts::hypervisor,
    hosts::architecture,
    hosts::peer_address,
    domain::present,
    domain::movable,
    domain::idle,
    domain::passed_through,
    domain::name_and_uuid_free,
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

fn blocker(code: &str, subject: &str, message: String, evidence: String, remedy: Option<Remedy>) -> Finding {
    Finding {
        code: code.to_owned(),
        severity: Severity::Blocker,
        subject: subject.to_owned(),
        message,
        evidence,
        remedy,
    }
}

fn advice(text: &str) -> Option<Remedy> {
    Some(Remedy { text: text.to_owned(), command: None, host: None })
}

fn command(text: &str, command: String, host: Option<&str>) -> Option<Remedy> {
    Some(Remedy { text: text.to_owned(), command: Some(command), host: host.map(str::to_owned) })
}

#[cfg(test)]
mod tests;
