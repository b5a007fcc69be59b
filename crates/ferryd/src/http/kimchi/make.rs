//! Virtual machines that are made.

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::reasons::{Act, Refusal};
use super::tasks::KimchiTask;
use super::{nothing_asked_for, vms};
use crate::access::Caller;
use crate::http::AppState;
use crate::http::extract::NamePath;
use crate::http::problem::Failure;
use crate::lifecycle::Lifecycle;

/// Has a clone made of a stopped machine.
pub(super) async fn clone(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    name: Result<NamePath, Failure>,
    request: Request,
) -> Result<Response, Refusal> {
    let NamePath(name) = name.map_err(|_| Refusal::no_such_address())?;
    nothing_asked_for(request).await?;
    let engine = app.engine.clone();
    let clone = move |life: Lifecycle, name: String| async move { life.clone_vm(&name, &engine).await };
    let task = vms::done((app, caller), &name, Act::Clone, clone).await?;
    Ok((StatusCode::ACCEPTED, KimchiTask::from(&task)).into_response())
}
