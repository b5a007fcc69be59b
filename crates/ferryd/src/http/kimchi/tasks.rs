//! `tasks`: units of work that go on after the answer. They are kept with Ferry's own, and outlive a restart.

use api::problem::Code;
use api::task::{Phase, Task, TaskKind, TaskQuery, TaskState};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::filter::Filter;
use super::reasons::{self, Refusal};
use super::{Arguments, PREFIX, create, hostdevs, snapshots, worded};
use crate::http::extract::NamePath;
use crate::http::problem::Failure;
use crate::http::v1::tasks::LIST_LIMIT;
use crate::http::{AppState, to_the_end};
use crate::messages::{Language, Message, Text};
use crate::model::TaskId;

/// A task as Kimchi told it, before it is put into words.
#[derive(Debug)]
pub(super) struct KimchiTask {
    id: String,
    status: &'static str,
    message: Text,
    target_uri: String,
}

/// A task as Kimchi told it: exactly these four keys.
#[derive(Serialize)]
struct Told {
    id: String,
    status: &'static str,
    message: String,
    target_uri: String,
}

impl From<&Task> for KimchiTask {
    fn from(task: &Task) -> Self {
        match task.kind {
            TaskKind::Migration => {
                let words = (Message::FERRYTASK0001I, Message::FERRYTASK0002I, Message::FERRYTASK0003I);
                let failed = |why| reasons::failed_to_migrate(task.vm.as_str(), why);
                Self::told(task, words, format!("{PREFIX}/vms/{}/migrate", task.vm), failed)
            }
            TaskKind::Clone => {
                // The new machine's, as it was: by that it is found.
                let made = task.made.as_deref().unwrap_or_default();
                let failed = |why| reasons::failed_to_clone(task, why);
                Self::told(task, clone_words(task.phase), format!("{PREFIX}/vms/{made}/clone"), failed)
            }
            TaskKind::Creation => {
                let failed = |why| create::failed(task.vm.as_str().into(), why).into();
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
        words: (Message, Message, Message),
        target_uri: String,
        failed: impl Fn(Text) -> Text,
    ) -> Self {
        let (under_way, done, stopped) = words;
        let (status, message) = match task.state {
            TaskState::Queued | TaskState::Running | TaskState::Cancelling => ("running", under_way.into()),
            TaskState::Done => ("finished", done.into()),
            TaskState::Cancelled => ("killed", stopped.into()),
            // Kimchi knew no task that waits for a person; who polls it must stop polling and read.
            TaskState::Failed | TaskState::NeedsAttention => {
                let why = match &task.cause {
                    Some(cause) => format!("{} ({cause})", task.message),
                    None => task.message.clone(),
                };
                ("failed", failed(why.into()))
            }
        };
        Self { id: task.id.to_string(), status, message, target_uri }
    }

    fn in_words(&self, language: Language) -> Told {
        Told {
            id: self.id.clone(),
            status: self.status,
            message: self.message.told(language).into_owned(),
            target_uri: self.target_uri.clone(),
        }
    }
}

impl IntoResponse for KimchiTask {
    fn into_response(self) -> Response {
        worded(StatusCode::OK, move |language| self.in_words(language))
    }
}

/// What Kimchi said of a clone that was being made.
fn clone_words(phase: Phase) -> (Message, Message, Message) {
    let under_way = match phase {
        Phase::Queued | Phase::Prepare => Message::FERRYTASK0004I,
        Phase::Confirm => Message::FERRYTASK0006I,
        _ => Message::FERRYTASK0005I,
    };
    (under_way, Message::FERRYTASK0010I, Message::FERRYTASK0007I)
}

/// The same of a machine that was being made anew.
fn creation_words(phase: Phase) -> (Message, Message, Message) {
    let under_way = match phase {
        Phase::Confirm => Message::FERRYTASK0011I,
        _ => Message::FERRYTASK0012I,
    };
    (under_way, Message::FERRYTASK0010I, Message::FERRYTASK0013I)
}

/// The tasks that pass the filters, the oldest first.
pub(super) async fn list(
    State(app): State<AppState>,
    Arguments(arguments): Arguments,
) -> Result<Response, Refusal> {
    let filter = Filter::new(arguments)?;
    let mut tasks = app.store.tasks(&TaskQuery::default(), LIST_LIMIT).await?;
    tasks.reverse();
    let tasks: Vec<KimchiTask> = tasks.iter().map(KimchiTask::from).collect();
    Ok(worded(StatusCode::OK, move |language| {
        let told = tasks.iter().map(|task| task.in_words(language));
        told.filter(|task| filter.passes(task)).collect::<Vec<_>>()
    }))
}

/// One task.
pub(super) async fn show(
    State(app): State<AppState>,
    id: Result<NamePath, Failure>,
) -> Result<Response, Refusal> {
    let (id, task) = taken(id)?;
    let found = app.store.task(task).await?;
    match found {
        Some(record) => Ok(KimchiTask::from(&record.task).into_response()),
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
        // It has ended: as it was, that is no fault.
        Err(Failure(problem)) if problem.code == Code::TooLate => Ok(StatusCode::NO_CONTENT.into_response()),
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
