//! Secrets that the domain needs on the destination.

use api::finding::{Finding, Remedy};

use super::say::{advice, blocker, command, shell_word};
use crate::model::definition::SecretReference;
use crate::model::facts::{DomainFacts, Facts};

/// Secrets that drives and TPM need are there, with their values.
pub(super) fn secrets(facts: &Facts, findings: &mut Vec<Finding>) {
    let (Some((source, destination, domain)), Some(reception)) = (facts.all(), &facts.reception) else {
        return;
    };
    for secret in &reception.secrets_missing {
        let (whose, there) = (needing(domain, secret), &destination.name);
        findings.push(blocker(
            "secret-missing",
            &whose,
            format!("{there} does not have the secret that {whose} of {} needs.", domain.name),
            format!("secret {}", what(secret)),
            advice("Define it there with the same UUID and value (virsh secret-dumpxml on the source; secret-define and secret-set-value on the destination)."),
        ));
    }
    for secret in &reception.secrets_empty {
        let (whose, there) = (needing(domain, secret), &destination.name);
        findings.push(blocker(
            "secret-empty",
            &whose,
            format!("{there} has the secret that {whose} of {} needs, without a value.", domain.name),
            format!("secret {}", what(secret)),
            set_value(facts, &source.name, secret),
        ));
    }
}

/// The value as the source has it, given to the destination by ssh, as whoever runs that may.
fn set_value(facts: &Facts, source: &str, secret: &SecretReference) -> Option<Remedy> {
    const TEXT: &str = "Give it the value that it has on the source (virsh secret-set-value).";
    let ssh = facts.meeting.as_ref().and_then(|meeting| meeting.ssh.as_ref());
    match (secret, ssh) {
        (SecretReference::Uuid(uuid), Some(ssh)) => command(
            TEXT,
            format!(
                "virsh secret-get-value {uuid} | ssh {} virsh secret-set-value {uuid} --file /dev/stdin",
                shell_word(&ssh.word)
            ),
            Some(source),
        ),
        _ => advice(TEXT),
    }
}

/// What needs it.
fn needing(domain: &DomainFacts, secret: &SecretReference) -> String {
    let disks = domain.definition.disks.iter();
    let needing: Vec<&str> = disks
        .filter(|disk| disk.secrets.iter().any(|used| used.reference == *secret))
        .map(|disk| disk.target.as_str())
        .collect();
    if needing.is_empty() { "the TPM".to_owned() } else { needing.join(", ") }
}

fn what(secret: &SecretReference) -> String {
    match secret {
        SecretReference::Uuid(uuid) => uuid.to_string(),
        SecretReference::Usage(usage) => format!("with usage {usage}"),
    }
}
