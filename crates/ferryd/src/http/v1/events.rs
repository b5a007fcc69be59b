//! `/events`: what happens, as it happens.

use std::time::Duration;

use api::event::Event;
use api::problem::{Code, Problem};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{KeepAlive, Sse};

use crate::http::AppState;
use crate::http::events::{EventQuery, Source, follow};
use crate::http::extract::Query;
use crate::http::problem::{Failure, problems, shortened};
use crate::model::TaskId;

/// Without an event, a comment goes out this often, so that either side notices a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The header by which a client resumes.
const LAST_EVENT_ID: &str = "last-event-id";

problems!(StreamProblems: BadRequest);

/// Events as a stream of Server-Sent Events.
///
/// Every event is named `task`, has its number as `id` and an `Event` object as `data`. A client that lost its connection
/// sends the last number it saw as `Last-Event-ID` and misses nothing; this goes before `after`.
#[utoipa::path(get, path = "/events", tag = "events", operation_id = "stream_events",
    params(EventQuery,
        ("last-event-id" = Option<i64>, Header, description = "The last event that the client has seen.")),
    responses(
        (status = 200, description = "The stream.", body = Event, content_type = "text/event-stream"),
        StreamProblems))]
pub async fn stream(
    State(app): State<AppState>,
    Query(query): Query<EventQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Failure> {
    let newest = app.store.last_event_id().await?;
    let after = match seen(&headers)? {
        Some(id) => known("Last-Event-ID", id, newest)?,
        None => query.after.map_or(Ok(newest), |id| known("after", id, newest))?,
    };
    let source = Source { newest: app.engine.events(), store: app.store, shutdown: app.shutdown };
    let events = follow(source, after, query.task.map(TaskId));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The number in `Last-Event-ID`. An empty one is none: so the standard has it.
fn seen(headers: &HeaderMap) -> Result<Option<i64>, Failure> {
    let Some(value) = headers.get(LAST_EVENT_ID).filter(|value| !value.is_empty()) else { return Ok(None) };
    match value.to_str().ok().and_then(|text| text.parse().ok()) {
        Some(id) => Ok(Some(id)),
        None => {
            let value = String::from_utf8_lossy(value.as_bytes());
            let detail = format!("`{}` is not the number of an event", shortened(&value));
            Err(Problem::new(Code::BadRequest, detail).field("Last-Event-ID").into())
        }
    }
}

/// An id that there was. One from the future belongs to another database: to wait for it would be to miss everything.
fn known(field: &str, id: i64, newest: i64) -> Result<i64, Failure> {
    if (0..=newest).contains(&id) {
        return Ok(id);
    }
    let detail = format!("there is no event {id}: the newest is {newest}; begin anew with after=0");
    Err(Problem::new(Code::BadRequest, detail).field(field).into())
}
