//! Which runner does a task: that of its kind.

use std::sync::Arc;

use api::task::TaskKind;
use async_trait::async_trait;

use super::{Handle, Runner, Stop};
use crate::store::{LogEntry, TaskRecord};

/// The runners of all kinds of tasks, as one.
pub struct Runners {
    /// Moves domains.
    pub migration: Arc<dyn Runner>,
    /// Makes snapshots.
    pub snapshot: Arc<dyn Runner>,
    /// Makes clones.
    pub clone: Arc<dyn Runner>,
    /// Makes machines anew.
    pub creation: Arc<dyn Runner>,
    /// Gives and takes devices.
    pub device: Arc<dyn Runner>,
}

impl std::fmt::Debug for Runners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runners").finish_non_exhaustive()
    }
}

#[async_trait]
impl Runner for Runners {
    async fn run(&self, record: TaskRecord, log: Vec<LogEntry>, handle: Handle) -> Result<(), Stop> {
        let runner = match record.task.kind {
            TaskKind::Migration => &self.migration,
            TaskKind::Snapshot => &self.snapshot,
            TaskKind::Clone => &self.clone,
            TaskKind::Creation => &self.creation,
            TaskKind::Attach | TaskKind::Detach => &self.device,
        };
        runner.run(record, log, handle).await
    }
}
