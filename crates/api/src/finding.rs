//! What a check found.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know; changes nothing.
    Note,
    /// The migration works, but something about it may surprise.
    Warning,
    /// The migration would fail or do harm; it is not started.
    Blocker,
}

/// One thing that a check found, with what it was seen by and what mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// The stable code (`same-host`, `uuid-taken`), for scripts.
    pub code: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What it is about: a host, a disk, an interface.
    pub subject: String,
    /// What is the matter, in plain words.
    pub message: String,
    /// The values that were compared.
    pub evidence: String,
    /// What mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
    /// What it costs, where that is known: time, data to copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
}

/// What mends a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Remedy {
    /// What to do, in words.
    pub text: String,
    /// The command that does it, where one command does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The host to run the command on; none means where `ferry` runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}
