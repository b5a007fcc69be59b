//! The facts that checks and plan are made from: read once, then only looked at.
//!
//! * [`host`] – a machine; [`domain`] – the domain on its source, [`kept`] – what libvirt keeps beside its definition; [`reception`] –
//!   what the destination has for it; [`meeting`] – how the two machines reach each other;
//!   [`transport`] – what they have for the way the memory is to travel.
//!
//! What could not be found out is a fact too: it is `None`, and the check that wanted it says so where it matters.

pub mod domain;
pub mod host;
pub mod kept;
pub mod meeting;
pub mod reception;
pub mod transport;

pub use domain::{BlockJob, DiskImage, DomainFacts};
pub use host::{
    BridgeFacts, HostFacts, HostKnowledge, NumaNode, PathFacts, PathKind, ShellFacts, is_networked, version,
};
pub use kept::{SavedMemory, TpmState};
pub use meeting::{Login, Meeting, PortProbe, Resolved, ServerProbe, Sharing, SshPlace};
pub use reception::{
    CpuVerdict, LeftImage, MachineSupport, Namesake, NetworkFacts, Occupied, PoolFacts, Reception,
};

pub use transport::{Certificate, HostTransport, QemuOffers, TransportFacts};

use api::task::{PostCopy, SnapshotsWish, StorageMapping};

use super::DomainUuid;
use super::definition::Disk;
use super::transport::Asked;

/// All facts of one migration.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The source.
    pub source: HostKnowledge,
    /// The destination.
    pub destination: HostKnowledge,
    /// The domain; none when the source does not have it any more or does not answer.
    pub domain: Option<DomainFacts>,
    /// What the destination has for it; none when that does not answer.
    pub reception: Option<Reception>,
    /// How the two machines reach each other; none when it was not asked.
    pub meeting: Option<Meeting>,
    /// Whether the source's libvirt has an address to reach the destination by.
    pub destination_peer_uri: Option<String>,
    /// How it is asked to be sent.
    pub wanted: Wanted,
    /// What both machines have for that.
    pub transport: TransportFacts,
}

/// What of a request the checks look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Through libvirt's own connection.
    pub tunnelled: bool,
    /// With this limit of the bandwidth.
    pub bandwidth_mib_s: Option<u64>,
    /// Switched to post-copy then.
    pub post_copy: Option<PostCopy>,
    /// With the images of these disks in storage pools of the destination.
    pub storage: Vec<StorageMapping>,
    /// With the word of who asks that these disks are the same on both hosts.
    pub shared: Vec<String>,
    /// With the disks that are copied as one image each.
    pub flatten: bool,
    /// What becomes of what libvirt knows of its snapshots, where that was said.
    pub snapshots: Option<SnapshotsWish>,
    /// A copy of it stays on the source.
    pub copy: bool,
    /// The images on the source that were copied go once it was seen to be on the destination.
    pub delete_source_disks: bool,
    /// With the clients of its SPICE screen sent there.
    pub graphics_uri: Option<String>,
    /// How the memory is to travel.
    pub transport: Asked,
}

impl Facts {
    /// The domain and both machines, where all of them are known: what most checks need.
    #[must_use]
    pub fn all(&self) -> Option<(&HostFacts, &HostFacts, &DomainFacts)> {
        Some((self.source.known()?, self.destination.known()?, self.domain.as_ref()?))
    }

    /// Who asks knows this disk to be one and the same on both hosts.
    #[must_use]
    pub fn vouched(&self, disk: &Disk) -> bool {
        self.wanted.shared.contains(&disk.target)
    }

    /// The domain is known, and does not run.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.domain.as_ref().is_some_and(|domain| !domain.is_active())
    }

    /// Source and destination are one machine.
    #[must_use]
    pub fn same_machine(&self) -> bool {
        match (self.source.known(), self.destination.known()) {
            (Some(source), Some(destination)) => source.uuid == destination.uuid,
            _ => false,
        }
    }

    /// The source's libvirt need not reach the destination's: a stopped domain goes by way of the controller, and so does the
    /// conversation of one that is sent directly.
    #[must_use]
    pub fn goes_by_controller(&self) -> bool {
        self.is_stopped() || self.wanted.transport.direct
    }

    /// The UUID of the domain, where it is known.
    #[must_use]
    pub fn domain_uuid(&self) -> Option<DomainUuid> {
        self.domain.as_ref().map(|domain| domain.uuid)
    }
}
