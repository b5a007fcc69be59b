//! What `GET /api/v1/events` streams: one JSON object per Server-Sent Event.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::task::Task;

/// An event. Events are stored before they are sent; a client that lost its connection resumes with `Last-Event-ID`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Rising number; also the id of the Server-Sent Event.
    pub id: i64,
    /// When it happened.
    pub at_ms: u64,
    /// The task it belongs to.
    pub task_id: Uuid,
    /// The task as it is after the event.
    pub task: Task,
}
