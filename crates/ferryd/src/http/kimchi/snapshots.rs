//! `vms/NAME/snapshots`: a machine's snapshots. Making one is a task.

use api::task::Task;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Serialize;
use serde_json::json;

use super::filter::Filter;
use super::reasons::Refusal;
use super::tasks::KimchiTask;
use super::vms::escaped;
use super::{Arguments, PREFIX, answer, nothing_asked_for, required_body, schema};
use crate::access::Caller;
use crate::http::denial::whole_address;
use crate::http::extract::NamePath;
use crate::http::problem::{Failure, shortened};
use crate::http::{AppState, to_the_end};
use crate::lifecycle::Lifecycle;
use crate::lifecycle::snapshots::SnapshotRefused;
use crate::messages::{Message, Text};
use crate::model::snapshot::{Obstacle, Snapshot};

/// The routes, without a prefix.
pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/vms/{name}/snapshots", get(list).post(make))
        .route("/vms/{name}/snapshots/current", get(current))
        .route("/vms/{name}/snapshots/{snapshot}", get(show).delete(remove))
        .route("/vms/{name}/snapshots/{snapshot}/revert", post(revert))
}

/// A snapshot as Kimchi told it.
#[derive(Serialize)]
struct KimchiSnapshot {
    created: String,
    name: String,
    parent: String,
    state: String,
}

impl From<Snapshot> for KimchiSnapshot {
    fn from(snapshot: Snapshot) -> Self {
        let Snapshot { name, parent, state, created_s } = snapshot;
        Self { created: created_s, name, parent: parent.unwrap_or_default(), state }
    }
}

/// A task that makes a snapshot, as Kimchi told it.
pub(super) fn task(task: &Task) -> KimchiTask {
    let name = task.made.as_deref().unwrap_or_default();
    let target_uri = format!("{PREFIX}/vms/{}/snapshots/{name}", task.vm);
    let words = (Message::FERRYTASK0008I, Message::FERRYTASK0010I, Message::FERRYTASK0009I);
    KimchiTask::told(task, words, target_uri, |why| {
        Act::Make.failed(shortened(&task.vm).into(), shortened(name).into(), why).into()
    })
}

/// What was asked to be done with snapshots.
#[derive(Clone, Copy, Debug)]
enum Act {
    List,
    Show,
    Current,
    Make,
    Delete,
    Revert,
}

impl Act {
    /// What Kimchi said when it could not be done.
    fn failed(self, name: Text, snapshot: Text, details: Text) -> Message {
        match self {
            Self::Make => Message::KCHSNAP0002E { name, snapshot, details },
            Self::Show => Message::KCHSNAP0004E { name, snapshot, details },
            Self::List => Message::KCHSNAP0005E { name, details },
            Self::Delete => Message::KCHSNAP0006E { name, snapshot, details },
            Self::Current => Message::KCHSNAP0008E { name, details },
            Self::Revert => Message::KCHSNAP0009E { name, snapshot, details },
        }
    }

    fn refused(self, refused: &SnapshotRefused, vm: &str, snapshot: &str) -> Refusal {
        let name = Text::from(shortened(vm));
        let snapshot = Text::from(shortened(snapshot));
        match refused {
            SnapshotRefused::Refused(refused) => {
                Refusal::of_undone(refused, vm, |name, details| self.failed(name, snapshot, details))
            }
            SnapshotRefused::Name(_) => Refusal::schema(refused.text()),
            SnapshotRefused::Absent => Refusal::not_found(Message::KCHSNAP0003E { name, snapshot }),
            SnapshotRefused::Obstacle(Obstacle::Format { format, .. }) => {
                Refusal::bad_request(Message::KCHSNAP0010E { name, format: format.as_str().into() })
            }
            SnapshotRefused::Exists | SnapshotRefused::Obstacle(_) | SnapshotRefused::SavedMemory => {
                Refusal::conflict(self.failed(name, snapshot, refused.text()))
            }
        }
    }
}

