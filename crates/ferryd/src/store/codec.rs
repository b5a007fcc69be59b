//! From rows to our types and back. What is stored is never trusted: what cannot be read is [`StoreError::Corrupt`].

use api::task::Task;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Result, StoreError};
use crate::model::TaskId;

/// A value as JSON text.
pub(super) fn encode<T: Serialize>(what: &str, value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|source| StoreError::Corrupt { what: what.to_owned(), source })
}

/// JSON text as a value.
pub(super) fn decode<T: DeserializeOwned>(what: impl FnOnce() -> String, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|source| StoreError::Corrupt { what: what(), source })
}

/// The word that stands in JSON for a value without fields: a column that SQL can compare.
pub(super) fn word<T: Serialize>(what: &str, value: T) -> Result<String> {
    let value = serde_json::to_value(value)
        .map_err(|source| StoreError::Corrupt { what: what.to_owned(), source })?;
    match value {
        Value::String(word) => Ok(word),
        other => Ok(other.to_string()),
    }
}

/// A stored task id.
pub(super) fn task_id(text: String) -> Result<TaskId> {
    serde_json::from_value(Value::String(text))
        .map_err(|source| StoreError::Corrupt { what: "a task's id".to_owned(), source })
}

/// A stored task.
pub(super) fn task(id: &str, body: &str) -> Result<Task> {
    decode(|| format!("task {id}"), body)
}

/// Milliseconds as the database keeps them. Its numbers end where the year 292 million begins.
pub(super) fn to_db(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Milliseconds as we keep them; nothing was stored before 1970.
pub(super) fn from_db(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}
