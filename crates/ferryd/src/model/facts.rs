//! The facts that checks and plan are made from: read once, then only looked at.

use uuid::Uuid;

use super::DomainUuid;
use super::domain::DomainSight;

/// A machine, by what its libvirt says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// The registered name.
    pub name: String,
    /// Host UUID from libvirt's capabilities: the same whatever name or address leads there.
    pub uuid: Uuid,
    /// The machine's own name.
    pub hostname: String,
    /// libvirt's driver (`QEMU`).
    pub hypervisor: String,
    /// CPU architecture.
    pub architecture: String,
    /// Domain types that its guests may have (`kvm`, `qemu`).
    pub domain_types: Vec<String>,
}

/// What is known of a host, or why nothing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKnowledge {
    /// It answered.
    Known(HostFacts),
    /// It did not; the failure, told apart.
    Unreachable {
        /// The registered name.
        name: String,
        /// The stable code of the finding (`host-unreachable`, `host-key-changed`).
        code: String,
        /// What is the matter, in plain words.
        message: String,
        /// What libvirt or ssh said.
        evidence: String,
        /// What to do about it.
        remedy: String,
    },
}

impl HostKnowledge {
    /// The registered name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Known(facts) => &facts.name,
            Self::Unreachable { name, .. } => name,
        }
    }

    /// The facts, where it answered.
    #[must_use]
    pub fn known(&self) -> Option<&HostFacts> {
        match self {
            Self::Known(facts) => Some(facts),
            Self::Unreachable { .. } => None,
        }
    }
}

/// A device of the host's that is given to the guest and cannot move with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedThrough {
    /// What it is (`pci 0000:01:00.0`, `usb 046d:c52b`).
    pub what: String,
}

/// The domain on the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainFacts {
    /// Its UUID.
    pub uuid: DomainUuid,
    /// Its name.
    pub name: String,
    /// State, persistence, autostart, job.
    pub sight: DomainSight,
    /// Its type (`kvm`, `qemu`).
    pub domain_type: String,
    /// The guest's architecture.
    pub architecture: String,
    /// The definition libvirt keeps for the next start (with secrets), where it is persistent.
    pub persistent_xml: Option<String>,
    /// Devices passed through.
    pub passed_through: Vec<PassedThrough>,
}

/// Who has the domain's name or UUID on the destination already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namesake {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: DomainUuid,
    /// Whether it runs.
    pub active: bool,
}

/// All facts of one migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The source.
    pub source: HostKnowledge,
    /// The destination.
    pub destination: HostKnowledge,
    /// The domain; none when the source does not have it any more or does not answer.
    pub domain: Option<DomainFacts>,
    /// Domains on the destination with the same name or UUID.
    pub namesakes: Vec<Namesake>,
    /// Whether the source's libvirt has an address to reach the destination by.
    pub destination_peer_uri: Option<String>,
}
