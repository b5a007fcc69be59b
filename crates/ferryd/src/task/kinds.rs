//! Several kinds of tasks on one engine.

use std::collections::HashMap;
use std::sync::Arc;

use api::task::TaskKind;
use async_trait::async_trait;

use super::{Handle, Runner, Stop};
use crate::store::{LogEntry, TaskRecord};

/// Gives each task to the runner of its kind.
pub struct ByKind(HashMap<TaskKind, Arc<dyn Runner>>);

impl std::fmt::Debug for ByKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ByKind").field(&self.0.keys()).finish()
    }
}

impl ByKind {
    /// The runners, each with the kind that it works on.
    #[must_use]
    pub fn new(runners: impl IntoIterator<Item = (TaskKind, Arc<dyn Runner>)>) -> Self {
        Self(runners.into_iter().collect())
    }
}

#[async_trait]
impl Runner for ByKind {
    async fn run(&self, record: TaskRecord, log: Vec<LogEntry>, handle: Handle) -> Result<(), Stop> {
        match self.0.get(&record.task.kind) {
            Some(runner) => runner.run(record, log, handle).await,
            None => Err(Stop::UnknownKind(record.task.kind)),
        }
    }
}
