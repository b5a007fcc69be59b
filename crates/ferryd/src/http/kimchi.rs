//! The inherited contract: Kimchi's `migrate` and `tasks`, under `/plugins/kimchi` and without it. A thin adapter: it takes a
//! request apart as Kimchi did, hands it to the same code as [`super::v1`], and tells the answer in Kimchi's words.
//!
//! Where Kimchi answered 500 to what was the caller's fault or the state of a machine, the answer is a 4xx of the same form.

use std::collections::HashMap;

use api::problem::{Code, Problem};
use api::task::{Task, TaskQuery, TaskState};
use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::{Map, Value};

use super::extract::{NamePath, read_body};
use super::problem::Failure;
use super::v1::tasks::LIST_LIMIT;
use super::{AppState, to_the_end};
use crate::model::TaskId;

mod parameters;
mod reasons;

use parameters::Parameters;
use reasons::Refusal;

const PREFIX: &str = "/plugins/kimchi";

/// A task as Kimchi told it: exactly these four keys.
#[derive(Debug, Serialize)]
struct KimchiTask {
    id: String,
    status: &'static str,
    message: String,
    target_uri: String,
}

impl From<&Task> for KimchiTask {
    fn from(task: &Task) -> Self {
        let (status, message) = match task.state {
            TaskState::Queued | TaskState::Running | TaskState::Cancelling => {
                ("running", "starting a migration".to_owned())
            }
            TaskState::Done => ("finished", "Migrate finished".to_owned()),
            TaskState::Cancelled => ("killed", "Migrate cancelled".to_owned()),
            // Kimchi knew no task that waits for a person; who polls it must stop polling and read.
            TaskState::Failed | TaskState::NeedsAttention => ("failed", reasons::failed(task)),
        };
        let target_uri = format!("{PREFIX}/vms/{}/migrate", task.vm);
        Self { id: task.id.to_string(), status, message, target_uri }
    }
}

/// The routes, with and without the prefix.
pub fn router() -> Router<AppState> {
    let routes = || {
        Router::new()
            .route("/vms/{name}/migrate", post(migrate))
            .route("/tasks", get(tasks))
            .route("/tasks/{id}", get(task))
            .method_not_allowed_fallback(async || Refusal::method_not_allowed())
    };
    routes().nest(PREFIX, routes().fallback(async || Refusal::no_such_address()))
}

async fn migrate(
    State(app): State<AppState>,
    name: Result<NamePath, Failure>,
    request: Request,
) -> Result<Response, Refusal> {
    let NamePath(vm) = name.map_err(|_| Refusal::no_such_address())?;
    let parameters = Parameters::take(object(request).await?)?;
    let (host, user) = (parameters.remote_host.clone(), parameters.user_name().to_owned());
    let request = parameters.into_request(vm.clone());
    match to_the_end(async move { app.migrations.start_inherited(request).await }).await {
        Ok(task) => Ok((StatusCode::ACCEPTED, json(&KimchiTask::from(&task))).into_response()),
        Err(Failure(problem)) => Err(Refusal::of_migrate(&problem, &vm, &host, &user)),
    }
}

async fn tasks(
    State(app): State<AppState>,
    Query(filters): Query<HashMap<String, String>>,
) -> Result<Response, Refusal> {
    let mut tasks = app.store.tasks(&TaskQuery::default(), LIST_LIMIT).await.map_err(internal)?;
    tasks.reverse();
    let told: Vec<KimchiTask> =
        tasks.iter().map(KimchiTask::from).filter(|task| passes(task, &filters)).collect();
    Ok(json(&told).into_response())
}

async fn task(State(app): State<AppState>, id: Result<NamePath, Failure>) -> Result<Response, Refusal> {
    let NamePath(id) = id.map_err(|_| Refusal::no_such_address())?;
    let found = match uuid::Uuid::parse_str(&id) {
        Ok(uuid) => app.store.task(TaskId(uuid)).await.map_err(internal)?,
        Err(_) => None,
    };
    match found {
        Some(record) => Ok(json(&KimchiTask::from(&record.task)).into_response()),
        None => Err(Refusal::no_such_task(&id)),
    }
}

fn internal(error: crate::store::StoreError) -> Refusal {
    Refusal::of(&Problem::from(error))
}

/// Whether a task passes filters: a value is the same, or matches from its beginning as a regular expression.
fn passes(task: &KimchiTask, filters: &HashMap<String, String>) -> bool {
    filters.iter().all(|(key, wanted)| {
        let value = match key.as_str() {
            "id" => task.id.as_str(),
            "status" => task.status,
            "message" => task.message.as_str(),
            "target_uri" => task.target_uri.as_str(),
            _ => return false,
        };
        value == wanted || regex::Regex::new(&format!("^(?:{wanted})")).is_ok_and(|it| it.is_match(value))
    })
}

/// The body as a JSON object. Without a content type it is taken for JSON, as it was.
async fn object(request: Request) -> Result<Map<String, Value>, Refusal> {
    let headers = request.headers();
    if !headers.contains_key(header::CONTENT_LENGTH) && !headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Refusal::length_required());
    }
    if !is_json(headers) {
        return Err(Refusal::not_json());
    }
    let body = match read_body(request).await {
        Ok(body) => body,
        Err(problem) if problem.code == Code::TooLarge => return Err(Refusal::of(&problem)),
        Err(_) => return Err(Refusal::cannot_parse()),
    };
    match serde_json::from_slice(&body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Refusal::schema("the body is not of type 'object'")),
        Err(_) => Err(Refusal::cannot_parse()),
    }
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

/// An answer with the content type that Kimchi gave.
fn json<T: Serialize>(body: &T) -> impl IntoResponse + use<T> {
    let content_type = [(header::CONTENT_TYPE, "application/json;charset=utf-8")];
    match serde_json::to_string(body) {
        Ok(text) => (StatusCode::OK, content_type, text),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, content_type, "{}".to_owned())
        }
    }
}
