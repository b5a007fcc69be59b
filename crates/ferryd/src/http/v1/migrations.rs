//! `/migrations`: moving virtual machines.

use api::plan::PlanReport;
use api::task::{MigrationRequest, Task, TaskKind, TaskQuery};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::PREFIX;
use super::tasks::LIST_LIMIT;
use crate::http::extract::{Json, Query};
use crate::http::problem::{Failure, problems};
use crate::http::{AppState, to_the_end};

problems!(ListProblems: BadRequest);
problems!(StartProblems: BadRequest, BadValue, UnsupportedMediaType, TooLarge, UnknownVm, AmbiguousVm, UnknownHost,
    AlreadyMigrating, VmBusy, RefusedByChecks, HostKeyUnknown, HostKeyChanged, AccessDenied, HostUnreachable, Libvirt);

/// Migrations by filter, newest first, at most 1000.
#[utoipa::path(get, path = "/migrations", tag = "migrations", operation_id = "list_migrations", params(TaskQuery),
    responses((status = 200, description = "The migrations' tasks.", body = [Task]), ListProblems))]
pub async fn list(
    State(app): State<AppState>,
    Query(query): Query<TaskQuery>,
) -> Result<Json<Vec<Task>>, Failure> {
    if query.kind.is_some_and(|kind| kind != TaskKind::Migration) {
        return Ok(Json(Vec::new()));
    }
    let migrations = TaskQuery { kind: Some(TaskKind::Migration), ..query };
    Ok(Json(app.store.tasks(&migrations, LIST_LIMIT).await?))
}

/// Checks and begins a migration.
///
/// Answered as soon as the checks have passed and the task is stored; follow it by `GET /api/v1/events?task=…&after=0`.
#[utoipa::path(post, path = "/migrations", tag = "migrations", operation_id = "start_migration",
    request_body = MigrationRequest,
    responses(
        (status = 202, description = "It is accepted and begins.", body = Task,
            headers(("location" = String, description = "The task's address."))),
        StartProblems))]
pub async fn start(
    State(app): State<AppState>,
    Json(request): Json<MigrationRequest>,
) -> Result<impl IntoResponse, Failure> {
    let task = to_the_end(async move { app.migrations.start(request).await }).await?;
    let location = [(header::LOCATION, format!("{PREFIX}/tasks/{}", task.id))];
    Ok((StatusCode::ACCEPTED, location, Json(task)))
}

/// Tells what a migration would do, and does nothing.
///
/// It is checked as if it were begun: what the checks refuse has no plan.
#[utoipa::path(post, path = "/migrations/plan", tag = "migrations", operation_id = "plan_migration",
    request_body = MigrationRequest,
    responses((status = 200, description = "Everything that it would do.", body = PlanReport), StartProblems))]
pub async fn plan(
    State(app): State<AppState>,
    Json(request): Json<MigrationRequest>,
) -> Result<Json<PlanReport>, Failure> {
    Ok(Json(app.migrations.plan(&request).await?))
}
