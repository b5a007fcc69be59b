//! `screenshot`, `serial`, `connect`, and the WebSocket that the latter two prepare.

use axum::Extension;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::reasons::{Refusal, Sought};
use super::vms::{Vm, escaped};
use super::{Arguments, PREFIX, answer, nothing_asked_for};
use crate::access::Caller;
use crate::console::tickets::{Purpose, VALID_FOR};
use crate::http::extract::NamePath;
use crate::http::problem::Failure;
use crate::http::{AppState, websocket};

/// The machine, and beside Kimchi's keys what Kimchi's clients knew otherwise: where the console is.
#[derive(Serialize)]
struct Prepared<'a> {
    #[serde(flatten)]
    vm: Vm<'a>,
    websocket: String,
    ticket_valid_s: u64,
}

/// The picture on its screen.
pub(super) async fn screenshot(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    name: Result<NamePath, Failure>,
) -> Result<Response, Refusal> {
    let NamePath(name) = name.map_err(|_| Refusal::no_such_address())?;
    match app.consoles.screenshot(&name, &caller).await {
        Ok(picture) => {
            let body = Body::from(picture.as_ref().clone());
            Ok(([(header::CONTENT_TYPE, "image/png")], body).into_response())
        }
        Err(refused) => Err(Refusal::of_console(&refused, &name, Sought::Picture)),
    }
}

/// Makes a ticket for its serial console.
pub(super) async fn serial(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    name: Result<NamePath, Failure>,
    request: Request,
) -> Result<Response, Refusal> {
    prepare(Purpose::Serial, (app, caller), name, request).await
}

/// Makes a ticket for its screen.
pub(super) async fn connect(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    name: Result<NamePath, Failure>,
    request: Request,
) -> Result<Response, Refusal> {
    prepare(Purpose::Screen, (app, caller), name, request).await
}

async fn prepare(
    purpose: Purpose,
    (app, caller): (AppState, Caller),
    name: Result<NamePath, Failure>,
    request: Request,
) -> Result<Response, Refusal> {
    let NamePath(name) = name.map_err(|_| Refusal::no_such_address())?;
    nothing_asked_for(request).await?;
    let prepared = app.consoles.prepare(&name, &caller, purpose).await;
    let (vm, ticket) =
        prepared.map_err(|refused| Refusal::of_console(&refused, &name, Sought::Line(purpose)))?;
    let websocket = format!("{PREFIX}/vms/{}/console?ticket={ticket}", escaped(&name));
    let vm = Vm::from(&vm);
    Ok(answer(&Prepared { vm, websocket, ticket_valid_s: VALID_FOR.as_secs() }).into_response())
}

/// The WebSocket that a ticket opens.
pub(super) async fn open(
    State(app): State<AppState>,
    name: Result<NamePath, Failure>,
    Arguments(arguments): Arguments,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let NamePath(name) = name.map_err(|_| Refusal::no_such_address())?;
    // Before the ticket is looked at, which would be used up.
    let upgrade = upgrade.map_err(|_| Refusal::no_websocket())?;
    let ticket = arguments.into_iter().find_map(|(key, value)| (key == "ticket").then_some(value));
    let line = match app.consoles.open(&name, &ticket.unwrap_or_default()).await {
        Ok(line) => line,
        Err(refused) => return Err(Refusal::of_console(&refused, &name, Sought::Open)),
    };
    // Clients of VNC offered this name of old, and end where it is not taken.
    let upgrade = upgrade.protocols(["binary"]).max_message_size(websocket::MAX_MESSAGE_BYTES);
    Ok(upgrade.on_upgrade(move |socket| websocket::carry(socket, line, app.shutdown)))
}
