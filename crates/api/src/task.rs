//! Tasks: Ferry's durable units of work. A migration is one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::finding::Finding;

/// Body of `POST /api/v1/migrations`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrationRequest {
    /// The virtual machine: its name or its UUID.
    pub vm: String,
    /// The registered host it is on; needed only where several hosts have one of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The registered host to move it to.
    pub destination: String,
    /// The longest pause of the guest that is allowed at the switch-over (1 to 2,000,000; libvirt's default is 300).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_downtime_ms: Option<u64>,
    /// Upper limit of the bandwidth used (1 to 1,000,000 MiB/s), for the memory, and for each disk that is copied while the guest runs, by
    /// itself; none means as much as there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_mib_s: Option<u64>,
    /// Send the memory through libvirt's own encrypted connection (tunnelled) rather than openly between the two QEMUs.
    #[serde(default)]
    pub secure: bool,
    /// When to switch to post-copy, where that is allowed; none means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_copy: Option<PostCopy>,
    /// Send memory (and disks that are copied) encrypted between the two QEMUs (libvirt's native TLS): both hosts need certificates.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// Send the memory over this many connections at once (1 to 255; QEMU's multifd).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u8>,
    /// Send the memory by this network: an address of the destination's (`10.1.0.2`), or a network that it has one in
    /// (`10.1.0.0/24`); goes before what the host was registered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Compress the memory on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<Compression>,
    /// Have the network card read the guest's memory without copying it first; needs `parallel`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub zerocopy: bool,
    /// Send the memory by RDMA.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rdma: bool,
    /// Have `ferryd` itself carry the conversation of the two libvirts, for a source that does not reach the destination's libvirt. The
    /// memory goes straight from QEMU to QEMU all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub direct: bool,
    /// Codes of warnings and notes of the checks to leave out; a blocker cannot be ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// Disks whose images are made in a storage pool of the destination instead of under the path they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub storage: Vec<StorageMapping>,
    /// Disks (`vda`) that you know to be one and the same on both hosts, where the checks could not prove it. libvirt is told so
    /// (`VIR_MIGRATE_UNSAFE`, for the whole virtual machine). Refused where they were seen not to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<String>,
    /// Disks that are copied arrive as one image each, with nothing below it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flatten: bool,
    /// Networks of libvirt's that its interfaces and screens are connected to: the destination's by the source's
    /// (`{"default": "lan"}`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub network: BTreeMap<String, String>,
    /// Bridges that its interfaces are connected to: the destination's by the source's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bridge: BTreeMap<String, String>,
    /// Addresses that its screens listen on: the destination's by the source's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub graphics_listen: BTreeMap<String, String>,
    /// Where clients that look at its SPICE screen are sent to when it moves: `spice://HOST[:PORT][?tlsPort=PORT]`. Without it libvirt
    /// sends them to the destination's host name, or the address that the screen listens on there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graphics_uri: Option<String>,
    /// CD-ROM and floppy drives (`sda`) that are empty on the destination: what lies in them stays on the source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eject: Vec<String>,
    /// Its name on the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rename: Option<String>,
    /// A patch of the destination's definition (a `<diff>` in the form of RFC 5261, at most 32 KiB), made after all the others.
    /// It is stored with the task: no passwords in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xml_patch: Option<String>,
    /// What becomes of what libvirt knows of its snapshots (not of those in the images, which stay in them). Without it those of a
    /// stopped one are kept, and one that runs and has some is not moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<SnapshotsWish>,
    /// It is not to vanish from the source: a definition of it stays there, stopped, with a name, UUID and MAC addresses of its own, and
    /// with the disks that it has there. Refused where a disk is not copied. Excludes `delete_source_disks`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copy: bool,
    /// The images on the source that were copied are removed once the virtual machine is proven to be on the destination; those that are
    /// used by something else, or have changed since, stay. Excludes `copy`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete_source_disks: bool,
}

/// Where a disk's image is made on the destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StorageMapping {
    /// The disk, by its name in the virtual machine (`vda`); `*` stands for every disk that is not named itself, is a file or block
    /// device, and is the virtual machine's alone.
    pub disk: String,
    /// The storage pool of the destination: one over a directory or a mounted file system.
    pub pool: String,
    /// The image's name in the pool; without it, the name of its file now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
}

/// When a migration is switched to post-copy: the guest goes on at the destination at once, and its memory follows. That ends also
/// where the guest rewrites its memory faster than it can be sent; but should a host, a QEMU or (for good) the link between them fail
/// while memory still follows, the guest's memory is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PostCopy {
    /// Only when the ordinary copy was seen not to converge; it is begun anew then.
    WhenStuck,
    /// After one pass over the memory.
    Now,
}

/// What becomes of what libvirt knows of a virtual machine's snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotsWish {
    /// The destination's libvirt knows them as well.
    Keep,
    /// It does not; what they are in the images stays there.
    Drop,
}

/// How memory is compressed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Only what changed of a page that was sent before.
    Xbzrle,
    /// Each page by itself, with zlib, on several threads; QEMU before 9.1.
    Mt,
    /// With zlib; needs `parallel`.
    Zlib,
    /// With Zstandard; needs `parallel`.
    Zstd,
}

impl Compression {
    /// The name that libvirt has for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Xbzrle => "xbzrle",
            Self::Mt => "mt",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
        }
    }
}

