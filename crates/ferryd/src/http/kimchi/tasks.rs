//! `tasks`: units of work that go on after the answer. They are kept with Ferry's own, and outlive a restart.

use api::task::{Phase, Task, TaskKind, TaskQuery, TaskState};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::filter::Filter;
use super::reasons::{self, Refusal};
use super::{Arguments, PREFIX, answer, create, hostdevs, snapshots};
use crate::http::extract::NamePath;
use crate::http::problem::Failure;
use crate::http::v1::tasks::LIST_LIMIT;
use crate::http::{AppState, to_the_end};
use crate::model::TaskId;

/// A task as Kimchi told it: exactly these four keys.
#[derive(Debug, Serialize)]
pub(super) struct KimchiTask {
    id: String,
    status: &'static str,
    message: String,
    target_uri: String,
}

impl From<&Task> for KimchiTask {
    fn from(task: &Task) -> Self {
        match task.kind {
            TaskKind::Migration => {
                let words = ("starting a migration", "Migrate finished", "Migrate cancelled");
                let failed = |why: &str| reasons::failed_to_migrate(&task.vm, why);
                Self::told(task, words, format!("{PREFIX}/vms/{}/migrate", task.vm), failed)
            }
            TaskKind::Clone => {
                // The new machine's, as it was: by that it is found.
                let made = task.made.as_deref().unwrap_or_default();
                let failed = |why: &str| reasons::failed_to_clone(task, why);
                Self::told(task, clone_words(task.phase), format!("{PREFIX}/vms/{made}/clone"), failed)
            }
            TaskKind::Creation => {
                let failed = |why: &str| create::failed(&task.vm, why);
                Self::told(task, creation_words(task.phase), format!("{PREFIX}/vms/{}", task.vm), failed)
            }
            TaskKind::Snapshot => snapshots::task(task),
            TaskKind::Attach | TaskKind::Detach => hostdevs::task(task),
        }
    }
}

impl KimchiTask {
    /// `words`: while it is under way, when it is done, and when it was stopped; `failed` words why it failed.
    pub(super) fn told(
        task: &Task,
        words: (&str, &str, &str),
        target_uri: String,
        failed: impl Fn(&str) -> String,
    ) -> Self {
        let (under_way, done, stopped) = words;
        let (status, message) = match task.state {
            TaskState::Queued | TaskState::Running | TaskState::Cancelling => {
                ("running", under_way.to_owned())
            }
            TaskState::Done => ("finished", done.to_owned()),
            TaskState::Cancelled => ("killed", stopped.to_owned()),
            // Kimchi knew no task that waits for a person; who polls it must stop polling and read.
            TaskState::Failed | TaskState::NeedsAttention => {
                let why = match &task.cause {
                    Some(cause) => format!("{} ({cause})", task.message),
                    None => task.message.clone(),
                };
                ("failed", failed(&why))
            }
        };
        Self { id: task.id.to_string(), status, message, target_uri }
    }
}

/// What Kimchi said of a clone that was being made.
fn clone_words(phase: Phase) -> (&'static str, &'static str, &'static str) {
    let under_way = match phase {
        Phase::Queued | Phase::Prepare => "reading source VM XML",
        Phase::Confirm => "defining new VM",
        _ => "copying VM disks",
    };
    (under_way, "OK", "Clone cancelled")
}

/// The same of a machine that was being made anew.
fn creation_words(phase: Phase) -> (&'static str, &'static str, &'static str) {
    let under_way = match phase {
        Phase::Confirm => "Defining new VM",
        _ => "Provisioning storage for new VM",
    };
    (under_way, "OK", "Creation cancelled")
}

/// The tasks that pass the filters, the oldest first.
pub(super) async fn list(
    State(app): State<AppState>,
    Arguments(arguments): Arguments,
) -> Result<Response, Refusal> {
    let filter = Filter::new(arguments);
    let mut tasks = app.store.tasks(&TaskQuery::default(), LIST_LIMIT).await?;
    tasks.reverse();
    let told: Vec<KimchiTask> =
        tasks.iter().map(KimchiTask::from).filter(|task| filter.passes(task)).collect();
    Ok(answer(&told).into_response())
}

/// One task.
pub(super) async fn show(
    State(app): State<AppState>,
    id: Result<NamePath, Failure>,
) -> Result<Response, Refusal> {
    let (id, task) = taken(id)?;
    let found = app.store.task(task).await?;
    match found {
        Some(record) => Ok(answer(&KimchiTask::from(&record.task)).into_response()),
        None => Err(Refusal::no_such_task(&id)),
    }
}

/// Asks a task to stop. How it ends is told by the task.
pub(super) async fn cancel(
    State(app): State<AppState>,
    id: Result<NamePath, Failure>,
) -> Result<Response, Refusal> {
    let (id, task) = taken(id)?;
    match to_the_end(async move { app.engine.cancel(task).await }).await {
        Ok(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(Failure(problem)) => Err(Refusal::of_cancel(&problem, &id)),
    }
}

/// The id in the path, as it stands there and as it is.
fn taken(id: Result<NamePath, Failure>) -> Result<(String, TaskId), Refusal> {
    let NamePath(id) = id.map_err(|_| Refusal::no_such_address())?;
    match uuid::Uuid::parse_str(&id) {
        Ok(uuid) => Ok((id, TaskId(uuid))),
        Err(_) => Err(Refusal::no_such_task(&id)),
    }
}
