//! `/hosts`: registered machines.

use api::host::{Host, HostRemoval, HostRequest};
use api::problem::{Code, Problem};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::PREFIX;
use crate::http::extract::{Json, NamePath, Query};
use crate::http::problem::{Failure, problems, shortened};
use crate::http::{AppState, to_the_end};

problems!(ListProblems:);
problems!(ShowProblems: BadRequest, UnknownHost);
problems!(RemoveProblems: BadRequest, UnknownHost, HostBusy);
problems!(RegisterProblems: BadRequest, BadValue, UnsupportedMediaType, TooLarge, HostExists, HostKeyUnknown, HostKeyChanged,
    AccessDenied, HostUnreachable, Libvirt);

/// All registered hosts, by name.
#[utoipa::path(get, path = "/hosts", tag = "hosts", operation_id = "list_hosts",
    responses((status = 200, description = "The hosts.", body = [Host]), ListProblems))]
pub async fn list(State(app): State<AppState>) -> Json<Vec<Host>> {
    Json(app.fleet.hosts())
}

/// One registered host.
#[utoipa::path(get, path = "/hosts/{name}", tag = "hosts", operation_id = "show_host",
    params(("name" = String, Path, description = "The registered name.")),
    responses((status = 200, description = "The host.", body = Host), ShowProblems))]
pub async fn show(State(app): State<AppState>, NamePath(name): NamePath) -> Result<Json<Host>, Failure> {
    match app.fleet.host(&name) {
        Some(host) => Ok(Json(host)),
        None => Err(unknown(&name).into()),
    }
}

/// Registers a host.
///
/// With `password`, Ferry's own key is put on the host; it is used once and never kept. A host whose ssh key is not known is
/// refused with `host-key-unknown` and its `fingerprint`; repeat the request with that to trust it.
#[utoipa::path(post, path = "/hosts", tag = "hosts", operation_id = "register_host", request_body = HostRequest,
    responses(
        (status = 201, description = "It is registered.", body = Host,
            headers(("location" = String, description = "The host's address."))),
        RegisterProblems))]
pub async fn register(
    State(app): State<AppState>,
    Json(request): Json<HostRequest>,
) -> Result<impl IntoResponse, Failure> {
    let host = to_the_end(async move { app.fleet.register(request).await }).await?;
    let location = [(header::LOCATION, format!("{PREFIX}/hosts/{}", host.name))];
    Ok((StatusCode::CREATED, location, Json(host)))
}

/// Forgets a host. Its virtual machines stay as they are.
#[utoipa::path(delete, path = "/hosts/{name}", tag = "hosts", operation_id = "remove_host",
    params(("name" = String, Path, description = "The registered name."), HostRemoval),
    responses((status = 204, description = "It is forgotten."), RemoveProblems))]
pub async fn remove(
    State(app): State<AppState>,
    NamePath(name): NamePath,
    Query(how): Query<HostRemoval>,
) -> Result<StatusCode, Failure> {
    to_the_end(async move { app.fleet.remove(&name, how.force).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn unknown(name: &str) -> Problem {
    Problem::new(Code::UnknownHost, format!("no host named {} is registered", shortened(name)))
}
