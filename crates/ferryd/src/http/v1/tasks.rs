//! `/tasks`: durable units of work.

use api::problem::{Code, Problem};
use api::task::{ResolveRequest, Task, TaskChange, TaskQuery};
use axum::extract::State;
use axum::http::StatusCode;

use crate::http::extract::{Json, NoBody, Query, TaskPath};
use crate::http::problem::{Failure, problems};
use crate::http::{AppState, to_the_end};
use crate::migration::bandwidth_fits;

/// A list of tasks holds no more than this, the newest.
pub const LIST_LIMIT: u32 = 1000;

problems!(ListProblems: BadRequest);
problems!(ShowProblems: BadRequest, UnknownTask);
problems!(CancelProblems: BadRequest, TooLarge, UnknownTask, TooLate);
problems!(ChangeProblems: BadRequest, BadValue, UnsupportedMediaType, TooLarge, UnknownTask, TooLate);
problems!(ResolveProblems: BadRequest, BadValue, UnsupportedMediaType, TooLarge, UnknownTask, TooLate);

/// Tasks by filter, newest first, at most 1000.
#[utoipa::path(get, path = "/tasks", tag = "tasks", operation_id = "list_tasks", params(TaskQuery),
    responses((status = 200, description = "The tasks.", body = [Task]), ListProblems))]
pub async fn list(
    State(app): State<AppState>,
    Query(query): Query<TaskQuery>,
) -> Result<Json<Vec<Task>>, Failure> {
    Ok(Json(app.store.tasks(&query, LIST_LIMIT).await?))
}

/// One task.
#[utoipa::path(get, path = "/tasks/{id}", tag = "tasks", operation_id = "show_task",
    params(("id" = uuid::Uuid, Path, description = "The task's id.")),
    responses((status = 200, description = "The task.", body = Task), ShowProblems))]
pub async fn show(State(app): State<AppState>, TaskPath(id): TaskPath) -> Result<Json<Task>, Failure> {
    match app.store.task(id).await? {
        Some(record) => Ok(Json(record.task)),
        None => Err(Problem::new(Code::UnknownTask, format!("there is no task {id}")).into()),
    }
}

/// Asks a task to stop.
///
/// Answered at once with the task as it is; it ends as `cancelled`, or as `done` where it had come too far.
#[utoipa::path(post, path = "/tasks/{id}/cancel", tag = "tasks", operation_id = "cancel_task",
    params(("id" = uuid::Uuid, Path, description = "The task's id.")),
    responses((status = 202, description = "It was asked to stop.", body = Task), CancelProblems))]
pub async fn cancel(
    State(app): State<AppState>,
    TaskPath(id): TaskPath,
    NoBody: NoBody,
) -> Result<(StatusCode, Json<Task>), Failure> {
    let task = to_the_end(async move { app.engine.cancel(id).await }).await?;
    Ok((StatusCode::ACCEPTED, Json(task)))
}

/// Changes a migration under way: its limit of the bandwidth.
///
/// Answered when the new limit holds, or after a few seconds: `bandwidth_mib_s` of the task says which one does. A migration that does
/// not copy any more is refused with `too-late`.
#[utoipa::path(patch, path = "/tasks/{id}", tag = "tasks", operation_id = "change_task",
    params(("id" = uuid::Uuid, Path, description = "The task's id.")), request_body = TaskChange,
    responses((status = 200, description = "The task, with the limit that holds.", body = Task), ChangeProblems))]
pub async fn change(
    State(app): State<AppState>,
    TaskPath(id): TaskPath,
    Json(change): Json<TaskChange>,
) -> Result<Json<Task>, Failure> {
    bandwidth_fits(Some(change.bandwidth_mib_s))?;
    let task =
        to_the_end(async move { app.engine.limit_bandwidth(id, change.bandwidth_mib_s).await }).await?;
    Ok(Json(task))
}

/// Decides about a task that needs attention.
#[utoipa::path(post, path = "/tasks/{id}/resolve", tag = "tasks", operation_id = "resolve_task",
    params(("id" = uuid::Uuid, Path, description = "The task's id.")), request_body = ResolveRequest,
    responses((status = 202, description = "The decision is taken.", body = Task), ResolveProblems))]
pub async fn resolve(
    State(app): State<AppState>,
    TaskPath(id): TaskPath,
    Json(request): Json<ResolveRequest>,
) -> Result<(StatusCode, Json<Task>), Failure> {
    let task = to_the_end(async move { app.engine.resolve(id, request).await }).await?;
    Ok((StatusCode::ACCEPTED, Json(task)))
}
