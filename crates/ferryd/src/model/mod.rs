//! Plain data and identifiers. Nothing here reads or writes anything.

pub mod domain;
pub mod facts;
pub mod ids;

pub use ids::{DomainUuid, HostName, TaskId};
