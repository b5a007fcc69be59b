//! What a migration will do, told before it does it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::finding::Finding;

/// How a virtual machine is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// It runs, and goes on running.
    Running,
    /// It is paused, and arrives so.
    Paused,
    /// It is stopped: definition and files go over.
    Stopped,
}

/// A file that is made on the destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedFile {
    /// What it is for the virtual machine, in words.
    pub role: String,
    /// Where.
    pub path: String,
    /// As what it is made; a file that is carried as it is is made raw, whatever is in it.
    pub format: String,
    /// How large a guest sees it; of a file that is carried its length.
    pub capacity_bytes: u64,
    /// What there is to copy.
    pub copy_bytes: u64,
    /// The image it lies over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Carried through ferryd as it is; otherwise it is made there and filled: by QEMU while the guest runs, or with what was carried.
    pub carried: bool,
    /// Where it lies on the source, where that is another path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// It is removed again before the end: another file is made of it.
    #[serde(default)]
    pub temporary: bool,
}

/// One step, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedStep {
    /// The registered host it happens on.
    pub host: String,
    /// What is done, in words.
    pub what: String,
}

/// Everything that a migration will do. Answer of `POST /api/v1/migrations/plan`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanReport {
    /// The virtual machine's name.
    pub vm: String,
    /// The virtual machine's UUID.
    pub vm_uuid: Uuid,
    /// The registered host it is on.
    pub source: String,
    /// The registered host it goes to.
    pub destination: String,
    /// How it is moved.
    pub manner: Manner,
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
    /// What libvirt is asked with, by its own names (`VIR_MIGRATE_LIVE`); empty for one that is stopped.
    pub libvirt_flags: Vec<String>,
    /// Parameters handed to libvirt: name and value.
    pub libvirt_parameters: Vec<(String, String)>,
    /// Files that are made on the destination.
    pub creates: Vec<PlannedFile>,
    /// What goes from the source once the virtual machine is on the destination.
    pub removes: Vec<String>,
    /// What stays behind on the source although the virtual machine leaves.
    pub leaves: Vec<String>,
    /// What the destination's definition has otherwise than the source's, as a unified diff; none where it is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_diff: Option<String>,
    /// What the checks found.
    pub findings: Vec<Finding>,
}
