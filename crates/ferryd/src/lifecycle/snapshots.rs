//! Snapshots of a domain: listed, made, deleted, gone back to.
//!
//! Making one may take long, and is a task ([`super::snapshotter`]); the rest is done within the request. As all that is done to a
//! domain it takes the domain's turn, and is refused while a task or a job is at work on it.

use std::time::Duration;

use api::task::{Task, TaskKind};
use serde::{Deserialize, Serialize};

use super::{Lifecycle, Refused};
use crate::inventory::known::{Known, active_elsewhere};
use crate::libvirt::snapshots::{self, Refusal};
use crate::messages::{Message, Text};
use crate::model::snapshot::{Obstacle, Snapshot, unfit_name};
use crate::model::{DomainUuid, TaskId};
use crate::store::NewTask;
use crate::task::{Engine, queued};

/// How long a host may take to delete a snapshot: the images are gone through, their data is not moved.
const DELETE_LIMIT: Duration = Duration::from_secs(300);
/// How long a host may take to go back to one: its memory is read from the image.
const REVERT_LIMIT: Duration = Duration::from_secs(600);

/// What the task of making a snapshot is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPlan {
    /// The registered host that has the domain.
    pub host: String,
    /// The domain.
    pub domain: DomainUuid,
    /// The snapshot's name.
    pub snapshot: String,
}

/// Why something was not done to a snapshot.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub enum SnapshotRefused {
    /// As of whatever is done to a domain.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A snapshot cannot have this name.
    Name(Text),
    /// There is no such snapshot.
    Absent,
    /// There is one of this name.
    Exists,
    /// No snapshot of this machine can be made.
    Obstacle(Obstacle),
    /// Its memory is saved.
    SavedMemory,
}

impl SnapshotRefused {
    /// The same as it is told.
    #[must_use]
    pub fn text(&self) -> Text {
        let message = match self {
            Self::Refused(refused) => return refused.text(),
            Self::Name(why) => Message::FERRYWHY0020I { why: why.clone() },
            Self::Absent => Message::FERRYWHY0021I,
            Self::Exists => Message::FERRYWHY0022I,
            Self::Obstacle(obstacle) => Message::FERRYWHY0008I { why: obstacle.text() },
            Self::SavedMemory => Message::FERRYWHY0023I,
        };
        message.into()
    }
}

impl From<Refusal> for SnapshotRefused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Objection(objection) => Self::Refused(objection.into()),
            Refusal::Absent => Self::Absent,
            Refusal::Exists => Self::Exists,
            Refusal::Obstacle(obstacle) => Self::Obstacle(obstacle),
            Refusal::SavedMemory => Self::SavedMemory,
        }
    }
}

type Result<T> = std::result::Result<T, SnapshotRefused>;

impl Lifecycle {
    /// A virtual machine's snapshots, by name, as its host tells them now.
    ///
    /// # Errors
    /// The machine is not known, or its host does not tell.
    pub async fn snapshots(&self, vm: &str) -> Result<Vec<Snapshot>> {
        let (member, domain) = self.place(vm).await?;
        let all = member.link().call("snapshots", move |connect| snapshots::all(connect, domain)).await;
        Ok(all.map_err(Refused::from)?)
    }

    /// One of them.
    ///
    /// # Errors
    /// The machine is not known, has no such snapshot, or its host does not tell.
    pub async fn snapshot(&self, vm: &str, name: &str) -> Result<Snapshot> {
        let ((member, domain), name) = (self.place(vm).await?, name.to_owned());
        let found =
            member.link().call("snapshot", move |connect| snapshots::one(connect, domain, &name)).await;
        found.map_err(Refused::from)?.ok_or(SnapshotRefused::Absent)
    }

