//! What the hosts are and run.

use api::host::{Host, HostRequest};
use api::problem::{Code, Problem};
use api::vm::{Vm, VmQuery};

/// All registered hosts.
#[derive(Debug, Default)]
pub struct Fleet {}

impl Fleet {
    /// The registered hosts, by name.
    #[must_use]
    pub fn hosts(&self) -> Vec<Host> {
        Vec::new()
    }

    /// One registered host.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<Host> {
        self.hosts().into_iter().find(|host| host.name == name)
    }

    /// Registers a host.
    ///
    /// # Errors
    /// A problem document that says why not.
    pub async fn register(&self, _request: HostRequest) -> Result<Host, Problem> {
        Err(Problem::new(Code::Internal, "not built yet"))
    }

    /// Forgets a host.
    ///
    /// # Errors
    /// A problem document that says why not.
    pub async fn remove(&self, _name: &str) -> Result<(), Problem> {
        Err(Problem::new(Code::Internal, "not built yet"))
    }

    /// The virtual machines, by name.
    #[must_use]
    pub fn vms(&self, _query: &VmQuery) -> Vec<Vm> {
        Vec::new()
    }
}
