//! Virtual machines on the registered hosts.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// State of a virtual machine, in libvirt's words (`virDomainState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VmState {
    /// libvirt does not say.
    NoState,
    /// Running.
    Running,
    /// Running, blocked on a resource.
    Blocked,
    /// Paused.
    Paused,
    /// Being shut down.
    Shutdown,
    /// Defined, not running.
    Shutoff,
    /// Crashed.
    Crashed,
    /// Suspended by the guest's power management.
    PmSuspended,
}

impl VmState {
    /// Whether its guest makes progress: one that is paused, as one that has just arrived is, does not.
    #[must_use]
    pub fn runs(self) -> bool {
        matches!(self, Self::Running | Self::Blocked)
    }

    /// The state as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoState => "nostate",
            Self::Running => "running",
            Self::Blocked => "blocked",
            Self::Paused => "paused",
            Self::Shutdown => "shutdown",
            Self::Shutoff => "shutoff",
            Self::Crashed => "crashed",
            Self::PmSuspended => "pmsuspended",
        }
    }
}

/// A virtual machine, kept up to date by libvirt's events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Vm {
    /// Its name on its host.
    pub name: String,
    /// Its UUID.
    pub uuid: uuid::Uuid,
    /// The registered host it is on.
    pub host: String,
    /// Its state.
    pub state: VmState,
    /// Whether its definition outlives its run.
    pub persistent: bool,
    /// Whether it starts with its host.
    pub autostart: bool,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Largest memory.
    pub max_memory_bytes: u64,
    /// Memory it has now (balloon).
    pub memory_bytes: u64,
    /// CPU time used since it started.
    pub cpu_time_ns: u64,
    /// The task that is moving it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<uuid::Uuid>,
}

/// Filters of `GET /api/v1/vms`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VmQuery {
    /// Only this host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Only those in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<VmState>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_paused_does_not_run() {
        assert!(VmState::Running.runs() && VmState::Blocked.runs());
        for state in
            [VmState::Paused, VmState::Shutoff, VmState::Crashed, VmState::PmSuspended, VmState::NoState]
        {
            assert!(!state.runs(), "{state:?}");
        }
    }
}
