//! Plain data and identifiers. Nothing here reads or writes anything.

pub mod action;
pub mod change;
pub mod clone;
pub mod connect;
pub mod creation;
pub mod definition;
pub mod domain;
pub mod facts;
pub mod host_device;
pub mod ids;
pub mod mark;
pub mod offers;
pub mod snapshot;
pub mod tenure;
pub mod transport;

pub use connect::ConnectFailure;
pub use ids::{DomainUuid, HostName, TaskId};
pub use tenure::Tenure;
