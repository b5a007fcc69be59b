//! The doors of `ferryd`: our own API under `/api/v1`, and the inherited contract beside it.
//!
//! * [`v1`] – one file per resource; each handler takes a request apart, makes one call and answers.
//! * [`kimchi`] – the inherited contract, a thin adapter.
//! * [`events`] – the store's events as a stream of Server-Sent Events.
//! * [`extract`] – what is taken out of a request, and how it is refused; [`problem`] – how every error is answered.
//! * `websocket` – a line to a machine, carried; `wording` – texts, told in the language that was asked for.
//! * [`guard`] – what goes for every request: logging, foreign pages, `OPTIONS`.
//! * [`rights`] – one table of who may do what, and the layer that goes by it; `credentials` and `denial` are its beginning and its end.
//! * [`listen`] – the Unix socket and the loopback address.

use std::sync::Arc;

use api::problem::{Code, Problem};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use tokio_util::sync::CancellationToken;

use self::problem::Failure;
use crate::access::Access;
use crate::console::Consoles;
use crate::inventory::Fleet;
use crate::migration::Migrations;
use crate::store::Store;
use crate::task::Engine;

mod credentials;
mod denial;
pub mod events;
pub mod extract;
pub mod guard;
pub mod kimchi;
pub mod listen;
pub mod problem;
pub mod rights;
pub mod v1;
mod websocket;
mod wording;

/// Everything that a handler may use. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// Registered hosts and what they run.
    pub fleet: Arc<Fleet>,
    /// Accepts migrations.
    pub migrations: Arc<Migrations>,
    /// Where machines are seen and spoken to.
    pub consoles: Arc<Consoles>,
    /// Runs tasks.
    pub engine: Arc<Engine>,
    /// Recognises callers.
    pub access: Arc<Access>,
    /// Reads tasks and events.
    pub store: Arc<dyn Store>,
    /// Cancelled when `ferryd` shuts down: streams end then.
    pub shutdown: CancellationToken,
}

/// By which door requests come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The Unix socket: its permissions say who may, and who may is an administrator.
    Socket,
    /// The loopback address: a login is needed, and as any web page that a local browser shows can reach it, its origin is checked.
    Loopback,
}

/// Every route, as it is served at one door.
pub fn router(app: AppState, door: Door) -> Router {
    let router = Router::new()
        .merge(v1::router())
        .merge(kimchi::router())
        .fallback(nothing_there)
        .layer(middleware::from_fn_with_state((app.clone(), door), rights::decide))
        .with_state(app);
    // Layers of the router itself would lie inside of what adds `Allow` to an answer.
    let router = Router::new()
        .fallback_service(router)
        .layer(middleware::from_fn(guard::options))
        .layer(middleware::from_fn(kimchi::without_last_slash));
    let router = match door {
        Door::Socket => router,
        Door::Loopback => router.layer(middleware::from_fn(guard::own_pages_only)),
    };
    // Outside of all: each of them may refuse a request.
    router.layer(middleware::from_fn(guard::log)).layer(middleware::from_fn(wording::tell))
}

/// In the words of the interface that was asked.
async fn nothing_there(uri: Uri) -> Response {
    match rights::is_own(uri.path()) {
        true => problem::no_such_route(uri).await.into_response(),
        false => kimchi::denied(denial::Denial::NoSuchAddress, false),
    }
}

/// Runs what changes something to its end even when the client hangs up meanwhile: a handler is dropped then, and half a
/// registration or a task that nobody was told to begin would stay behind.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::spawn(work).await {
        Ok(result) => Ok(result?),
        Err(error) => {
            tracing::error!(%error, "a request was not carried out");
            Err(Problem::new(Code::Internal, "the request met a fault of Ferry's").into())
        }
    }
}
