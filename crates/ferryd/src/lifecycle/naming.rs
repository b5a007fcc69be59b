//! Names of machines. The inherited interface knows a machine by its name alone, so a name is given once among all hosts: to one machine
//! at a time, and to none that another one has or is promised.

use std::collections::HashSet;

use api::task::{Task, TaskKind, TaskQuery};
use tokio::sync::OwnedMutexGuard;

use super::{Lifecycle, Refused, TURN_LIMIT};
use crate::model::DomainUuid;
use crate::store::StoreError;

impl Lifecycle {
    /// Waits for the turn to give a machine its name. It ends when the task is stored that has the name from then on, or when the machine
    /// is seen to have it.
    pub(super) async fn naming(&self) -> Result<OwnedMutexGuard<()>, Refused> {
        tokio::time::timeout(TURN_LIMIT, self.fleet.naming()).await.map_err(|_| Refused::Busy)
    }

    /// Waits for the turn to give `domain` another name, and sees that no other machine has that or is promised it.
    pub(super) async fn renaming(
        &self,
        domain: DomainUuid,
        name: &str,
    ) -> Result<OwnedMutexGuard<()>, Refused> {
        let turn = self.naming().await?;
        self.fleet.look_again().await;
        let others = self.fleet.known_where(|vm| vm.listed.name == name && vm.domain() != domain);
        let tasks = self.active_tasks().await?;
        let promised = tasks.iter().any(|task| promises(task, name) || moves(task, name, domain));
        if others.is_empty() && !promised { Ok(turn) } else { Err(Refused::NameTaken(name.to_owned())) }
    }

    /// Every name that a machine has, on any host, or is promised.
    pub(super) async fn taken_names(&self) -> Result<HashSet<String>, StoreError> {
        let known = self.fleet.known_where(|_| true).into_iter().map(|vm| vm.listed.name);
        let tasks = self.active_tasks().await?;
        Ok(known.chain(tasks.into_iter().filter_map(|task| task.made)).collect())
    }

    pub(super) async fn active_tasks(&self) -> Result<Vec<Task>, StoreError> {
        let active = TaskQuery { active: Some(true), ..TaskQuery::default() };
        self.store.tasks(&active, u32::MAX).await
    }
}

/// Whether a task makes a machine of this name.
pub(super) fn promises(task: &Task, name: &str) -> bool {
    matches!(task.kind, TaskKind::Clone | TaskKind::Creation) && task.made.as_deref() == Some(name)
}

/// Whether a task works on another machine of this name: while it moves, no host that answers may have it.
fn moves(task: &Task, name: &str, domain: DomainUuid) -> bool {
    task.kind != TaskKind::Creation && task.vm == name && task.vm_uuid != domain.0
}
