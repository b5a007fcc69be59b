//! One domain's move.

use api::problem::{Code, Problem};
use api::task::{MigrationRequest, Task};

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
}
