//! The store's events as a stream: first those that were, then each as it is stored.
//!
//! The stream never holds an event of its own making: it reads the store after the last id it sent, and sleeps until the
//! engine says that there is a newer one. So a slow client costs no memory, and none is lost or sent twice.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use api::event::Event;
use axum::response::sse;
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use uuid::Uuid;

use super::problem::chain;
use crate::model::TaskId;
use crate::store::Store;

/// Events read from the store at once.
const BATCH: u32 = 256;

/// Which events are streamed.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Those after the event of this id; 0 begins with the oldest that is kept. None begins with the next that happens.
    pub after: Option<i64>,
    /// Those of this task only.
    pub task: Option<Uuid>,
}

/// Where events come from, and when they end.
#[derive(Clone)]
pub struct Source {
    /// Holds the events.
    pub store: Arc<dyn Store>,
    /// Changes whenever there is a newer one.
    pub newest: watch::Receiver<i64>,
    /// Ends the stream.
    pub shutdown: CancellationToken,
}

struct Follower {
    source: Source,
    after: i64,
    task: Option<TaskId>,
    ready: VecDeque<Event>,
    greeted: bool,
}

/// The events after this id, of one task where given. Ends at shutdown, and when the store fails: the client then resumes.
pub fn follow(
    source: Source,
    after: i64,
    task: Option<TaskId>,
) -> impl Stream<Item = Result<sse::Event, Infallible>> + Send + use<> {
    let follower = Follower { source, after, task, ready: VecDeque::new(), greeted: false };
    unfold(follower, async |mut follower| {
        let message = follower.next().await?;
        Some((Ok(message), follower))
    })
}

impl Follower {
    async fn next(&mut self) -> Option<sse::Event> {
        if !self.greeted {
            // Tells a client that has seen no event yet from where to resume; without data it is no event for anybody.
            self.greeted = true;
            return Some(sse::Event::default().id(self.after.to_string()));
        }
        loop {
            if self.source.shutdown.is_cancelled() {
                return None;
            }
            if let Some(event) = self.ready.pop_front() {
                self.after = event.id;
                return message(&event);
            }
            // Marked as seen before the store is asked: what is stored meanwhile wakes the wait below.
            self.source.newest.borrow_and_update();
            match self.source.store.events_after(self.after, self.task, BATCH).await {
                Ok(events) => self.ready.extend(events),
                Err(error) => {
                    tracing::error!(error = %chain(&error), "an event stream ends: the store failed");
                    return None;
                }
            }
            if self.ready.is_empty() {
                tokio::select! {
                    changed = self.source.newest.changed() => changed.ok()?,
                    () = self.source.shutdown.cancelled() => return None,
                }
            }
        }
    }
}

fn message(event: &Event) -> Option<sse::Event> {
    match sse::Event::default().id(event.id.to_string()).event("task").json_data(event) {
        Ok(message) => Some(message),
        Err(error) => {
            tracing::error!(%error, event = event.id, "an event stream ends: an event cannot be written");
            None
        }
    }
}