/// Does something, to its end even when the client hangs up meanwhile.
async fn done<T, F>(
    (app, caller): (&AppState, Caller),
    act: Act,
    (vm, name): (&str, &str),
    work: impl FnOnce(Lifecycle, String, String) -> F,
) -> Result<T, Refusal>
where
    T: Send + 'static,
    F: Future<Output = Result<T, SnapshotRefused>> + Send + 'static,
{
    let life = Lifecycle::new(app.fleet.clone(), app.store.clone(), caller);
    let work = work(life, vm.to_owned(), name.to_owned());
    match to_the_end(async move { Ok(work.await) }).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(refused)) => Err(act.refused(&refused, vm, name)),
        Err(Failure(problem)) => Err(Refusal::of(&problem)),
    }
}

type Names = Result<Path<(String, String)>, PathRejection>;

fn names(names: Names) -> Result<(String, String), Refusal> {
    names.map(|Path(names)| names).map_err(|_| Refusal::no_such_address())
}

fn name(name: Result<NamePath, Failure>) -> Result<String, Refusal> {
    name.map(|NamePath(name)| name).map_err(|_| Refusal::no_such_address())
}

/// Those that pass the filters.
async fn list(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    vm: Result<NamePath, Failure>,
    Arguments(arguments): Arguments,
) -> Result<Response, Refusal> {
    let (vm, filter) = (name(vm)?, Filter::new(arguments)?);
    let found =
        done((&app, caller), Act::List, (&vm, ""), |life, vm, _| async move { life.snapshots(&vm).await })
            .await?;
    let told = found.into_iter().map(KimchiSnapshot::from).filter(|told| filter.passes(told));
    Ok(answer(&told.collect::<Vec<_>>()).into_response())
}

/// Has one made.
async fn make(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    vm: Result<NamePath, Failure>,
    request: Request,
) -> Result<Response, Refusal> {
    let vm = name(vm)?;
    let body = required_body(request).await?;
    schema::check("vm_snapshot_create", &body)?;
    let wanted = body["name"].as_str().map(str::to_owned);
    let engine = app.engine.clone();
    let shown = wanted.clone().unwrap_or_default();
    let work = |life: Lifecycle, vm: String, _| async move { life.make_snapshot(&engine, &vm, wanted).await };
    let begun = done((&app, caller), Act::Make, (&vm, &shown), work).await?;
    Ok((StatusCode::ACCEPTED, KimchiTask::from(&begun)).into_response())
}

/// The one that the machine's disks go on from; nothing where there is none.
async fn current(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    vm: Result<NamePath, Failure>,
) -> Result<Response, Refusal> {
    let vm = name(vm)?;
    let work = |life: Lifecycle, vm: String, _| async move { life.current_snapshot(&vm).await };
    Ok(match done((&app, caller), Act::Current, (&vm, ""), work).await? {
        Some(found) => answer(&KimchiSnapshot::from(found)).into_response(),
        None => answer(&json!({})).into_response(),
    })
}

async fn found(app: (&AppState, Caller), vm: &str, name: &str) -> Result<KimchiSnapshot, Refusal> {
    let work = |life: Lifecycle, vm: String, name: String| async move { life.snapshot(&vm, &name).await };
    done(app, Act::Show, (vm, name), work).await.map(KimchiSnapshot::from)
}

/// One.
async fn show(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    path: Names,
) -> Result<Response, Refusal> {
    let (vm, name) = names(path)?;
    Ok(answer(&found((&app, caller), &vm, &name).await?).into_response())
}

/// Deletes one.
async fn remove(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    path: Names,
) -> Result<Response, Refusal> {
    let (vm, name) = names(path)?;
    let work =
        |life: Lifecycle, vm: String, name: String| async move { life.delete_snapshot(&vm, &name).await };
    done((&app, caller), Act::Delete, (&vm, &name), work).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Goes back to one. The answer leads to it, as it did.
async fn revert(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    path: Names,
    request: Request,
) -> Result<Response, Refusal> {
    let (vm, name) = names(path)?;
    let headers = request.headers().clone();
    nothing_asked_for(request).await?;
    let told = found((&app, caller.clone()), &vm, &name).await?;
    let work = |life: Lifecycle, vm: String, name: String| async move { life.revert(&vm, &name).await };
    let after = done((&app, caller), Act::Revert, (&vm, &name), work).await?;
    let path = format!("{PREFIX}/vms/{}/snapshots/{}", escaped(&after.listed.name), escaped(&name));
    let location = whole_address(&headers, &path);
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)], answer(&told)).into_response())
}
