//! Ferry's wire types: what `ferryd` and its clients say to each other under `/api/v1`.
//!
//! * [`host`], [`vm`], [`task`], [`finding`] – the resources;
//! * [`event`] – what `GET /api/v1/events` streams;
//! * [`problem`] – every error, an RFC 9457 problem document with a stable [`problem::Code`];
//! * [`client`] – a typed client of all this, over a Unix socket or plain HTTP.
//!
//! Field names carry their units (`downtime_ms`, `bandwidth_mib_s`, `memory_bytes`); times of day are milliseconds since
//! the Unix epoch (`..._at_ms`). Unknown fields in a request are refused, so that a misspelt option is never ignored.

pub mod client;
pub mod event;
pub mod finding;
pub mod host;
pub mod plan;
pub mod preflight;
pub mod problem;
pub mod task;
pub mod vm;