    /// The one that its disks go on from; none where there is none.
    ///
    /// # Errors
    /// The machine is not known, or its host does not tell.
    pub async fn current_snapshot(&self, vm: &str) -> Result<Option<Snapshot>> {
        let (member, domain) = self.place(vm).await?;
        let found =
            member.link().call("current snapshot", move |connect| snapshots::current(connect, domain)).await;
        Ok(found.map_err(Refused::from)?)
    }

    /// Has a snapshot made, by a task of `engine`. Without a name it is named by the time: seconds since 1970.
    ///
    /// # Errors
    /// Why no task was begun.
    pub async fn make_snapshot(&self, engine: &Engine, vm: &str, name: Option<String>) -> Result<Task> {
        let now_ms = engine.clock().now_ms();
        let snapshot = name.unwrap_or_else(|| (now_ms / 1000).to_string());
        if let Some(why) = unfit_name(&snapshot) {
            return Err(SnapshotRefused::Name(why));
        }
        // The turn ends when the task is stored, which is the lock from then on.
        let (held, _turn) = self.hold(self.find(vm).await?).await?;
        if !held.vm.listed.persistent {
            return Err(Refused::Transient.into());
        }
        let (domain, wanted) = (held.vm.domain(), snapshot.clone());
        let seen = held
            .member
            .link()
            .call("look before a snapshot", move |connect| snapshots::refusal(connect, domain, &wanted))
            .await;
        if let Some(refusal) = seen.map_err(Refused::from)? {
            return Err(refusal.into());
        }
        let submitted = engine.submit(&new_task(&held.vm, snapshot, now_ms)?).await;
        Ok(submitted.map_err(Refused::from)?)
    }

    /// Deletes a snapshot; those that build on it build on its own parent from then on.
    ///
    /// # Errors
    /// Why it was not deleted, or that it is not known whether it was.
    pub async fn delete_snapshot(&self, vm: &str, name: &str) -> Result<()> {
        let (held, turn) = self.hold(self.find(vm).await?).await?;
        let (domain, name) = (held.vm.domain(), name.to_owned());
        let link = held.member.link();
        let done = link
            .long_call_within("delete a snapshot", DELETE_LIMIT, move |connect| {
                let _until_it_ends = turn;
                snapshots::delete(connect, domain, &name)
            })
            .await;
        match done.map_err(Refused::from)? {
            None => Ok(()),
            Some(refusal) => Err(refusal.into()),
        }
    }

    /// Has a virtual machine be as it was at a snapshot, also in whether it runs, and tells how it is then.
    ///
    /// # Errors
    /// Why it was not, or that it is not known whether it was.
    pub async fn revert(&self, vm: &str, name: &str) -> Result<Known> {
        let (held, turn) = self.hold(self.find(vm).await?).await?;
        let (domain, name) = (held.vm.domain(), name.to_owned());
        // It may be started by that, and its disks are written.
        if let Some(host) = active_elsewhere(&self.fleet, domain.0, &held.vm.host) {
            return Err(Refused::RunsElsewhere(host).into());
        }
        let link = held.member.link();
        let done = link
            .long_call_within("revert to a snapshot", REVERT_LIMIT, move |connect| {
                let _until_it_ends = turn;
                snapshots::revert(connect, domain, &name)
            })
            .await;
        let after = held.after().await;
        match done.map_err(Refused::from)? {
            None => Ok(after),
            Some(refusal) => Err(refusal.into()),
        }
    }
}

fn new_task(vm: &Known, snapshot: String, now_ms: u64) -> std::result::Result<NewTask, Refused> {
    let plan = SnapshotPlan { host: vm.host.clone(), domain: vm.domain(), snapshot: snapshot.clone() };
    let (domain, way) = ((&*vm.listed.name, vm.domain()), (&*vm.host, &*vm.host));
    let message = format!("a snapshot {snapshot} of {} is about to be made", vm.listed.name);
    let queued = queued(TaskId::new(), TaskKind::Snapshot, domain, way, message, now_ms);
    let task = Task { made: Some(snapshot), ..queued };
    Ok(NewTask::of(task, &plan)?)
}
