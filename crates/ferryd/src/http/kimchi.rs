//! The inherited contract: Kimchi's `vms` and `tasks`, under `/plugins/kimchi` and without it. A thin adapter: it takes a
//! request apart as Kimchi did, hands it to the same code as [`super::v1`], and tells the answer in Kimchi's words.
//!
//! * `vms`, `snapshots`, `hostdevs`, `tasks`, `login` – a file for each resource; `parameters` – those of `migrate`.
//! * `page` – the page on which one logs in.
//! * `capabilities` – what the host offers.
//! * `create`, `make` – machines that are made, anew and after others;
//! * `console` – what is seen of machines, and the WebSocket to them.
//! * `schema` – what bodies must be; `filter` – the arguments of lists; `reasons` – errors.
//!
//! A request is refused for the first of these: its method, a body that cannot be read, one that does not fit its schema, a thing
//! that is not there, what the thing itself says. Where Kimchi answered 500 to what was the caller's fault or the state of a
//! machine, the answer is a 4xx of the same form.

use api::problem::{Code, Problem};
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router, middleware};
use serde::Serialize;
use serde_json::Value;

use super::extract::{NamePath, read_body};
use super::problem::Failure;
use super::{AppState, rights, to_the_end, wording};
use crate::access::Caller;
use crate::messages::Language;
use crate::model::action::Action;

mod capabilities;
mod console;
mod create;
mod filter;
mod hostdevs;
mod login;
mod make;
mod page;
mod parameters;
mod reasons;
mod schema;
mod snapshots;
mod tasks;
mod vms;

pub(super) use login::denied;
pub(super) use page::NEXT;
use parameters::Parameters;
use reasons::Refusal;
use tasks::KimchiTask;

/// Where the addresses of this interface begin, unless they begin with nothing.
pub(super) const PREFIX: &str = "/plugins/kimchi";

/// The routes, with and without the prefix.
pub fn router() -> Router<AppState> {
    let routes = || {
        let routes = Router::new()
            .route("/login", post(login::login))
            .route("/logout", post(login::logout))
            .route("/login.html", get(page::login))
            .route("/vms", get(vms::list).post(create::create))
            .route("/vms/{name}", get(vms::show).put(vms::update).delete(vms::remove))
            .route("/vms/{name}/migrate", post(migrate))
            .merge(snapshots::routes())
            .merge(hostdevs::routes())
            .route("/vms/{name}/clone", post(make::clone))
            .route("/vms/{name}/screenshot", get(console::screenshot))
            .route("/vms/{name}/serial", post(console::serial))
            .route("/vms/{name}/connect", post(console::connect))
            .route("/vms/{name}/console", get(console::open))
            .route("/tasks", get(tasks::list))
            .route("/tasks/{id}", get(tasks::show).delete(tasks::cancel))
            .route("/config/capabilities", get(capabilities::show));
        Action::ALL.into_iter().fold(routes, |routes, action| {
            let handler =
                move |State(app): State<AppState>,
                      Extension(caller): Extension<Caller>,
                      name: Result<NamePath, Failure>,
                      request: Request| { vms::act(action, (app, caller), name, request) };
            routes.route(&format!("/vms/{{name}}/{}", action.as_str()), post(handler))
        })
    };
    let described = routes()
        .route("/schemas", get(async || answer(&schema::published())))
        .route("/openapi.json", get(async || answer(schema::openapi())))
        .fallback(async || Refusal::no_such_address());
    let all_dressed =
        |routes: Router<AppState>| routes.layer(middleware::map_response(async |answer| dressed(answer)));
    all_dressed(routes()).nest(PREFIX, all_dressed(described))
}

/// The headers that every answer had: nothing is kept, and an error is no page that loads anything.
pub(super) fn dressed(mut response: Response) -> Response {
    let status = response.status();
    let headers = response.headers_mut();
    let nothing_kept = "no-store, no-cache, must-revalidate, post-check=0, pre-check=0";
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(nothing_kept));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    if status.is_client_error() || status.is_server_error() {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'"));
    }
    response
}