/// What kind of work a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// One virtual machine's move.
    Migration,
    /// A snapshot of a virtual machine is made, on the host where it is.
    Snapshot,
    /// A virtual machine made after another one, on the same host.
    Clone,
    /// A virtual machine made anew.
    Creation,
    /// A device of its host's is given to a virtual machine.
    Attach,
    /// One is taken from it.
    Detach,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// Accepted, not begun.
    Queued,
    /// At work.
    Running,
    /// Asked to stop, stopping.
    Cancelling,
    /// Done: the virtual machine is on the destination, the snapshot is made.
    Done,
    /// Failed: the virtual machine is where `outcome` says, normally unharmed at the source.
    Failed,
    /// Cancelled: the virtual machine is at the source as before.
    Cancelled,
    /// A person must decide; the message says between what.
    NeedsAttention,
}

impl TaskState {
    /// Whether the task will not change by itself any more. (`NeedsAttention` is not an end: it is resolved by a person.)
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// Whether a client that waits for the task has nothing more to wait for.
    #[must_use]
    pub fn is_settled(self) -> bool {
        self.is_final() || self == Self::NeedsAttention
    }
}

/// The part of a migration that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Waiting for its turn.
    Queued,
    /// Source and destination are made ready.
    Prepare,
    /// Memory is copied while the guest runs.
    Copy,
    /// The guest is paused, the rest is copied, the destination takes over.
    SwitchOver,
    /// Definitions and autostart are set right.
    Confirm,
    /// Both hosts are asked where the virtual machine is.
    Recover,
    /// Of a task that moves nothing: what it is for is being done.
    Work,
    /// Ended.
    Ended,
}

/// How far the copy is; figures of libvirt's domain job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Time since the copy began.
    pub elapsed_ms: u64,
    /// Memory sent so far.
    pub memory_processed_bytes: u64,
    /// Memory left to send now.
    pub memory_remaining_bytes: u64,
    /// Memory of the guest.
    pub memory_total_bytes: u64,
    /// Speed of the copy now.
    pub memory_bytes_s: u64,
    /// How fast the guest rewrites its memory.
    pub dirty_bytes_s: u64,
    /// Pass over the memory: 1 is the first.
    pub iteration: u64,
    /// Of disks and other files that are carried: bytes so far, holes among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_processed_bytes: Option<u64>,
    /// All of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_total_bytes: Option<u64>,
    /// Expected pause at the switch-over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_downtime_ms: Option<u64>,
}

/// Where the virtual machine is, as both hosts were found to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// On the source.
    Source,
    /// On the destination.
    Destination,
    /// Both hosts have a copy that may run; a person must decide.
    Both,
    /// On neither: its memory is lost, its definition and disks are not.
    Neither,
    /// A host that could have it does not answer.
    Unknown,
}

/// What a migration came to, measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// Where the virtual machine is now.
    pub location: Location,
    /// From the request to the end.
    pub total_ms: u64,
    /// How long the guest was paused at the switch-over: from the source's pause to the destination's resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime_ms: Option<u64>,
    /// Data sent between the hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transferred_bytes: Option<u64>,
    /// Passes over the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iterations: Option<u64>,
    /// Whether the memory of a running guest was lost on the way.
    #[serde(default)]
    pub memory_lost: bool,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// Its id.
    pub id: Uuid,
    /// What kind of work it is.
    pub kind: TaskKind,
    /// Where it stands.
    pub state: TaskState,
    /// Which part is under way.
    pub phase: Phase,
    /// In plain words: what is happening, or what happened, where the virtual machine is and what to do.
    pub message: String,
    /// What libvirt or the system said, with its code, where something failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The virtual machine's name.
    pub vm: String,
    /// The virtual machine's UUID.
    pub vm_uuid: Uuid,
    /// The registered host it is moved from; of a task that moves nothing, the host where it is.
    pub source: String,
    /// The registered host it is moved to; of a task that moves nothing, the same as `source`.
    pub destination: String,
    /// Of a clone and of a new virtual machine: the name of what is made; of a snapshot and of a device: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// When it was accepted.
    pub created_at_ms: u64,
    /// When it last changed.
    pub updated_at_ms: u64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
    /// How far the copy is; none any more once the task has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The limit of the bandwidth that is in effect; none means as much as there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_mib_s: Option<u64>,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Warnings and notes of the checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What a person can choose from when `state` is `needs-attention`: the exact commands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The same choices as `POST /api/v1/tasks/{id}/resolve` takes them, and what each comes to; no other decision is taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<Offer>,
}

/// A decision that a person can make about a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Offer {
    /// Whose copy stays.
    pub keep: Side,
    /// The other host does not answer: a person has to vouch that it is powered off and stays so.
    pub fenced: bool,
    /// The command that decides so.
    pub command: String,
    /// What it comes to: where the virtual machine is then, what is lost.
    pub effect: String,
}

/// Filters of `GET /api/v1/tasks`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TaskQuery {
    /// Only those of the virtual machine with this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm: Option<String>,
    /// Only those of the virtual machine with this UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm_uuid: Option<Uuid>,
    /// Only those of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<TaskKind>,
    /// Only those in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<TaskState>,
    /// Only those that have not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// Which side's copy a person wants to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The source's.
    Source,
    /// The destination's.
    Destination,
}

/// Body of `POST /api/v1/tasks/{id}/resolve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    /// Which copy to keep; the other one is destroyed and that is verified before this one runs.
    pub keep: Side,
    /// The other host does not answer, and a person vouches that it is powered off and stays so until it was cleaned.
    #[serde(default)]
    pub fenced: bool,
}

/// Body of `PATCH /api/v1/tasks/{id}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskChange {
    /// The new upper limit of the bandwidth of a migration under way, of memory or disks (1 to 1,000,000 MiB/s).
    pub bandwidth_mib_s: u64,
}
