//! One domain's move.

use api::problem::{Code, Problem};
use api::task::{MigrationRequest, Task};
use zeroize::Zeroizing;

/// A migration as the inherited contract asks for it: the destination is a machine's name or address, not a registered
/// host.
#[derive(Clone, PartialEq, Eq)]
pub struct InheritedRequest {
    /// The virtual machine's name.
    pub vm: String,
    /// The destination's host name or address, or the name it is registered under.
    pub remote_host: String,
    /// Whom to log in as; none means `root`.
    pub user: Option<String>,
    /// That user's password, used once to put Ferry's own key on the destination; wiped when dropped.
    pub password: Option<Zeroizing<String>>,
    /// Send the memory through libvirt's own encrypted connection.
    pub secure: bool,
    /// Send the memory by RDMA.
    pub rdma: bool,
}

impl std::fmt::Debug for InheritedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InheritedRequest")
            .field("vm", &self.vm)
            .field("remote_host", &self.remote_host)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("secure", &self.secure)
            .field("rdma", &self.rdma)
            .finish()
    }
}

/// Accepts migrations.
#[derive(Debug, Default)]
pub struct Migrations {}

impl Migrations {
    /// Checks a request, plans it, creates its task and has it begun.
    ///
    /// # Errors
    /// A problem document that says why not.
    pub async fn start(&self, _request: MigrationRequest) -> Result<Task, Problem> {
        Err(Problem::new(Code::Internal, "not built yet"))
    }

    /// The same for a request of the inherited contract: finds the registered host that `remote_host` means, or registers
    /// one.
    ///
    /// # Errors
    /// A problem document that says why not.
    pub async fn start_inherited(&self, _request: InheritedRequest) -> Result<Task, Problem> {
        Err(Problem::new(Code::Internal, "not built yet"))
    }
}
