//! What people read, made from the types of the API. Pure: values in, text out.

pub(crate) mod check;
pub(crate) mod finding;
pub(crate) mod host;
pub(crate) mod plan;
pub(crate) mod problem;
pub(crate) mod table;
pub(crate) mod task;
pub(crate) mod unit;
pub(crate) mod vm;

use serde::Serialize;

/// The word that stands for a value in JSON: the same in every output.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        // No type that is shown by this is anything else than a word.
        _ => "?".to_owned(),
    }
}

/// `yes` or `no`.
pub(crate) fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}
