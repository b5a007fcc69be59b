//! The facts of one migration, read fresh from both hosts at once.

use std::time::Duration;

use super::member::Member;
use crate::libvirt::error::HostError;
use crate::libvirt::host::failure_of;
use crate::libvirt::survey;
use crate::model::DomainUuid;
use crate::model::facts::{DomainFacts, Facts, HostFacts, HostKnowledge, Namesake};
use crate::ssh::ConnectFailure;

/// Reads everything about both hosts and the domain. A host that does not answer within `limit` is a fact too.
pub async fn gather(
    source: &Member,
    destination: &Member,
    domain: DomainUuid,
    name: &str,
    limit: Duration,
) -> Facts {
    let (from, to) =
        tokio::join!(ask_source(source, domain, limit), ask_destination(destination, domain, name, limit));
    let (source_knowledge, domain) = match from {
        Ok((host, domain)) => (HostKnowledge::Known(host), domain),
        Err(error) => (unreachable(source.name(), &error), None),
    };
    let (destination_knowledge, namesakes) = match to {
        Ok((host, namesakes)) => (HostKnowledge::Known(host), namesakes),
        Err(error) => (unreachable(destination.name(), &error), Vec::new()),
    };
    let destination_peer_uri = match &destination_knowledge {
        HostKnowledge::Known(_) => destination.peer_uri(source),
        // One finding is enough for a host that does not answer.
        HostKnowledge::Unreachable { .. } => Some(String::new()),
    };
    Facts {
        source: source_knowledge,
        destination: destination_knowledge,
        domain,
        namesakes,
        destination_peer_uri,
    }
}

async fn machine(member: &Member, limit: Duration) -> Result<HostFacts, HostError> {
    let (info, domain_types) = member.known_machine(limit).await?;
    Ok(HostFacts {
        name: member.name().to_owned(),
        uuid: info.uuid,
        hostname: info.hostname,
        hypervisor: info.hypervisor,
        architecture: info.architecture,
        domain_types,
    })
}

async fn ask_source(
    member: &Member,
    domain: DomainUuid,
    limit: Duration,
) -> Result<(HostFacts, Option<DomainFacts>), HostError> {
    let host = machine(member, limit).await?;
    let facts =
        member.link().call_within("facts", limit, move |connect| survey::domain_facts(connect, domain)).await;
    match facts {
        Ok(facts) => Ok((host, Some(facts))),
        Err(error) if error.is_no_domain() => Ok((host, None)),
        Err(error) => Err(error),
    }
}

async fn ask_destination(
    member: &Member,
    domain: DomainUuid,
    name: &str,
    limit: Duration,
) -> Result<(HostFacts, Vec<Namesake>), HostError> {
    let host = machine(member, limit).await?;
    let name = name.to_owned();
    let namesakes = member
        .link()
        .call_within("facts", limit, move |connect| survey::namesakes(connect, &name, domain))
        .await?;
    Ok((host, namesakes))
}

/// The stable code of a failure to reach a host.
#[must_use]
pub fn failure_code(failure: ConnectFailure) -> &'static str {
    match failure {
        ConnectFailure::Resolve => "host-name-unknown",
        ConnectFailure::NoRoute => "host-no-route",
        ConnectFailure::Refused => "host-refused",
        ConnectFailure::TimedOut => "host-timed-out",
        ConnectFailure::HostKeyUnknown => "host-key-unknown",
        ConnectFailure::HostKeyChanged => "host-key-changed",
        ConnectFailure::Denied => "host-access-denied",
        ConnectFailure::TlsCertificate => "host-tls-certificate",
        ConnectFailure::NoLibvirt => "host-no-libvirt",
        ConnectFailure::NotAnswering => "host-not-answering",
        ConnectFailure::Other => "host-unreachable",
    }
}

fn unreachable(name: &str, error: &HostError) -> HostKnowledge {
    let failure = failure_of(error);
    HostKnowledge::Unreachable {
        name: name.to_owned(),
        code: failure_code(failure).to_owned(),
        message: format!("{name}: {}", failure.explanation()),
        evidence: error.cause(),
        remedy: failure.remedy().to_owned(),
    }
}
