//! The durable engine: queue, lease, log, cancellation, recovery. Knows nothing of migration.

use api::problem::{Code, Problem};
use api::task::{ResolveRequest, Task};

use crate::model::TaskId;

/// Runs tasks.
#[derive(Debug)]
pub struct Engine {
    events: tokio::sync::watch::Sender<i64>,
}

impl Default for Engine {
    fn default() -> Self {
        Self { events: tokio::sync::watch::Sender::new(0) }
    }
}

impl Engine {
    /// Changes whenever an event was stored; holds the newest event's id.
    #[must_use]
    pub fn events(&self) -> tokio::sync::watch::Receiver<i64> {
        self.events.subscribe()
    }

    /// Asks a task to stop; answers at once with the task as it is.
    ///
    /// # Errors
    /// A problem document that says why not.
    pub async fn cancel(&self, _id: TaskId) -> Result<Task, Problem> {
        Err(Problem::new(Code::Internal, "not built yet"))
    }

    /// Takes a person's decision on a task that needs attention.
    ///
    /// # Errors
    /// A problem document that says why not.
    pub async fn resolve(&self, _id: TaskId, _request: ResolveRequest) -> Result<Task, Problem> {
        Err(Problem::new(Code::Internal, "not built yet"))
    }
}
