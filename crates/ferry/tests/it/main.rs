//! Runs the built `ferry` against a `ferryd` that says what the test wants it to say.

#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

mod basics;
mod host;
mod login;
mod migrate;
mod sample;
#[path = "../../../api/tests/support/server.rs"]
mod server;
mod support;
mod task;
mod terminal;