/// Kimchi's server took an address with a slash at its end for the one without.
pub(super) async fn without_last_slash(mut request: Request, next: Next) -> Response {
    let uri = request.uri();
    let shorter = uri.path().strip_suffix('/').filter(|path| !path.is_empty() && !rights::is_own(path));
    if let Some(path) = shorter {
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = PathAndQuery::try_from(format!("{path}{query}")).ok();
        // What is a part of a good address is one.
        if let Ok(shorter) = Uri::from_parts(parts) {
            *request.uri_mut() = shorter;
        }
    }
    next.run(request).await
}

async fn migrate(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    name: Result<NamePath, Failure>,
    request: Request,
) -> Result<Response, Refusal> {
    let NamePath(vm) = name.map_err(|_| Refusal::no_such_address())?;
    let parameters = Parameters::take(required_body(request).await?)?;
    let (host, user) = (parameters.remote_host.clone(), parameters.user_name().to_owned());
    let request = parameters.into_request(vm.clone());
    let fleet = app.fleet.clone();
    match to_the_end(async move { app.migrations.start_inherited(request, &caller).await }).await {
        Err(Failure(problem)) if problem.code == Code::Forbidden => Err(Refusal::not_allowed()),
        Ok(task) => Ok((StatusCode::ACCEPTED, KimchiTask::from(&task)).into_response()),
        Err(Failure(problem)) => Err(Refusal::of_migrate(&problem, &vm, &host, &user, &fleet.silent())),
    }
}

impl From<crate::store::StoreError> for Refusal {
    fn from(error: crate::store::StoreError) -> Self {
        Self::of(&Problem::from(error))
    }
}

/// The arguments after the `?`, in their order.
struct Arguments(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Arguments {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(arguments)) => Ok(Self(arguments)),
            Err(_) => Err(Refusal::arguments()),
        }
    }
}

/// The body as JSON. Without a content type it is taken for JSON, as it was, and one without a byte for an object without a key.
async fn required_body(request: Request) -> Result<Value, Refusal> {
    if !has_length(request.headers()) {
        return Err(Refusal::length_required());
    }
    if !is_json(request.headers()) {
        return Err(Refusal::not_json());
    }
    let body = whole_body(request).await?;
    if body.is_empty() { Ok(Value::Object(serde_json::Map::new())) } else { parsed(&body) }
}

/// The same for what needs no body: it may be missing, or empty.
async fn optional_body(request: Request) -> Result<Option<Value>, Refusal> {
    let json = is_json(request.headers());
    let body = whole_body(request).await?;
    match (body.is_empty(), json) {
        (true, _) => Ok(None),
        (false, false) => Err(Refusal::not_json()),
        (false, true) => parsed(&body).map(Some),
    }
}

/// The body of what takes no parameters.
async fn nothing_asked_for(request: Request) -> Result<(), Refusal> {
    if let Some(body) = optional_body(request).await? {
        schema::check("vm_action", &body)?;
    }
    Ok(())
}

fn parsed(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map(schema::with_integers).map_err(|_| Refusal::cannot_parse())
}

async fn whole_body(request: Request) -> Result<axum::body::Bytes, Refusal> {
    match read_body(request).await {
        Ok(body) => Ok(body),
        Err(problem) if problem.code == Code::TooLarge => Err(Refusal::too_large()),
        Err(_) => Err(Refusal::cannot_parse()),
    }
}

fn has_length(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING)
}

fn is_json(headers: &HeaderMap) -> bool {
    match headers.get(header::CONTENT_TYPE) {
        None => true,
        Some(value) => value.to_str().is_ok_and(|text| {
            let essence = text.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json") || essence == "*/*"
        }),
    }
}

/// The content type that Kimchi gave.
const CONTENT_TYPE: &str = "application/json;charset=utf-8";

/// An answer with the content type that Kimchi gave.
fn answer<T: Serialize>(body: &T) -> impl IntoResponse + use<T> {
    let content_type = [(header::CONTENT_TYPE, CONTENT_TYPE)];
    match serde_json::to_string(body) {
        Ok(text) => (StatusCode::OK, content_type, text),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, content_type, "{}".to_owned())
        }
    }
}

/// The same of a body with texts, which `words` makes in the language that is asked for.
fn worded<T: Serialize>(
    status: StatusCode,
    words: impl Fn(Language) -> T + Send + Sync + 'static,
) -> Response {
    wording::worded(status, CONTENT_TYPE, words)
}
