//! The situations, by subject.

mod domain;
mod hosts;
mod machine;
mod network;
mod storage;

use super::situation::Situation;

/// All of them.
pub(super) fn all() -> Vec<Situation> {
    [hosts::all(), machine::all(), storage::all(), network::all(), domain::all()].concat()
}
