//! Checks before a migration: every reason against it, found before anything moves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::finding::Finding;
use crate::task::{Compression, PostCopy, SnapshotsWish, StorageMapping};

/// Body of `POST /api/v1/preflight`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreflightRequest {
    /// The virtual machine: its name or its UUID.
    pub vm: String,
    /// The registered host it is on; needed only where several hosts have one of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The registered host to move it to; without it, every registered host is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Check the way home as well, after a reboot of the guest on the destination.
    #[serde(default)]
    pub come_back: bool,
    /// Codes of warnings and notes to leave out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// As it is asked for in a migration: send everything through libvirt's own encrypted connection.
    #[serde(default)]
    pub secure: bool,
    /// As for a migration that may be switched to post-copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_copy: Option<PostCopy>,
    /// As it is asked for in a migration: the longest pause of the guest that is allowed at the switch-over (1 to 2,000,000). No check
    /// depends on it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_downtime_ms: Option<u64>,
    /// As it is asked for in a migration: upper limit of the bandwidth (1 to 1,000,000 MiB/s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_mib_s: Option<u64>,
    /// As it is asked for in a migration: disks whose images are made in a storage pool of the destination.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub storage: Vec<StorageMapping>,
    /// As it is asked for in a migration: disks that you know to be one and the same on both hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<String>,
    /// As it is asked for in a migration: disks that are copied arrive as one image each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flatten: bool,
    /// As in a migration: networks of libvirt's, the destination's by the source's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub network: BTreeMap<String, String>,
    /// As in a migration: bridges, the destination's by the source's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bridge: BTreeMap<String, String>,
    /// As in a migration: addresses that its screens listen on, the destination's by the source's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub graphics_listen: BTreeMap<String, String>,
    /// As in a migration: where SPICE clients are sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graphics_uri: Option<String>,
    /// As in a migration: CD-ROM and floppy drives that are empty on the destination.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eject: Vec<String>,
    /// As in a migration: its name on the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rename: Option<String>,
    /// As in a migration: a patch of the destination's definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xml_patch: Option<String>,
    /// As it is asked for in a migration: send memory encrypted between the two QEMUs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// As it is asked for in a migration: over this many connections at once (1 to 255).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u8>,
    /// As it is asked for in a migration: by this address or network of the destination's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// As it is asked for in a migration: compress the memory on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<Compression>,
    /// As it is asked for in a migration: without copying memory before it is sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub zerocopy: bool,
    /// As it is asked for in a migration: by RDMA.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rdma: bool,
    /// As it is asked for in a migration: with `ferryd` between the two libvirts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub direct: bool,
    /// As it is asked for in a migration: what becomes of what libvirt knows of its snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<SnapshotsWish>,
    /// As it is asked for in a migration: a definition of it stays on the source.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copy: bool,
    /// As it is asked for in a migration: the images on the source that were copied are removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete_source_disks: bool,
}

/// What the checks say as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing stands in the way.
    Go,
    /// A blocker does.
    NoGo,
}

/// What the checks found of one virtual machine and one destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The virtual machine's name.
    pub vm: String,
    /// The virtual machine's UUID.
    pub vm_uuid: Uuid,
    /// The registered host it is on.
    pub source: String,
    /// The registered host it would go to.
    pub destination: String,
    /// Whether it can.
    pub verdict: Verdict,
    /// Everything that was found, the gravest first.
    pub findings: Vec<Finding>,
    /// Memory that programs on the destination can still have; none where it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_available_bytes: Option<u64>,
    /// How long the checks took.
    pub took_ms: u64,
    /// The questions that the hosts were asked, and how long each answer took.
    pub questions: Vec<Question>,
    /// The way home, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub come_back: Option<Box<Report>>,
}

/// A question that a host was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Question {
    /// The registered host.
    pub host: String,
    /// What it was asked.
    pub question: String,
    /// How long the answer took.
    pub took_ms: u64,
}
